"""Every step of the example derivations with one thing changed: what changes the value is refuted, nothing else is.

    python tests/mutants.py [FILE…]     all of them, with a table of kinds
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from bracketc.calculus.derivatives import expand_derivatives
from bracketc.errors import BracketError, Source
from bracketc.ir import build
from bracketc.ir.interpret import interpret
from bracketc.ir.nodes import Node
from bracketc.ir.program import Program
from bracketc.ir.rewrite import Roots, tensors
from bracketc.lang import syntax
from bracketc.lang.claims import elaborate_derivations
from bracketc.lang.parser import parse_file
from bracketc.lang.proofs import Claim
from bracketc.proof.edits import KINDS, Kind, edits
from bracketc.proof.samples import draw, draw_sizes
from bracketc.proof.verify import judge

FILES = sorted((Path(__file__).resolve().parent.parent / "examples" / "derivations").glob("*.brk"))

POINTS = 3


@dataclass(frozen=True)
class Mutant:
    """A step whose right side was changed in one place; ``differs`` when that changes its value."""

    kind: Kind
    advice: str
    claim: Claim
    program: Program
    differs: bool

    def verdict(self) -> str:
        return judge(self.claim, self.program, advise=False).verdict


def mutants(path: Path, every: int = 1) -> Iterator[Mutant]:
    """The mutants of a file that can be read, of each kind the first of ``every``."""
    found = elaborate_derivations(parse_file(Source(path.read_text(encoding="utf-8"), path.name)))
    seen: Counter[str] = Counter()
    for block in found.blocks:
        for claim in block.claims:
            if claim.kind == "definition" or claim.pairing is None or claim.right is None:
                continue
            expr = claim.pairing.right.expr
            if isinstance(expr, syntax.Number):
                continue
            number = claim.cases[0].where[1] if claim.cases else None
            names = tuple(dict.fromkeys(n.text for n in syntax.walk(expr) if isinstance(n, syntax.Name)))
            whole: list[tuple[Kind, syntax.Expr | None, str]] = [("sign", None, "negated"), ("factor", None, "doubled")]
            for kind, tree, advice in [*whole, *((e.kind, e.tree, e.advice) for e in edits(expr, names))]:
                seen[kind] += 1
                if (seen[kind] - 1) % every:
                    continue
                if tree is None:
                    node: Node | None = build.scale(-1 if kind == "sign" else 2, claim.right)
                else:
                    node = claim.pairing.again(tree, True, number)
                if node is None or node.shape != claim.right.shape:
                    continue
                differs = _differ(claim.right, node, found.program)
                if differs is not None:
                    yield Mutant(kind, advice, replace(claim, right=node, cases=()), found.program, differs)


def _differ(old: Node, new: Node, program: Program) -> bool | None:
    """Whether two tensors differ, by the interpreter alone; None where that is not clear."""
    try:
        old, new = expand_derivatives(Roots((old, new))).nodes
    except BracketError:
        return None
    distances = []
    for seed in range(POINTS):
        rng = np.random.default_rng(100 + seed)
        sizes = draw_sizes(program, rng)
        arrays = {tensor: draw(tensor, sizes, rng, positive=seed == 1) for tensor in tensors([old, new])}
        try:
            first, second = interpret([old, new], arrays, sizes)
        except (ValueError, IndexError, np.linalg.LinAlgError):
            return None
        if not (np.all(np.isfinite(first)) and np.all(np.isfinite(second))):
            return None
        largest = max((float(np.max(np.abs(array), initial=0.0)) for array in arrays.values()), default=0.0)
        sides = (float(np.max(np.abs(side), initial=0.0)) for side in (first, second))
        scale = max(*sides, 1e-3 * largest)  # what should be 0 is so up to rounding
        distances.append(float(np.max(np.abs(first - second), initial=0.0)) / scale if scale else 0.0)
    if max(distances) > 1e-5:
        return True
    return False if max(distances) < 1e-11 else None


def main(paths: list[Path]) -> int:
    """Judge all mutants; status 1 when one gets a wrong verdict."""
    counts: Counter[tuple[str, str]] = Counter()
    wrong = 0
    for path in paths:
        for mutant in mutants(path):
            verdict = mutant.verdict()
            counts[mutant.kind, "differs" if mutant.differs else "same"] += 1
            right = verdict == "refuted" if mutant.differs else verdict in ("proved", "confirmed")
            if not right:
                wrong += 1
                how = "differs" if mutant.differs else "is the same"
                print(f"{path.name}: {mutant.claim.text}: {mutant.advice}: {verdict}, though it {how}")
    print(f"{'change':<15}{'changes the value':>20}{'does not':>12}")
    for kind in KINDS:
        print(f"{kind:<15}{counts[kind, 'differs']:>20}{counts[kind, 'same']:>12}")
    print(f"{sum(counts.values())} mutants, {wrong} wrong verdicts")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main([Path(argument) for argument in sys.argv[1:]] or FILES))
