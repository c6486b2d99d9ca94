"""NumPy kernels give what the interpreter gives, and read like code that a person would write."""

from __future__ import annotations

import builtins
from collections.abc import Mapping, Sequence
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from random_ir import SIZES, random_graph

from bracketc.emit.module import numpy_module
from bracketc.errors import Source
from bracketc.ir.build import add, broadcast, einsum, multiply, ones, pointwise, power, scale, size, subtract, tensor
from bracketc.ir.dims import Dim
from bracketc.ir.functions import FUNCTIONS
from bracketc.ir.interpret import interpret
from bracketc.ir.nodes import Node, Reduce, Tensor
from bracketc.ir.program import Entry, Program, SizeSpec
from bracketc.plan.plan import PlanOptions, plan
from bracketc.runtime.memory import load_text

PLANS = {"as written": PlanOptions(fuse=False, reassociate=False), "default": PlanOptions()}
DTYPES = {"real": np.float32, "integer": np.int64, "boolean": np.bool_}


def module_text(
    arguments: Sequence[Tensor], results: Mapping[str, Node], dtype: str = "float64", options: PlanOptions | None = None
) -> str:
    """Text of a module with one function, ``evaluate``."""
    names = sorted({name for node in arguments for extent in node.shape for name in extent.names})
    sizes = tuple(SizeSpec(name) for name in names)
    pairs = tuple(results.items())
    program = Program(Source(""), sizes, tuple(arguments), {t.name: "input" for t in arguments}, pairs, pairs, ())
    entry = Entry("evaluate", tuple(arguments), (), pairs)
    planned = plan([entry], {}, sizes, options)
    return numpy_module("model", program, [entry], planned, dtype=dtype, version="0").python


def kernel(text: str) -> str:
    """The statements of the kernel of ``evaluate``, without comments."""
    body = text.partition("def _evaluate_kernel(")[2].partition("\n\n\n")[0].splitlines()[1:]
    return "\n".join(line[4:] for line in body if not line.strip().startswith("#"))


def evaluate(text: str, arrays: Mapping[str, Any]) -> tuple[Any, ...]:
    module: ModuleType = load_text("model", text)
    return tuple(module.evaluate(**arrays))


@pytest.mark.parametrize("way", PLANS)
@pytest.mark.parametrize("seed", range(80))
def test_a_random_graph_gives_what_the_interpreter_gives(seed: int, way: str) -> None:
    roots, values = random_graph(seed, count=14, roots=4)
    arguments = tuple(values)
    determined = {name for node in arguments for extent in node.shape for name in extent.names}
    if determined != set(SIZES):
        arguments = (*arguments, *(tensor(f"size{name}", name) for name in sorted(set(SIZES) - determined)))
    arrays = {node.name: values.get(node, np.zeros([e.evaluate(SIZES) for e in node.shape])) for node in arguments}
    results = {f"r{k}": root for k, root in enumerate(roots)}
    expected = interpret(roots, values, SIZES)
    found = evaluate(module_text(arguments, results, options=PLANS[way]), arrays)
    for actual, reference in zip(found, expected, strict=True):
        np.testing.assert_allclose(actual, reference, rtol=1e-8, atol=1e-8)
    single = evaluate(module_text(arguments, results, "float32", PLANS[way]), arrays)
    assert [np.asarray(array).dtype for array in single] == [DTYPES[root.dtype] for root in roots]


X, W, b = tensor("X", "N", "D"), tensor("W", "D", "H"), tensor("b", "H")
AFFINE = add([einsum(1, [(X, "nd"), (W, "dh")], "nh"), broadcast(b, (Dim.named("N"), Dim.named("H")), (1,))])


def test_a_layer_is_computed_in_place() -> None:
    text = module_text((X, W, b), {"Z": pointwise("tanh", AFFINE)})
    assert kernel(text) == "np.matmul(X, W, out=Z)\nZ += b\nnp.tanh(Z, out=Z)"


@pytest.mark.parametrize(
    ("name", "factors", "output", "written"),
    [
        ("matrix product", ("nd", "dh"), "nh", "np.matmul(X, W, out=F)"),
        ("its transpose", ("nd", "dh"), "hn", "np.matmul(W.T, X.T, out=F)"),
    ],
)
def test_contractions_of_matrices_are_matrix_products(
    name: str, factors: tuple[str, str], output: str, written: str
) -> None:
    text = module_text((X, W), {"F": einsum(1, [(X, factors[0]), (W, factors[1])], output)})
    assert kernel(text) == written


def test_axes_that_stand_together_are_one_axis_of_a_product() -> None:
    E, U = tensor("E", "T", "N", "D"), tensor("U", "T", "N", "H")
    text = module_text((E, U), {"G": einsum(1, [(E, "tnd"), (U, "tnh")], "dh")})
    assert kernel(text) == "np.matmul(E.reshape(N * T, D).T, U.reshape(N * T, H), out=G)"


