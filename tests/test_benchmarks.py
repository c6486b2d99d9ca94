"""The programs that bracketc is measured against are right, and the harness notices one that is not."""

from __future__ import annotations

import importlib
import json
import platform
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

FOLDER = Path(__file__).resolve().parent.parent / "benchmarks"
MODELS = FOLDER.parent / "models"
SCRIPTS = sorted(path.stem for path in FOLDER.glob("bench_*.py"))
SMALL = {"N": 5, "D": 4, "H": 3, "K": 3, "P": 6, "T": 3, "B": 2, "E": 2}
EXTRA = {"deep_classifier"}  # beside the scripts, not among the models: one more layer, to compare with others



@pytest.fixture(scope="module")
def folder() -> Iterator[None]:
    """The benchmarks are scripts beside their harness, and no package."""
    sys.path.insert(0, str(FOLDER))
    yield
    sys.path.remove(str(FOLDER))


@pytest.fixture(scope="module")
def harness(folder: None) -> ModuleType:
    return importlib.import_module("harness")


def workload_of(script: str) -> Any:
    return importlib.import_module(script).WORKLOAD


def small_data(workload: Any) -> dict[str, np.ndarray]:
    arrays = workload.data(np.random.default_rng(7), {name: SMALL[name] for name in workload.sizes[0]})
    return {name: np.array(array, float) for name, array in arrays.items()}


def test_every_model_has_a_benchmark() -> None:
    models = {path.stem for path in MODELS.glob("*.brk")} - {"digits"}  # digits is timed by the demonstration
    assert {name.removeprefix("bench_") for name in SCRIPTS} == models | EXTRA


def test_one_command_runs_every_script_and_the_page_names_it(folder: None) -> None:
    every = importlib.import_module("all")
    steps = {script for commands in every.STEPS.values() for script, *_ in commands}
    shared = {"all.py", "harness.py", "tables.py", "roofline.py", "verify.py"}  # verify takes its own time
    assert steps | shared == {path.name for path in FOLDER.glob("*.py")} - {f"{script}.py" for script in SCRIPTS}
    page = (FOLDER / "README.md").read_text(encoding="utf-8")
    assert all(f"`{name}`" in page for name in steps | shared)


@pytest.mark.parametrize("script", SCRIPTS)
def test_the_hand_written_gradient_agrees_with_central_differences(folder: None, script: str) -> None:
    workload = workload_of(script)
    arrays = small_data(workload)
    _, gradients = workload.by_hand(**arrays)
    for name, gradient in zip(workload.params, gradients, strict=True):
        array = arrays[name]
        numeric = np.empty_like(array)
        for index in np.ndindex(*array.shape):
            before, values = array[index], []
            for change in (1e-5, -1e-5):
                array[index] = before + change
                values.append(float(workload.by_hand(**arrays)[0]))
            array[index] = before
            numeric[index] = (values[0] - values[1]) / 2e-5
        np.testing.assert_allclose(gradient, numeric, rtol=1e-6, atol=1e-8, err_msg=name)


@pytest.mark.parametrize("script", SCRIPTS)
def test_the_hand_written_program_leaves_its_arguments_alone(folder: None, script: str) -> None:
    workload = workload_of(script)
    arrays = small_data(workload)
    before = {name: array.copy() for name, array in arrays.items()}
    workload.by_hand(**arrays)
    for name, array in arrays.items():
        np.testing.assert_array_equal(array, before[name], err_msg=name)


@pytest.mark.parametrize("library", ["torch", "jax"])
@pytest.mark.parametrize("script", SCRIPTS)
def test_the_peers_compute_the_same(harness: ModuleType, script: str, library: str) -> None:
    pytest.importorskip(library, reason=f"{library} is installed by `make bench` only")
    workload = workload_of(script)
    arrays = small_data(workload)
    value, gradients = workload.by_hand(**arrays)
    if library == "torch":
        found = next(harness.torch_contenders(workload, arrays))
    else:
        found = harness.jax_contender(workload, arrays, "float64")
    want = (np.asarray(value), *map(np.asarray, gradients))
    assert harness.difference(found.results(), want) < 1e-12


def test_a_wrong_contender_ends_the_run(harness: ModuleType) -> None:
    right = (np.array(1.0), np.array([1.0, 2.0]))
    wrong = (np.array(1.0), np.array([1.0, 2.1]))
    found = [harness.Contender("liar", lambda: None, lambda: wrong)]
    with pytest.raises(SystemExit, match="liar is wrong"):
        harness.check(found, right, "float32")
    harness.check([harness.Contender("honest", lambda: None, lambda: right)], right, "float64")


@pytest.mark.parametrize("bad", [np.array([np.nan, 2.0]), np.array([[1.0, 2.0]])])
def test_nan_and_wrong_shapes_are_differences(harness: ModuleType, bad: np.ndarray) -> None:
    assert not harness.difference((bad,), (np.array([1.0, 2.0]),)) <= 1.0


def test_sizes_are_read_from_words(harness: ModuleType) -> None:
    assert harness.parse_sizes(["N=32", "D=64"]) == {"N": 32, "D": 64}
    with pytest.raises(SystemExit, match="NAME=NUMBER"):
        harness.parse_sizes(["N:32"])


