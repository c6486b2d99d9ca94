"""Contractions as programs: layouts of products and the general ones that are benchmarked, of symbolic sizes; small ones of known
size."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from itertools import product
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TOGETHER = 6
"""General contractions of one program: kernels that several of them need are built once."""

_MATRIX = [*(("".join(a), "".join(b), "".join(c)) for a, b, c in product(("ik", "ki"), ("kj", "jk"), ("ij", "ji")))]
_VECTOR = [
    ("ik", "k", "i"), ("ki", "k", "i"), ("i", "j", "ij"), ("i", "j", "ji"), ("k", "k", ""), ("ik", "ik", ""), ("ik", "i", "ik"),
]  # fmt: skip
_BATCHED = [
    ("nik", "nkj", "nij"), ("nki", "njk", "nji"), ("ikn", "kjn", "ijn"), ("nik", "kj", "nij"), ("nik", "nk", "ni"),
    ("nik", "ni", "nk"), ("ink", "knj", "jni"), ("nk", "nk", "n"), ("ni", "nj", "nij"), ("kin", "knj", "ijn"),
]  # fmt: skip

EPILOGUES = """\
dim Di, Dj, Dk
input A : Di, Dk
input B : Dk, Dj
input C : Di, Dj
input b : Dj
input c : Di
P1 = tanh(A @ B + 𝟏 b)
P2 = A @ B + C ⊙ (A @ B)
P3 = relu(A @ B + c 𝟏) ⊙ C
P4 = softmax^1(A @ B)
P5 = A^T @ A
P6 = (A_ik A_jk | ij)
P7 = A @ (B ⊙ exp(-B ⊙ B))
P8 = sum(A @ B)
P9 = (max[j](A_ik B_kj) | ik)
output P1, P2, P3, P4, P5, P6, P7, P8, P9
"""


_SMALL = [(4, 4, 4), (8, 2, 2), (2, 8, 8), (7, 16, 5), (17, 16, 16), (33, 32, 4), (3, 5, 7)]
"""Rows, columns and terms."""


def _small() -> str:
    """Batches of small products, whose operands lie in order or turned."""
    lines, ends = ["dim N"], []
    for number, (m, n, k) in enumerate(_SMALL, 1):
        lines += [f"input A{number} : N, {m}, {k}", f"input B{number} : N, {k}, {n}"]
        lines += [f"input D{number} : N, {k}, {m}", f"input E{number} : N, {n}, {k}"]
        ends += [f"P{number} = (A{number}_xik B{number}_xkj | xij)", f"Q{number} = (D{number}_xki E{number}_xjk | xij)"]
    results = ", ".join(end.split(" = ")[0] for end in ends)
    return "\n".join([*lines, *ends, f"output {results}", ""])


def _program(cases: list[tuple[str, str, str]]) -> str:
    """All of them in one program; label x has the size Dx everywhere."""
    labels = sorted({label for case in cases for part in case for label in part})
    lines = [f"dim {', '.join(f'D{label}' for label in labels)}"]
    declared: dict[str, str] = {}
    ends = []
    for number, (left, right, out) in enumerate(cases, 1):
        for name, part in (("A", left), ("B", right)):
            declared[f"{name}{part}"] = f"input {name}{part} : {', '.join(f'D{label}' for label in part)}"
        ends.append(f"C{number} = (A{left}_{left} B{right}_{right} | {out})")
    ends.append(f"output {', '.join(f'C{number}' for number in range(1, len(cases) + 1))}")
    return "\n".join([*lines, *declared.values(), *ends, ""])


def programs() -> Iterator[tuple[str, str]]:
    """Name and source of each."""
    yield "layouts", _program([*_MATRIX, *_VECTOR])
    yield "batched", _program(_BATCHED)
    yield "epilogues", EPILOGUES
    yield "small", _small()
    sys.path.insert(0, str(ROOT / "benchmarks"))
    from contractions import CONTRACTIONS

    cases = [(case.left, case.right, case.out) for case in CONTRACTIONS]
    for number in range(0, len(cases), TOGETHER):
        yield f"general_{number // TOGETHER + 1}", _program(cases[number : number + TOGETHER])
