"""Derivations that bracketc writes, read again as a file of a user and judged step by step."""

from __future__ import annotations

from bracketc.calculus.derivatives import expand_derivatives
from bracketc.errors import Source
from bracketc.ir.rewrite import Roots
from bracketc.lang.claims import Claim, Derivations, elaborate_derivations
from bracketc.lang.parser import parse_file
from bracketc.proof.trial import trial
from bracketc.proof.verify import verify_derivations


def read_back(text: str, block: str, path: str = "model.brk") -> Derivations:
    """A block under the program ``text``, read again."""
    return elaborate_derivations(parse_file(Source(f"{text}\n{block}\n", path)))


def wrong(text: str, block: str) -> list[str]:
    """The steps that `verify` does not accept."""
    steps = [step for proof in verify_derivations(read_back(text, block)) for step in proof.judgements]
    assert steps
    return [f"{step.verdict}: {step.claim.text}: {step.reason}" for step in steps if not step.accepted]


def disagreeing(text: str, block: str) -> list[str]:
    """The steps whose sides differ at random points: what `verify` asks first, and quick for large models."""
    found = read_back(text, block)
    claims = claims_of(found)
    assert claims
    return [claim.text for claim in claims if not agrees(claim, found)]


def claims_of(found: Derivations) -> list[Claim]:
    return [claim for one in found.blocks for claim in one.claims]


def agrees(claim: Claim, found: Derivations) -> bool:
    sides = (claim.left, claim.right) if not claim.cases else (claim.cases[-1].left, claim.cases[-1].right)
    if sides[0] is None or sides[1] is None:
        return False
    left, right = expand_derivatives(Roots((sides[0], sides[1]))).nodes
    return left is right or trial(left, right, found.program).outcome == "agree"
