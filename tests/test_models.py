"""Every model of models/: one meaning through every stage, and gradients that central differences confirm."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from typing import Any

import numpy as np
import pytest
from modelcases import BACKENDS, MODELS, Modules, arrays_of, central_differences, criterion, sizes_of, stages_of

import bracketc as bc
from bracketc.calculus.requests import entries
from bracketc.ir.interpret import interpret
from bracketc.ir.nodes import Node, Recurrence
from bracketc.ir.rewrite import topological
from bracketc.loops import interpret as loops
from bracketc.loops.lower import lower
from bracketc.plan import interpret as schedules

Array = np.ndarray[Any, Any]

PROGRAMS = {name: bc.load(path) for name, path in MODELS.items()}
ARRAYS = {name: arrays_of(program) for name, program in PROGRAMS.items()}

each_model = pytest.mark.parametrize("model", MODELS)
each_backend = pytest.mark.parametrize("backend", BACKENDS)


@pytest.fixture(scope="module")
def modules() -> Modules:
    return Modules()


@pytest.fixture(scope="module")
def oracle() -> dict[str, dict[str, Array]]:
    """Value and gradients by the interpreter of the tensor IR, from the derivative as calculus leaves it."""
    found: dict[str, dict[str, Array]] = {}
    for model, program in PROGRAMS.items():
        (entry,) = [e for e in entries(program) if e.name == "value_and_grad"]
        values = {argument: ARRAYS[model][argument.name] for argument in entry.arguments}
        results = interpret([node for _, node in entry.results], values, sizes_of(program))
        found[model] = dict(zip([name for name, _ in entry.results], results, strict=True))
    return found


def value_and_gradients(module: Any, arrays: dict[str, Array]) -> dict[str, Array]:
    value, gradients = module.value_and_grad(**arrays)
    return {"J": value, **gradients._asdict()}


def cotangents(model: str) -> dict[str, Array]:
    """1 for the target, 0 for every other output."""
    sizes = sizes_of(PROGRAMS[model])
    found = {}
    for name, spec in PROGRAMS[model].outputs.items():
        found[f"bar_{name}"] = np.full([extent.evaluate(sizes) for extent in spec.shape], float(name == "J"))
    return found


def assert_close(found: dict[str, Any], expected: dict[str, Array], tolerance: float) -> None:
    assert list(found) == list(expected)
    for name, reference in expected.items():
        scale = max(1.0, float(np.abs(reference).max(initial=0)))
        np.testing.assert_allclose(found[name], reference, rtol=0, atol=tolerance * scale, err_msg=name)


# ------------------------------------------------------------------------------------------------ gradients
@each_backend
@each_model
def test_gradients_agree_with_central_differences(model: str, backend: str, modules: Modules) -> None:
    module = modules.get(model, backend)
    arrays = {name: array.copy() for name, array in ARRAYS[model].items()}
    gradients = module.value_and_grad(**arrays).gradients
    value = module.evaluate.bind(**arrays)
    for name, gradient in gradients._asdict().items():
        numeric = central_differences(lambda: float(value().J), arrays[name])
        assert criterion(numeric, gradient) < 1e-6, name


# ------------------------------------------------------------------------------------------------ one meaning
@each_model
def test_the_simplified_derivative_means_what_calculus_derived(model: str, oracle: dict[str, dict[str, Array]]) -> None:
    (entry,) = [e for e in stages_of(PROGRAMS[model]).entries if e.name == "value_and_grad"]
    values = {argument: ARRAYS[model][argument.name] for argument in entry.arguments}
    results = interpret([node for _, node in entry.results], values, sizes_of(PROGRAMS[model]))
    assert_close(dict(zip([n for n, _ in entry.results], results, strict=True)), oracle[model], 1e-13)


@each_model
def test_the_schedule_computes_what_the_nodes_mean(model: str, oracle: dict[str, dict[str, Array]]) -> None:
    plan, sizes = stages_of(PROGRAMS[model]).plan, sizes_of(PROGRAMS[model])
    found = schedules.run(plan.schedule("value_and_grad"), ARRAYS[model], sizes).results
    assert_close(found, oracle[model], 1e-13)
    forward = schedules.run(plan.schedule("forward"), ARRAYS[model], sizes)
    given = {**ARRAYS[model], **forward.residuals, **cotangents(model)}
    backward = schedules.run(plan.schedule("backward"), given, sizes).results
    assert_close({"J": forward.results["J"]} | backward, oracle[model], 1e-13)


@each_model
def test_the_loops_compute_what_the_schedule_says(model: str, oracle: dict[str, dict[str, Array]]) -> None:
    plan, sizes = stages_of(PROGRAMS[model]).plan, sizes_of(PROGRAMS[model])

    def run(entry: str, given: dict[str, Any]) -> tuple[dict[str, Array], dict[str, Array]]:
        schedule = plan.schedule(entry)
        results, residuals = loops.interpret(lower(schedule), given, sizes)
        names = [name for name, _ in schedule.results]  # storages of gradients have names of their own
        return dict(zip(names, results.values(), strict=True)), residuals

    assert_close(run("value_and_grad", ARRAYS[model])[0], oracle[model], 1e-13)
    outputs, residuals = run("forward", ARRAYS[model])
    gradients, _ = run("backward", {**ARRAYS[model], **residuals, **cotangents(model)})
    assert_close({"J": outputs["J"]} | gradients, oracle[model], 1e-13)


@each_backend
@each_model
def test_the_module_computes_what_the_nodes_mean(
    model: str, backend: str, modules: Modules, oracle: dict[str, dict[str, Array]]
) -> None:
    module = modules.get(model, backend)
    assert_close(value_and_gradients(module, ARRAYS[model]), oracle[model], 1e-13)
    np.testing.assert_allclose(module.evaluate(**ARRAYS[model]).J, oracle[model]["J"], rtol=1e-13)


@each_backend
@each_model
def test_single_precision_agrees_within_its_precision(
    model: str, backend: str, modules: Modules, oracle: dict[str, dict[str, Array]]
) -> None:
    single = {name: array.astype(np.float32) for name, array in ARRAYS[model].items()}
    found = value_and_gradients(modules.get(model, backend, "float32"), single)
    assert {np.asarray(array).dtype for array in found.values()} == {np.dtype(np.float32)}
    assert_close(found, oracle[model], 3e-6)


# ------------------------------------------------------------------------------------------------ forward and backward
@each_backend
@each_model
def test_forward_and_backward_give_value_and_grad(model: str, backend: str, modules: Modules) -> None:
    module = modules.get(model, backend)
    expected = module.value_and_grad(**ARRAYS[model])
    outputs, residuals = module.forward(**ARRAYS[model])
    np.testing.assert_allclose(outputs.J, expected.value, rtol=1e-13)
    first, second, doubled = module.backward(residuals), module.backward(residuals), module.backward(residuals, J=2.0)
    assert_close(first._asdict(), expected.gradients._asdict(), 1e-13)
    assert_close(doubled._asdict(), {n: 2 * g for n, g in expected.gradients._asdict().items()}, 1e-13)
    for name, again in second._asdict().items():
        np.testing.assert_array_equal(again, getattr(first, name), err_msg=name)


@each_backend
@each_model
def test_backward_runs_from_several_threads(model: str, backend: str, modules: Modules) -> None:
    module = modules.get(model, backend)
    cases = []
    for seed in (1, 2):
        arrays = arrays_of(PROGRAMS[model], seed)
        residuals = module.forward(**arrays)[1]
        cases.append((residuals, module.backward(residuals)))
    wrong: list[int] = []

    def work(number: int) -> None:
        residuals, expected = cases[number % 2]
        for _ in range(10):
            found = module.backward(residuals)
            if not all(np.array_equal(a, b) for a, b in zip(found, expected, strict=True)):
                wrong.append(number)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


# ------------------------------------------------------------------------------------------------ cost
def nodes_of(results: Iterable[Node]) -> int:
    """Distinct nodes, those of loop bodies included."""
    found, waiting = 0, [tuple(results)]
    while waiting:
        for node in topological(waiting.pop()):
            found += 1
            if isinstance(node, Recurrence):
                waiting.append(node.body.results)
    return found


@each_model
def test_value_and_gradients_have_at_most_five_times_the_nodes_of_the_value(model: str) -> None:
    entries = {entry.name: [node for _, node in entry.results] for entry in stages_of(PROGRAMS[model]).entries}
    assert nodes_of(entries["value_and_grad"]) <= 5 * nodes_of(entries["evaluate"])


@each_model
def test_planning_never_takes_more_operations_than_reverse_mode(model: str) -> None:
    plan = stages_of(PROGRAMS[model]).plan
    for schedule in plan.schedules:
        assert 0 < schedule.flops.evaluate(plan.hints) <= schedule.baseline, schedule.entry
