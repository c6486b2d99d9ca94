"""One wrong thing in a right step is refuted, and named where a single change mends it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from bracketc.errors import Source
from bracketc.ir import build
from bracketc.ir.nodes import Einsum, Node, Tensor
from bracketc.ir.program import Program
from bracketc.ir.rewrite import substitute, tensors
from bracketc.lang.claims import Claim, elaborate_derivations
from bracketc.lang.parser import parse_file
from bracketc.proof.verify import judge

FILES = sorted((Path(__file__).resolve().parent.parent / "examples" / "derivations").glob("*.brk"))


def claims(path: Path) -> tuple[Program, list[Claim]]:
    found = elaborate_derivations(parse_file(Source(path.read_text(encoding="utf-8"), path.name)))
    every = [claim for block in found.blocks for claim in block.claims if claim.kind != "definition"]
    return found.program, [claim for claim in every if not _is_zero(claim.left) and not _is_zero(claim.right)]


def _is_zero(side: Node | None) -> bool:
    return side is None or build.is_zero(side)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_sign_and_a_factor_are_refuted_and_named(path: Path) -> None:
    program, every = claims(path)
    for claim in every[::3]:
        assert claim.right is not None
        negated = judge(replace(claim, right=build.scale(-1, claim.right)), program)
        assert negated.verdict == "refuted" and "sign" in negated.reason, claim.text
        doubled = judge(replace(claim, right=build.scale(2, claim.right)), program)
        assert doubled.verdict == "refuted" and "factor 1/2" in doubled.reason, claim.text


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_swapped_name_is_refuted(path: Path) -> None:
    """Every use of one tensor of the right side alone replaced by its square, entry by entry."""
    program, every = claims(path)
    for claim in every[::3]:
        assert claim.left is not None and claim.right is not None
        for tensor in tensors([claim.right])[:2]:
            if tensor.dtype != "real" or tensor.traits or not _is_linear_in(claim.right, tensor):
                continue
            (wrong,) = substitute((claim.right,), {tensor: build.multiply(tensor, tensor)})
            verdict = judge(replace(claim, right=wrong), program).verdict
            assert verdict == "refuted", (claim.text, tensor.name)


def _is_linear_in(node: Node, tensor: Tensor) -> bool:
    """Whether a bracket has the tensor for a factor, so that it matters."""
    return isinstance(node, Einsum) and tensor in node.operands
