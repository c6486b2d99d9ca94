"""Laws of the notation on random terms: bracket terms and index brackets, associativity, differentials, spelling."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import bracketc as bc
from bracketc.calculus.derivatives import jvp
from bracketc.errors import Source
from bracketc.ir.interpret import interpret
from bracketc.ir.nodes import Node, Tensor
from bracketc.ir.program import Program
from bracketc.ir.rewrite import tensors
from bracketc.lang.format import STYLES, format_file
from bracketc.lang.parser import parse_file

RANKS = {"X": 2, "A": 2, "T": 3, "u": 1, "v": 1}
SIZE = 3
HEAD = "".join(f"input {name} : {', '.join('3' * rank)}\n" for name, rank in RANKS.items())
RNG = np.random.default_rng(11)
ARRAYS = {name: RNG.standard_normal((SIZE,) * rank) for name, rank in RANKS.items()}
DIRECTION = RNG.standard_normal((SIZE, SIZE))


@dataclass(frozen=True)
class Term:
    """Occurrences of tensors; ``slots`` fuses their positions (occurrence, position), each with a bar or not, in order."""

    occurrences: tuple[str, ...]
    slots: tuple[tuple[tuple[tuple[int, int], ...], bool], ...]

    def name(self, occurrence: int, position: int) -> str:
        name = self.occurrences[occurrence]
        return name if RANKS[name] == 1 else f"{name}#{occurrence + 1}_{position + 1}"

    @property
    def bracket(self) -> str:
        """``[~X#1_1 A#2_2] X#1_2 A#2_1``"""
        parts = []
        for members, barred in self.slots:
            names = [self.name(*member) for member in members]
            bar = "~" if barred else ""
            parts.append(f"[{bar}{' '.join(names)}]" if len(names) > 1 else bar + names[0])
        return " ".join(parts)

    def labels(self, occurrence: int) -> str:
        place = {member: "abcdefghijklmnop"[k] for k, (members, _) in enumerate(self.slots) for member in members}
        return "".join(place[occurrence, position] for position in range(RANKS[self.occurrences[occurrence]]))

    @property
    def output(self) -> str:
        return "".join("abcdefghijklmnop"[k] for k, (_, barred) in enumerate(self.slots) if not barred)

    @property
    def index(self) -> str:
        """``(X_ab A_ca | bc)``"""
        factors = [f"{name}_{self.labels(k)}" for k, name in enumerate(self.occurrences)]
        return f"({' '.join(factors)} | {self.output})"

    def value(self, arrays: list[Any]) -> Any:
        subscripts = ",".join(self.labels(k) for k in range(len(self.occurrences)))
        return np.einsum(f"{subscripts}->{self.output}", *arrays)


@st.composite
def terms(draw: Any, needs: str = "") -> Term:
    occurrences = draw(st.lists(st.sampled_from(sorted(RANKS)), min_size=1, max_size=4))
    occurrences += [needs] if needs else []
    positions = [(k, p) for k, name in enumerate(occurrences) for p in range(RANKS[name])]
    positions = draw(st.permutations(positions))
    groups: list[list[tuple[int, int]]] = []
    for position in positions:
        at = draw(st.integers(0, len(groups)))
        if at == len(groups) or len(groups[at]) == 3:
            groups.append([position])
        else:
            groups[at].append(position)
    bars = draw(st.lists(st.booleans(), min_size=len(groups), max_size=len(groups)))
    free = [k for k, barred in enumerate(bars) if not barred]
    bars = [barred or k not in free[:5] for k, barred in enumerate(bars)]
    return Term(tuple(occurrences), tuple((tuple(g), b) for g, b in zip(groups, bars, strict=True)))


def program(text: str, head: str = HEAD) -> Program:
    return bc.parse(f"{head}F = {text}")


def node(text: str, head: str = HEAD) -> Node:
    return dict(program(text, head).definitions)["F"]


def value(root: Node, **more: Any) -> Any:
    known = ARRAYS | more
    return interpret([root], {tensor: known[tensor.name] for tensor in tensors([root])})[0]


@given(terms())
def test_a_bracket_term_is_an_einsum(term: Term) -> None:
    want = term.value([ARRAYS[name] for name in term.occurrences])
    for text in (term.bracket, term.index):
        np.testing.assert_allclose(value(node(text)), want, rtol=1e-9, atol=1e-9, err_msg=text)


@given(terms())
def test_both_spellings_of_a_program_are_the_same_program(term: Term) -> None:
    source = Source(f"{HEAD}F = 2 {term.bracket} - {term.index}\ngradient J wrt X\nJ = sum(X)\n")
    tree = parse_file(source)
    programs = [bc.parse(source.text), *(bc.parse(format_file(tree, source, style)) for style in STYLES)]
    assert programs[0].definitions == programs[1].definitions == programs[2].definitions
    assert [p.requests[0].wrt for p in programs] == [("X",)] * 3


@given(terms(needs="X"))
def test_the_differential_has_a_term_for_each_occurrence(term: Term) -> None:
    """d B(X, …, X) = B(dX, …, X) + … + B(X, …, dX)."""
    root = node(term.bracket)
    (x,) = (tensor for tensor in program(term.bracket).arguments if tensor.name == "X")
    direction = Tensor("dX", x.shape)
    (tangent,) = jvp((root,), (x,), (direction,))
    want = 0
    for k, name in enumerate(term.occurrences):
        if name == "X":
            want = want + term.value([DIRECTION if j == k else ARRAYS[n] for j, n in enumerate(term.occurrences)])
    np.testing.assert_allclose(value(tangent, dX=DIRECTION), want, rtol=1e-9, atol=1e-9)


@given(terms(), st.permutations([1, 2, 3, 4, 5]))
def test_permutations_are_those_of_the_result(term: Term, order: list[int]) -> None:
    rank = len(term.output)
    chosen = [position for position in order if position <= rank]
    if not chosen:
        return
    want = term.value([ARRAYS[name] for name in term.occurrences]).transpose([position - 1 for position in chosen])
    found = value(node(f"({term.bracket})_{''.join(map(str, chosen))}"))
    np.testing.assert_allclose(found, want, rtol=1e-9, atol=1e-9)


OPERANDS = st.integers(1, 4)
CHAINS = [("·", "·"), ("·", "⊙"), ("⊙", "·"), ("⊙", "⊙")]


def holds(first: str, second: str, k: int, h: int, middle: int) -> bool:
    """Where (A op_k B) op_h C = A op_k (B op_h C) is guaranteed."""
    return max(k, h) <= middle if (first, second) == ("⊙", "⊙") else k + h <= middle


@pytest.mark.parametrize(("first", "second"), CHAINS)
@given(ranks=st.tuples(OPERANDS, OPERANDS, OPERANDS), k=st.integers(1, 3), h=st.integers(1, 3))
def test_chains_associate_exactly_where_stated(first: str, second: str, ranks: tuple[int, int, int], k: int, h: int) -> None:
    """The chain without parentheses is accepted where the law holds; elsewhere the two readings differ, or one has no value."""
    head = "".join(f"input {name} : {', '.join('2' * rank)}\n" for name, rank in zip("PQR", ranks, strict=True))
    arrays = {name: np.random.default_rng(5).standard_normal((2,) * rank) for name, rank in zip("PQR", ranks, strict=True)}

    def reading(text: str) -> Any:
        try:
            return value(node(text, head), **arrays)
        except bc.BracketError:
            return None

    chain = reading(f"P {first}_{k} Q {second}_{h} R") if first == second else None
    left = reading(f"(P {first}_{k} Q) {second}_{h} R")
    right = reading(f"P {first}_{k} (Q {second}_{h} R)")
    if left is None and right is None:
        assert chain is None
    elif holds(first, second, k, h, ranks[1]):
        assert left is not None and right is not None
        np.testing.assert_allclose(left, right)
        if first == second:
            assert chain is not None
            np.testing.assert_allclose(chain, left)
    else:
        assert chain is None
        assert left is None or right is None or left.shape != right.shape or not np.allclose(left, right)


@given(st.permutations(["u", "v", "X", "A"]))
def test_kronecker_products_and_plain_fusions_associate(names: list[str]) -> None:
    a, b, c, d = names
    assert node(f"({a} ⊗ {b}) ⊗ ({c} ⊗ {d})").shape == node(f"{a} {b} {c} {d}").shape
    np.testing.assert_allclose(value(node(f"({a} ⊗ {b}) ⊗ ({c} ⊗ {d})")), value(node(f"{a} ⊗ ({b} ⊗ ({c} ⊗ {d}))")))
    np.testing.assert_allclose(value(node("(X ⊙ A) ⊙ X")), value(node("X ⊙ (A ⊙ X)")))


@pytest.mark.parametrize(
    ("chain", "left", "right"),
    [
        ("A ^1·^1 X ^1·^1 T", "(A ^1·^1 X) ^1·^1 T", "A ^1·^1 (X ^1·^1 T)"),
        ("A ^2⊙^1 X ^1⊙^1 A", "(A ^2⊙^1 X) ^1⊙^1 A", "A ^2⊙^1 (X ^1⊙^1 A)"),
    ],
)
def test_position_lists_do_not_associate(chain: str, left: str, right: str) -> None:
    with pytest.raises(bc.BracketError, match="does not associate"):
        program(chain)
    one, other = value(node(left)), value(node(right))
    assert one.shape != other.shape or not np.allclose(one, other)