RECORD = {
    "model": "linear",
    "sizes": {"N": 1000},
    "dtype": "float32",
    "threads": 1,
    "flops": 4000,
    "bytes": 8000,
    "peaks": {"flops": 8e9, "bytes": 8e9},
    "contenders": {
        "bracketc C": {"median": 2e-6, "lower": 1.9e-6, "upper": 2.1e-6},
        "NumPy by hand": {"median": 3e-6, "lower": 3e-6, "upper": 3e-6},
        "JAX jit": {"median": 1e-6, "lower": 1e-6, "upper": 1e-6},
    },
}


@pytest.fixture(scope="module")
def runner(folder: None) -> Iterator[ModuleType]:
    yield importlib.import_module("suite")
    sys.modules.pop("suite", None)


@pytest.fixture(scope="module")
def tables(folder: None) -> Iterator[ModuleType]:
    yield importlib.import_module("tables")
    sys.modules.pop("tables", None)


def test_where_a_peer_is_faster_is_said(tables: ModuleType) -> None:
    assert tables.best_peer(RECORD) == ("JAX jit", 1e-6)
    page = tables.page([RECORD], {"processor": "P"})
    assert "## float32, one thread" in page
    assert "| linear | N 1,000 | 2 µs | 3 µs | 1 µs | **0.50** (JAX jit) | 25% | 50% |" in page
    assert "* below 1.15: linear, N 1,000: 0.50 (JAX jit)" in page


def test_the_workloads_of_the_comparison_are_sizes_of_the_scripts(tables: ModuleType) -> None:
    for model, sizes in tables.REFERENCE.values():
        assert sizes in workload_of(f"bench_{model}").sizes, model


def test_a_workload_of_the_comparison_is_named_with_its_spread(tables: ModuleType) -> None:
    model, sizes = tables.REFERENCE["logistic regression, 200 × 20"]
    rows = [RECORD | {"model": model, "sizes": sizes}]
    assert list(tables.reference_table(rows))[2:] == [
        "| logistic regression, 200 × 20 | 1 µs (JAX jit) | 2 µs ± 5 % | **0.50** | 25% | 50% |"
    ]
    assert "Geometric mean of the 1 workloads: 0.50 (goal 2.2)." in list(tables.summary(rows))


def test_a_run_replaces_the_rows_of_its_models_types_and_threads(runner: ModuleType) -> None:
    old = [RECORD | {"flops": 1}, RECORD | {"threads": 2}, RECORD | {"dtype": "float64"}, RECORD | {"model": "gone"}]
    found = runner.merged(old, [RECORD, RECORD | {"model": "gru"}])
    assert [(each["dtype"], each["threads"], each["model"]) for each in found] == [
        ("float32", 1, "gru"), ("float32", 1, "linear"), ("float32", 2, "linear"), ("float64", 1, "linear"),
    ]  # fmt: skip
    assert found[1]["flops"] == 4000


def test_the_roofline_names_the_workloads_of_the_comparison(folder: None, tables: ModuleType, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    model, sizes = tables.REFERENCE["logistic regression, 200 × 20"]
    roofline = importlib.import_module("roofline")
    roofline.draw(tmp_path / "out.svg", [RECORD, RECORD | {"model": model, "sizes": sizes}])
    drawn = (tmp_path / "out.svg").read_text(encoding="utf-8")
    assert "7  logistic regression, 200 × 20" in drawn and "multiply-adds: 8 Gflop/s" in drawn


def test_the_machine_is_described_without_names_and_paths(runner: ModuleType) -> None:
    described = runner.machine()
    assert {"processor", "compiler", "python", "numpy"} <= set(described)
    assert not any("/" in text or platform.node() in text for text in described.values() if platform.node())


def test_the_processor_is_named_with_its_vectors(runner: ModuleType) -> None:
    assert runner.processor("model name\t: Fast One\nflags\t: fma avx2\n") == "Fast One (AVX2)"


def test_the_kept_results_cover_every_model(runner: ModuleType, tables: ModuleType) -> None:
    kept = json.loads((FOLDER / "results" / "medians.json").read_text(encoding="utf-8"))
    assert {record["model"] for record in kept["records"]} == set(runner.names())
    page = (FOLDER / "results" / "README.md").read_text(encoding="utf-8")
    assert page == tables.page(kept["records"], kept["machine"])


def test_builds_are_of_all_models_or_of_some(folder: None) -> None:
    builds = importlib.import_module("builds")
    assert {path.stem for path in builds.chosen("")} == {path.stem for path in (FOLDER.parent / "models").glob("*.brk")}
    assert [path.stem for path in builds.chosen("classif")] == ["classifier"]


def test_the_pages_of_contractions_hold_all_of_them(folder: None) -> None:
    cases = importlib.import_module("contractions").CONTRACTIONS
    for dtype in ("float32", "float64"):
        page = (FOLDER / "results" / f"contractions-{dtype}.md").read_text(encoding="utf-8")
        assert all(f"| {case.name} | `{case.spec}` |" in page for case in cases)
