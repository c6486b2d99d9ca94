"""What is wrong with a derivation that cannot be read: every kind with its message, its place and its fix."""

from __future__ import annotations

import pytest

from bracketc.errors import Source
from bracketc.lang.claims import elaborate_derivations
from bracketc.lang.parser import parse_file
from bracketc.proof.verify import Judgement, verify_derivations

HEAD = """dim N, M
input A : N, N
input B : N, M
input a : N
input c : N
param x : N
param W : N, M
K = A @ x
J = a · K
loss = J
"""


def judged(text: str) -> list[Judgement]:
    proofs = verify_derivations(elaborate_derivations(parse_file(Source(HEAD + text, "test.brk"))))
    return [judgement for proof in proofs for judgement in proof.judgements]


WRONG = {
    # what is wrong: (block, number of steps that stand, message, what is underlined, the help or a note)
    "circular abbreviations": (
        "derivation {\n  x = u where u = v + x, v = u + x\n}", 0,
        "circular definition of u, v", "u", "a local name may not need itself",
    ),
    "a name before its where": (
        "derivation {\n  A @ x = u\n  A @ x = A @ x  where u = A @ x\n  u = A @ x\n}", 2,
        "u is used before its `where`", "u", "move the `where` up to this line",
    ),
    "a name that nothing binds": (
        "derivation {\n  A @ x = A @ y\n}", 0, "unknown name y", "y", "declare or define it",
    ),
    "the differential of a constant": (
        "derivation wrt x {\n  d(A @ x) = dA @ x + A @ dx\n}", 0,
        "dA is the differential of a constant", "dA", "x varies here; name A behind `wrt`",
    ),
    "a differential that varies nothing": (
        "derivation wrt x {\n  d(A @ a) = 0\n}", 0,
        "d(A @ a) is the differential of a constant", "d(A @ a)", "it is 0: leave it out, or write a bare 0",
    ),
    "a conclusion without a differential": (
        "derivation of J wrt x {\n  J = a · (A @ x)\n  ⟹ ∇[x](J) = A^T @ a\n}", 1,
        "a conclusion without a differential", "∇[x](J) = A^T @ a", "derive dJ = A · dW first, then conclude",
    ),
    "a conclusion that is no equation": (
        "derivation of J wrt x {\n  dJ = a · dK\n  ⟹ A^T @ a\n}", 1,
        "a conclusion is an equation", "A^T @ a", "write ∇[W](J) = …",
    ),
    "sides of different ranks": (
        "derivation {\n  A @ x = A\n}", 0,
        "the sides have different ranks: left is a vector (N), right is a matrix (N, N)", "A", "left, a vector (N)",
    ),
    "sides of different shapes": (
        "derivation {\n  A @ x = B^T @ x\n}", 0,
        "the sides have different shapes: dimension 1 is N left and M right", "B^T @ x", "transpose one side",
    ),
    "different shapes in the third step": (
        "derivation wrt x {\n  d(A @ x) = A @ dx\n  = A @ dx + A @ dx - A @ dx\n  = B^T @ dx\n}", 2,
        "dimension 1 is N left and M right", "B^T @ dx", "left, a vector (N)",
    ),
    "shapes that disagree inside a step": (
        "derivation {\n  A @ x = B @ x\n}", 0, "N", "B @ x", "M",
    ),
    "a derivation of something that nothing defines": (
        "derivation of Q wrt x {\n  x = x\n}", 0,
        "Q is not defined", "Q", "define it in the file, or in the first line: Q = …",
    ),
    "a derivation of something misspelled": (
        "Loss = a · x\nderivation of Lost wrt x {\n  x = x\n}", 0, "Lost is not defined", "Lost", "did you mean Loss?",
    ),
    "a target that is misspelled later": (
        "derivation of J wrt x {\n  dJ = a · dK\n  ⟹ ∇[x](lss) = A^T @ a\n}", 1, "unknown name lss", "lss", "did you mean loss?",
    ),
    "something unknown that varies": (
        "derivation of J wrt y {\n  J = a · K\n}", 0, "unknown name y", "y", "declare or define it",
    ),
    "a citation of nothing": (
        "derivation {\n  (eq1) A @ x = K\n  K = A @ x  [by eq2]\n}", 1,
        "no line and no derivation is labelled (eq2)", "[by eq2]", "did you mean (eq1)?",
    ),
    "a citation in parentheses": (
        "derivation {\n  K = A @ x  [by the rule (chain)]\n}", 0,
        "no line and no derivation is labelled (chain)", "[by the rule (chain)]", "label a line: (chain) A = B",
    ),
    "a citation of what stands below": (
        "derivation {\n  K = A @ x  [by eq2]\n  (eq2) A @ x = K\n}", 0,
        "(eq2) stands below the step that cites it", "[by eq2]", "cite what stands before it",
    ),
    "a citation of itself": (
        "derivation {\n  (eq1) K = A @ x  [by eq1]\n}", 0,
        "circular citation: a step cites itself", "[by eq1]", "cite what stands before it",
    ),
    "citations in a circle": (
        "derivation {\n  (eq1) K = A @ x  [by eq2]\n  (eq2) A @ x = K  [by eq1]\n}", 0,
        "circular citation: (eq1), which cites (eq2), which cites (eq1)", "[by eq2]", "cite what stands before it",
    ),
    "a citation of the derivation around it": (
        "(whole) derivation {\n  K = A @ x  [by (whole)]\n}", 0,
        "circular citation: a step cites the derivation that it is part of", "[by (whole)]", "cite what stands before it",
    ),
    "two lines of one label": (
        "derivation {\n  (eq1) K = A @ x\n  (eq1) K = A @ x\n}", 1,
        "two lines are labelled (eq1)", "(eq1)", "choose another label",
    ),
}


@pytest.mark.parametrize(("block", "stand", "message", "place", "advice"), WRONG.values(), ids=list(WRONG))
def test_what_is_wrong_is_said_where_it_stands(block: str, stand: int, message: str, place: str, advice: str) -> None:
    steps = judged(block + "\n")
    assert sum(step.accepted for step in steps) >= stand
    rejected = [step for step in steps if step.verdict == "rejected"]
    found = [diagnostic for step in rejected for diagnostic in step.diagnostics if message in diagnostic.message]
    assert found, [step.reason for step in steps]
    assert found[0].span is not None and found[0].span.text == place
    assert advice in found[0].render()


@pytest.mark.parametrize(
    ("block", "cites"),
    [
        ("(eq1) derivation {\n  (eq2) K = A @ x\n}\nderivation {\n  K = A @ x [by eq1 and eq2]\n}", ("eq1", "eq2")),
        ("derivation {\n  (first) K = A @ x\n  K = A @ x [by first]\n}", ("first",)),
        ("derivation {\n  (eq1) K = A @ x\n  K = A @ x [by the rule of (eq1)]\n}", ("eq1",)),
        ("derivation {\n  K = A @ x [by symmetry]\n}", ()),
        ("derivation {\n  K = A @ x [by the product rule]\n}", ()),
    ],
)
def test_what_a_remark_cites(block: str, cites: tuple[str, ...]) -> None:
    steps = judged(block + "\n")
    assert all(step.accepted for step in steps), [step.reason for step in steps]
    assert steps[-1].claim.cites == cites
