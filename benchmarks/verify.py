"""How long `verify` takes: derivations of up to a few hundred steps, and random expressions of a thousand nodes compared.

    python benchmarks/verify.py
"""

from __future__ import annotations

import random
import time
from collections import Counter

from bracketc.errors import Source
from bracketc.lang.claims import elaborate_derivations
from bracketc.lang.parser import parse_file
from bracketc.proof.verify import verify_derivations

LAYER = """dim N, D, H
input X : N, D
input Y : N, H
param W : D, H
param b : H
function f(a) = tanh(a)
"""

STEPS = """derivation of J wrt W, b {
  J   = 0.5 (h - Y) · (h - Y)                   where h = f(X @ W + 𝟏 b)
  dJ  = (h - Y) · dh
      = Z · dh                                  where Z = h - Y
      = Z · (C ⊙ (X @ dW)) + Z · (C ⊙ (𝟏 db))   where C = f'(X @ W + 𝟏 b)
      = [~Z C (X_1 [X_2 ~dW_1] dW_2)] + [~Z C (𝟏 db)]
      = X_2 [Z C (~X_1 𝟏)] · dW + [Z C (~𝟏 𝟏)] · db
  ⟹ ∇[W](J) = X_2 [Z C (~X_1 𝟏)]
            = X^T @ (Z ⊙ C)
  ⟹ ∇[b](J) = [Z C (~𝟏 𝟏)]
            = (Z ⊙ C)^T @ 𝟏
}
"""

HEAD = """dim N, M
input A : N, N
input B : N, N
input C : N, M
input a : N
param x : N
"""

MATRICES, FUNCTIONS = ("A", "B"), ("tanh", "sin", "exp")


def vector(rng: random.Random, nodes: int) -> str:
    """A random expression for a vector with about so many nodes."""
    if nodes <= 1:
        return rng.choice(("a", "x"))
    kind = rng.randrange(5)
    if kind == 0:
        return f"({rng.choice(MATRICES)} @ {vector(rng, nodes - 2)})"
    if kind == 1:
        return f"{rng.choice(FUNCTIONS)}(0.1 ({vector(rng, nodes - 3)}))"
    half = rng.randrange(1, nodes - 1) if nodes > 2 else 1
    first, second = vector(rng, half), vector(rng, nodes - 1 - half)
    return f"({first} {rng.choice('+-⊙')} {second})"


def turned(text: str, rng: random.Random) -> str:
    """The same value written otherwise: matrix products with labels, sums and products the other way round."""
    text = text.replace("(A @ ", "(A^T^T @ ").replace(" ⊙ ", " ⊙ 𝟏 ⊙ ")
    return f"{text} + a - a"


def seconds(text: str) -> tuple[float, Counter[str]]:
    """CPU time of parsing, elaborating and judging, and the verdicts."""
    start = time.process_time()
    proofs = verify_derivations(elaborate_derivations(parse_file(Source(text, "bench.brk"))))
    verdicts = Counter[str](judgement.verdict for proof in proofs for judgement in proof.judgements)
    return time.process_time() - start, verdicts


def main() -> None:
    print(f"{'what':<44}{'seconds':>9}  verdicts")
    for count in (1, 5, 10, 20):
        took, verdicts = seconds(LAYER + count * STEPS)
        print(f"{f'{sum(verdicts.values())} steps of a layer':<44}{took:>9.2f}  {dict(verdicts)}")
    rng = random.Random(0)
    for nodes in (100, 300, 1000):
        text = vector(rng, nodes)
        for name, other in (("with itself, written otherwise", turned(text, rng)), ("with another one", vector(rng, nodes))):
            took, verdicts = seconds(f"{HEAD}derivation {{\n{text} = {other}\n}}\n")
            print(f"{f'{nodes} nodes {name}':<44}{took:>9.2f}  {dict(verdicts)}")
        took, verdicts = seconds(f"{HEAD}derivation wrt x {{\nd({text}) = d({turned(text, rng)})\n}}\n")
        print(f"{f'{nodes} nodes, differentials':<44}{took:>9.2f}  {dict(verdicts)}")


if __name__ == "__main__":
    main()
