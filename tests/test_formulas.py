"""Formulas of the tensor IR: how they look, and that they mean what they came from."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from random_ir import SIZES, random_graph

from bracketc import compiler
from bracketc.emit.formulas import Equation, StyleName, equations, heading, names_of, show, taken_names, typeset
from bracketc.errors import Source
from bracketc.ir.build import (
    add,
    compare,
    einsum,
    fill,
    literal,
    multiply,
    pointwise,
    power,
    reciprocal,
    scale,
    size,
    tensor,
)
from bracketc.ir.dims import Dim
from bracketc.ir.interpret import interpret
from bracketc.ir.nodes import Delta, Gather, Linalg, Node, Range, Reduce, Select, Stack, Tensor
from bracketc.ir.rewrite import topological
from bracketc.lang.elaborate import elaborate
from bracketc.lang.parser import parse_file
from bracketc.options import read_options

MODELS = Path(__file__).resolve().parent.parent / "models"

A, B, C = tensor("A", "I", "J"), tensor("B", "J", "K"), tensor("C", "I", "J")
S = tensor("S", "I", "I")
x, y, r = tensor("x", "J"), tensor("y", "J"), tensor("r", "I")
T3 = tensor("P", "N", "I", "J")
s = tensor("s")
N = Dim.named("N")


@pytest.mark.parametrize(
    ("node", "text"),
    [
        (einsum(1, [(A, "ij"), (B, "jk")], "ik"), "A @ B"),
        (einsum(1, [(A, "ij"), (B, "jk")], "ki"), "B^T @ A^T"),
        (einsum(1, [(A, "ij"), (C, "kj")], "ik"), "A @ C^T"),
        (einsum(1, [(A, "ij"), (x, "j")], "i"), "A @ x"),
        (einsum(1, [(A, "ij"), (r, "i")], "j"), "A^T @ r"),
        (einsum(1, [(x, "j"), (y, "j")], ""), "x · y"),
        (einsum(1, [(A, "ij"), (C, "ij")], ""), "A · C"),
        (einsum(1, [(A, "ij"), (C, "ij")], "j"), "(A ⊙ C)^T @ 𝟏"),
        (einsum(1, [(A, "ij")], "i"), "A @ 𝟏"),
        (einsum(1, [(A, "ij")], ""), "sum(A)"),
        (einsum(1, [(A, "ij")], "ji"), "A^T"),
        (einsum(1, [(S, "ii")], ""), "tr(S)"),
        (einsum(1, [(S, "ii")], "i"), "S_{[12]}"),
        (einsum(1, [(A, "ij"), (r, "i")], "ij"), "diag(r) @ A"),
        (einsum(1, [(r, "i"), (x, "j")], "ij"), "r x"),
        (einsum(1, [(r, "i"), (A, "ij"), (x, "j")], ""), "(A^T @ r) · x"),
        (einsum(1, [(A, "ij"), (A, "ij")], "ij"), "A**2"),
        (einsum(-1, [(A, "ij"), (s, "")], "ij"), "-s A"),
        (einsum(-1, [(reciprocal(size(N)), ""), (A, "ij")], "ij"), "-(1/N) A"),
        (einsum(2, [(reciprocal(size(N)), ""), (A, "ij")], "ij"), "(2/N) A"),
        (einsum(1, [(A, "ij"), (power(C, -1), "ij")], "ij"), "A ⊘ C"),
        (einsum(1, [(T3, "nij"), (B, "jk")], "nik"), "(P_ijl B_lk | ijk)"),
        (einsum(1, [(T3, "nij")], "jni"), "P_312"),
        (scale(3, add([A, scale(-1, C)])), "3 (A - C)"),
        (add([scale(-1, A), C]), "C - A"),
        (add([scale(2, A), scale(-2, C)]), "2 (A - C)"),
        (add([fill(1, A.shape), scale(-1, power(A, 2))]), "1 ⊖ A**2"),
        (add([A, scale(-1, add([C, C]))]), "A - (C + C)"),
        (pointwise("exp", scale(-1, A)), "exp(-A)"),
        (pointwise("sqrt", A), "sqrt(A)"),
        (power(A, -0.5), "A**-0.5"),
        (multiply(add([A, C]), A), "(A + C) ⊙ A"),
        (einsum(1, [(Linalg("inv", (S,)), "ij"), (r, "j")], "i"), "inv(S) @ r"),
        (Reduce("max", A, (0, 1)), "max(A)"),
        (Reduce("logsumexp", A, (1,)), "logsumexp^1(A)"),
        (Stack((x, y)), "stack(x, y)"),
        (fill(0, A.shape), "0 𝟏⟨I,J⟩"),
        (literal(3), "3"),
    ],
)
def test_a_bracket_is_written_as_people_write_it(node: Node, text: str) -> None:
    assert show(node) == text


def test_ascii_and_latex_spell_the_same_formula() -> None:
    node = einsum(-1, [(reciprocal(size(N)), ""), (multiply(A, C), "ij"), (r, "i")], "j")
    assert show(node) == "-(1/N) (A ⊙ C)^T @ r"
    assert show(node, style="ascii") == "-(1/N) (A * C)^T @ r"
    assert show(node, style="latex") == r"-\frac{1}{N} \left(A \odot C\right)^{\mathsf{T}} \, r"


def test_index_form_writes_every_bracket_with_labels() -> None:
    assert show(einsum(1, [(A, "ij"), (B, "jk")], "ik"), form="index") == "(A_ik B_kj | ij)"


def test_index_form_writes_sums_into_the_bracket_around_them() -> None:
    residual = add([einsum(1, [(A, "ij"), (x, "j")], "i"), scale(-1, r)])
    assert show(einsum(2, [(residual, "i"), (x, "j")], "ij"), form="index") == "2 ((A_ik x_k - r_i) x_j | ij)"
    assert show(einsum(1, [(add([S, einsum(2, [(S, "ij")], "ji")]), "ij"), (r, "j")], "i"), form="index") == (
        "((S_ij + 2 S_ji) r_j | i)"
    )
    spread = add([einsum(1, [(r, "i")], "ij", {"j": A.shape[1]}), A])  # the sum over j counts r J times
    assert show(einsum(1, [(spread, "ij")], "i"), form="index") == "(((𝟏_j r_i | ij) + A)_ij | i)"


def test_named_nodes_are_called_by_name() -> None:
    hidden = pointwise("tanh", einsum(1, [(A, "ij"), (B, "jk")], "ik"))
    assert show(einsum(1, [(hidden, "ik")], "k"), {hidden: "Z"}) == "Z^T @ 𝟏"


def test_shared_parts_get_one_name() -> None:
    shared = multiply(add([A, C]), A)
    first, second = einsum(1, [(shared, "ij"), (x, "j")], "i"), einsum(1, [(shared, "ij"), (r, "i")], "j")
    assert [e.text for e in equations([("u", first), ("v", second)], {})] == [
        "E = (A + C) ⊙ A", "u = E @ x", "v = E^T @ r",
    ]  # fmt: skip


def test_new_names_avoid_those_of_the_source() -> None:
    shared = multiply(add([A, C]), A)
    node = add([shared, pointwise("exp", shared)])
    (first, _) = equations([("y", node)], {}, taken=["E", "G"])
    assert first.left == "S"


def test_softmax_is_recognised_in_both_forms() -> None:
    rows = {"i": A.shape[0], "j": A.shape[1]}
    shift = einsum(-1, [(Reduce("logsumexp", A, (1,)), "i")], "ij", rows)
    assert show(pointwise("exp", add([A, shift]))) == "softmax^1(A)"
    assert show(add([A, shift])) == "ln(softmax^1(A))"
    exponential = pointwise("exp", A)
    total = einsum(1, [(exponential, "ij")], "i")
    assert show(einsum(1, [(exponential, "ij"), (reciprocal(total), "i")], "ij")) == "softmax^1(A)"


def test_labels_stand_in_conditions_as_numbers() -> None:
    I = S.shape[0]
    rows, columns = (einsum(1, [(Range(I), label)], "ij", {"i": I, "j": I}) for label in "ij")
    node = Select(compare(">=", rows, columns), S, einsum(1, [(S, "ij")], "ji"))
    assert show(node) == "(where(i >= j, S_ij, S_ji) | ij)"


def test_gathering_and_deltas() -> None:
    index = Tensor("c", (N,), "integer", (), Dim.named("I"))
    assert show(Gather(A, index)) == "A[c]"
    assert show(Delta(N)) == "eye(N)"
    assert show(Delta(N), style="latex") == r"\mathbf{I}_{N}"


def test_a_long_chain_is_broken_into_equations() -> None:
    node: Node = x
    for _ in range(30_000):
        node = pointwise("tanh", node)
    found = equations([("y", node)], {})
    assert len(found) > 1500 and max(len(e.right) for e in found) < 120


# ------------------------------------------------------------------------------------------------ the models
GRADIENTS = {
    "classifier": [
        "E = Z2 - Y",
        "G = (1/N) (1 ⊖ Z1**2) ⊙ (E @ W2^T)",
        "∇[W1](J) = X^T @ G",
        "∇[b1](J) = G^T @ 𝟏",
        "∇[W2](J) = (1/N) Z1^T @ E",
        "∇[b2](J) = (1/N) E^T @ 𝟏",
    ],
    "single_layer": ["E = (h - Y) ⊙ (1 ⊖ h**2)", "∇[W](J) = X^T @ E", "∇[b](J) = E^T @ 𝟏"],
    "linear": ["∇[w](J) = (1/N) X^T @ r + lam w", "∇[b](J) = (1/N) sum(r)"],
}


def gradient_formulas(model: str, style: StyleName = "unicode") -> tuple[Equation, ...]:
    done = compiler.derive(compiler.load(MODELS / f"{model}.brk"), read_options({}, {}, None))
    entry = next(e for e in done.entries if e.name == "value_and_grad")
    roots = [(heading(entry, name, style), node) for name, node in entry.results if name != "J"]
    taken = [spec.name for spec in done.program.sizes]
    return equations(roots, names_of(done.program, done.origins), style, taken=taken)


def products_of(text: str) -> list[str]:
    """The factors of an element-wise product in any order, so that a change of canonical order is no failure."""
    left, _, right = text.partition(" = ")
    return [left, *sorted(re.split(r" [⊙+] ", right))]


@pytest.mark.parametrize("model", GRADIENTS)
def test_gradients_of_the_models_read_like_the_text(model: str) -> None:
    found = [e.text for e in gradient_formulas(model)]
    assert list(map(products_of, found)) == list(map(products_of, GRADIENTS[model]))


def test_a_recurrence_is_shown_as_one() -> None:
    found = gradient_formulas("recurrent")
    assert [e.text for e in found if e.left == "Z[0]"] == ["Z[0] = Z0"]
    (step,) = [e for e in found if e.left == "Z[t]"]
    assert step.right.startswith("tanh(") and "Z[t-1] @ W" in step.right and step.condition == "  for t = 1..T"
    assert any(e.condition == "  for t = T..1" for e in found)


@pytest.mark.parametrize("model", sorted(path.stem for path in MODELS.glob("*.brk")))
def test_latex_has_balanced_groups(model: str) -> None:
    text = typeset(gradient_formulas(model, "latex"), "latex")
    assert text.startswith("\\begin{align*}") and text.endswith("\\end{align*}")
    assert text.count("{") == text.count("}")
    assert text.count(r"\left(") == text.count(r"\right)")
    assert not re.search(r"_\{[^{}]*\}_|\^\{[^{}]*\}\^", text), "a double index"
    assert text.isascii()


# ------------------------------------------------------------------------------------------------ reading back
def as_source(arguments: Sequence[Tensor], lines: Sequence[Equation], outputs: Sequence[str]) -> str:
    text = [f"dim {', '.join(SIZES)}"]
    for argument in arguments:
        dims = ", ".join(map(str, argument.shape)) or "scalar"
        traits = f"integer in {argument.bound}" if argument.dtype == "integer" else " ".join(argument.traits)
        text.append(f"input {argument.name} : {dims} {traits}")
    return "\n".join([*text, *(line.text for line in lines), f"output {', '.join(outputs)}"])


@pytest.mark.parametrize("form", ["auto", "index", "bracket"])
@pytest.mark.parametrize("style", ["unicode", "ascii"])
@pytest.mark.parametrize("seed", range(80))
def test_formulas_of_random_graphs_mean_what_they_came_from(seed: int, style: StyleName, form: str) -> None:
    roots, values = random_graph(seed)
    names = [f"r{k}" for k in range(len(roots))]
    lines = equations(list(zip(names, roots, strict=True)), {}, style, form, taken=list(SIZES))  # type: ignore[arg-type]
    arguments = [node for node in topological(roots) if isinstance(node, Tensor)]
    text = as_source(arguments, lines, names)
    program = elaborate(parse_file(Source(text)))
    by_name = {node.name: values[node] for node in arguments}
    given = {tensor: by_name[tensor.name] for tensor in program.arguments}
    found = interpret([node for _, node in program.results], given, SIZES)
    for expected, actual in zip(interpret(roots, values, SIZES), found, strict=True):
        np.testing.assert_allclose(actual, expected, rtol=1e-8, atol=1e-9, err_msg=text)


def test_a_label_in_an_index_is_not_called_like_a_size_of_the_source() -> None:
    """With ``dim k = 3`` an index ``[i, j+k-1]`` would be read as ``[i, j+2]``."""
    source = "dim n = 6, k = 3\nparam x : n\nF[s,u] = x[s+u-1] for s = 1..4, u = 1..3\nJ = norm2(F)\n"
    program = compiler.parse(source + "gradient J wrt x")
    done = compiler.derive(program, read_options({}, {}, None))
    (root,) = (node for e in done.entries if e.name == "value_and_grad" for name, node in e.results if name == "x")
    names = names_of(done.program, done.origins)
    (line,) = equations([("G", root)], names, taken=taken_names(done.program))
    back = dict(compiler.parse(source + line.text).results)["G"]
    value = np.arange(1.0, 7.0)
    (x,) = program.arguments
    (found,) = interpret([back], {x: value}, {})
    np.testing.assert_allclose(found, 2 * np.array([1, 2, 3, 3, 2, 1]) * value)


def test_a_label_in_a_condition_is_not_called_like_a_size_of_the_source() -> None:
    """With ``dim i = 3`` the comparison ``where(i >= j, …)`` would be one of sizes."""
    source = "dim i = 3, j = 3\nparam A : i, j\nB = (where(a >= b, A_ab, 2 A_ba) | ab)\nJ = norm2(B)\n"
    program = compiler.parse(source + "gradient J wrt A")
    done = compiler.derive(program, read_options({}, {}, None))
    (root,) = (node for e in done.entries if e.name == "value_and_grad" for name, node in e.results if name == "A")
    names = names_of(done.program, done.origins)
    text = "\n".join(line.text for line in equations([("G", root)], names, taken=taken_names(done.program)))
    back = dict(compiler.parse(source + text).results)["G"]
    value = np.arange(1.0, 10.0).reshape(3, 3)
    (argument,) = program.arguments
    (found,) = interpret([back], {argument: value}, {})
    below = np.tri(3)
    np.testing.assert_allclose(found, 2 * below * value + 8 * (1 - below).T * value, err_msg=text)