def test_a_batch_of_products_is_matmul_on_views() -> None:
    A, B = tensor("A", "T", "N", "D"), tensor("B", "T", "H", "D")
    text = module_text((A, B), {"G": einsum(1, [(A, "tnd"), (B, "thd")], "tnh")})
    assert kernel(text) == "np.matmul(A, B.swapaxes(-1, -2), out=G)"


def test_other_contractions_are_einsum_with_literal_subscripts() -> None:
    A, B = tensor("A", "N", "D", "H"), tensor("B", "D", "N", "H")
    text = module_text((A, B), {"G": einsum(1, [(A, "ndh"), (B, "dnh")], "h")})
    assert kernel(text).startswith('np.einsum("')


def test_helpers_are_there_only_when_used() -> None:
    without = module_text((X,), {"F": pointwise("tanh", X)})
    assert "_sigmoid" not in without and "_check_labels" not in without
    assert "def _sigmoid(" in module_text((X,), {"F": pointwise("sigmoid", X)})


def test_the_text_is_plain_python_without_loops_over_entries() -> None:
    text = module_text((X, W, b), {"Z": pointwise("softplus", AFFINE), "J": einsum(1, [(AFFINE, "nh")], "")})
    builtins.compile(text, "model.py", "exec")
    assert "for " not in kernel(text)
    assert not any(line != line.rstrip() or "\t" in line for line in text.splitlines())


def test_large_arguments_of_sigmoid_and_softplus_do_not_overflow() -> None:
    x = tensor("x", "N")
    text = module_text((x,), {"s": pointwise("sigmoid", x), "p": pointwise("softplus", x)}, "float32")
    values = np.array([-1e4, -3.0, 0.0, 3.0, 1e4, np.nan, np.inf, -np.inf], np.float32)
    with np.errstate(all="raise"):
        s, p = evaluate(text, {"x": values})
    np.testing.assert_allclose(s, [0, 0.047425874, 0.5, 0.95257413, 1, np.nan, 1, 0], rtol=1e-6)
    np.testing.assert_allclose(p, [0, 0.048587352, 0.6931472, 3.0485873, 1e4, np.nan, np.inf, 0], rtol=1e-6)


@pytest.mark.parametrize("name", sorted(set(FUNCTIONS) - {"stop", "power"}))
def test_every_function_gives_what_the_interpreter_gives(name: str) -> None:
    points = np.array([-np.inf, -3.0, -2.5, -1.0, -0.4, 0.0, 0.3, 1.0, 2.75, 9.5, 40.0, np.inf, np.nan])
    args = [tensor("x", "N"), tensor("y", "N")][: FUNCTIONS[name].arity]
    node = pointwise(name, *args)
    given = {"x": points, "y": points[::-1].copy()}
    with np.errstate(all="ignore"):
        (found,) = evaluate(module_text(tuple(args), {"F": node}), {arg.name: given[arg.name] for arg in args})
        (wanted,) = interpret([node], {arg: given[arg.name] for arg in args})
    np.testing.assert_allclose(found, wanted, rtol=1e-12, atol=1e-14)


def test_reductions_of_nothing_have_their_neutral_value() -> None:
    text = module_text((X,), {op: Reduce(op, X, (1,)) for op in ("max", "min", "prod", "logsumexp")})
    found = evaluate(text, {"X": np.zeros((3, 0))})
    for array, neutral in zip(found, (-np.inf, np.inf, 1.0, -np.inf), strict=True):
        np.testing.assert_array_equal(array, np.full(3, neutral))


def test_scalars_stay_in_single_precision() -> None:
    mean = multiply(power(size(Dim.named("N")), -1), einsum(1, [(X, "nd"), (X, "nd")], ""))
    text = module_text((X,), {"J": mean}, "float32")
    (value,) = evaluate(text, {"X": np.ones((4, 3), np.float32)})
    assert value.dtype == np.float32 and value == 3


def test_a_result_that_is_an_argument_is_a_copy() -> None:
    text = module_text((X,), {"F": X, "G": X, "H": ones(X.shape)})
    given = np.arange(6.0).reshape(2, 3)
    f, g, h = evaluate(text, {"X": given})
    f += 1
    assert given[0, 0] == 0 and g[0, 0] == 0 and h.sum() == 6


def test_a_chain_of_twenty_thousand_operations_is_written() -> None:
    node: Node = tensor("x", "N")
    for _ in range(20_000):
        node = pointwise("sin", node)
    text = module_text((tensor("x", "N"),), {"y": node})
    (y,) = evaluate(text, {"x": np.array([1.0])})
    expected = np.array([1.0])
    for _ in range(20_000):
        expected = np.sin(expected)
    np.testing.assert_allclose(y, expected)


def test_the_difference_of_scaled_terms_has_no_detours() -> None:
    Y = tensor("Y", "N", "D")
    text = module_text((X, Y), {"R": scale(2, subtract(X, Y))})
    with_numbers = evaluate(text, {"X": np.full((2, 2), 5.0), "Y": np.full((2, 2), 3.0)})
    np.testing.assert_array_equal(with_numbers[0], np.full((2, 2), 4.0))
    assert "-1" not in kernel(text)
