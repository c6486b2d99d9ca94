"""Reading and elaborating a file takes time in proportion to its length."""

from __future__ import annotations

import time

import bracketc as bc

STEPS = (
    "Z{k} = (Z{j}_ij W_jk | ik)",
    "Z{k} = [Z{j} X] + Z{j}  # a comment",
    "Z{k} = Z{j}_1 [~Z{j}_2 W_1] W_2 - 0.5 X",
    "Z{k} = Z{j} ⊙ V where V = X + 𝟏 b",
    "Z{k} = tanh(Z{j} @ W + 𝟏 b)",
)


def source(lines: int) -> str:
    head = ["dim N, M", "input X : N, M", "param W : M, M", "param b : M", "Z0 = X"]
    steps = [STEPS[k % len(STEPS)].format(k=k, j=k - 1) for k in range(1, lines - 4)]
    return "\n".join([*head, *steps])


def seconds(text: str) -> float:
    found = []
    for _ in range(3):
        start = time.process_time()
        bc.parse(text)
        found.append(time.process_time() - start)
    return min(found)


def test_eight_times_the_lines_take_about_eight_times_as_long() -> None:
    bc.parse(source(50))
    assert seconds(source(4000)) < 20 * seconds(source(500))
