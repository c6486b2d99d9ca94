"""Derivations that bracketc presents: every step is accepted by `verify`, and the conclusions are its own gradients."""

from __future__ import annotations

import pytest
from modelcases import MODELS

from bracketc.emit.notation import FormName, StyleName
from bracketc.emit.steps import derivation_block
from bracketc.errors import Source
from bracketc.lang.claims import elaborate_derivations
from bracketc.lang.layers import layered
from bracketc.lang.parser import parse_file
from bracketc.proof.present import present
from bracketc.proof.presentation import Presentation
from bracketc.proof.verify import Judgement, verify_derivations


def presented(text: str, target: str, *wrt: str) -> Presentation:
    return present(layered(parse_file(Source(text, "model.brk"))), target, wrt)


def judged(text: str, block: str) -> tuple[Judgement, ...]:
    """The verdict on every step of a block under the program ``text``."""
    proofs = verify_derivations(elaborate_derivations(parse_file(Source(f"{text}\n{block}\n", "model.brk"))))
    return tuple(judgement for proof in proofs for judgement in proof.judgements)


def wrong(text: str, presentation: Presentation, style: StyleName = "unicode", form: FormName = "auto") -> list[str]:
    """The steps that are not accepted."""
    steps = judged(text, derivation_block(presentation, style, form))
    assert steps
    return [f"{step.verdict}: {step.claim.text}: {step.reason}" for step in steps if not step.accepted]


LAYER = """dim N, D, H
input X : N, D
input Y : N, H
param W : D, H
param b : H
J = 0.5 (h - Y) · (h - Y) where h = tanh(X @ W + 𝟏 b)
"""


def test_the_single_layer_is_presented_as_in_section_6_1() -> None:
    assert derivation_block(presented(LAYER, "J", "W", "b")) == """derivation of J wrt W, b {
  dJ = (h - Y) · dh                         where h = tanh(X @ W + 𝟏 b)   [by the product rule]
     = P · (X @ dW) + P · (𝟏 db)            where P = (h - Y) ⊙ (1 ⊖ h**2)   [by the chain rule]
     = (X^T @ P) · dW + (P^T @ 𝟏) · db      [by taking dW, db out]
  ⟹ ∇[W](J) = X^T @ P,  ∇[b](J) = P^T @ 𝟏
}"""


@pytest.mark.parametrize("style", ["unicode", "ascii"])
def test_the_single_layer_is_accepted(style: StyleName) -> None:
    assert wrong(LAYER, presented(LAYER, "J", "W", "b"), style) == []


@pytest.mark.parametrize("name", MODELS)
def test_every_step_of_a_model_is_accepted(name: str) -> None:
    text = MODELS[name].read_text(encoding="utf-8")
    tree = parse_file(Source(text, f"{name}.brk"))
    found = layered(tree)
    wrt = [tensor.name for tensor in found.arguments if found.kinds[tensor.name] == "param"]
    assert wrong(text, present(found, "J", wrt)) == []
