"""Products that are there anyway are read by the chains that hold them, and by nothing else."""

from __future__ import annotations

import random
from collections.abc import Mapping

import numpy as np
import pytest
from modelcases import arrays_of, sizes_of, stages_of

import bracketc as bc
from bracketc.ir.build import einsum, tensor
from bracketc.ir.interpret import interpret
from bracketc.ir.nodes import Einsum, Node, Tensor
from bracketc.ir.rewrite import Roots, tensors, topological
from bracketc.plan.association import reassociate
from bracketc.plan.hints import Hints
from bracketc.plan.interpret import run
from bracketc.plan.reuse import Known, reused
from bracketc.plan.schedule import Contract, Schedule

A, B, C = tensor("A", "I", "J"), tensor("B", "J", "K"), tensor("C", "K", "L")
SIZES = {"I": 3, "J": 4, "K": 5, "L": 2, "N": 3}


def bracket(factors: list[tuple[Node, str]], output: str, coefficient: int = 1) -> Einsum:
    made = einsum(coefficient, factors, output)
    assert isinstance(made, Einsum)
    return made


def same(left: Node, right: Node) -> None:
    rng = np.random.default_rng(0)
    values = {node: rng.normal(size=[SIZES[n] for e in node.shape for n in e.names]) for node in tensors([left])}
    first, second = interpret((left, right), values, SIZES)
    np.testing.assert_allclose(first, second, rtol=1e-12)


@pytest.mark.parametrize("coefficient", [1, -1])
def test_a_chain_reads_a_part_of_it_that_is_there(coefficient: int) -> None:
    part = bracket([(A, "ij"), (B, "jk")], "ki", coefficient)
    chain = bracket([(C, "kl"), (B, "jk"), (A, "ij")], "il", 2)
    found = reused(chain, Known(part, part))
    assert found is not None and set(found.operands) == {part, C}
    same(found, chain)


def test_a_sum_that_goes_on_outside_is_not_replaced() -> None:
    x = tensor("x", "J")
    part = bracket([(A, "ij"), (B, "jk")], "ik")
    assert reused(bracket([(A, "ij"), (B, "jk"), (x, "j")], "ik"), Known(part, part)) is None
    assert reused(bracket([(A, "ij"), (B, "jk")], "ijk"), Known(part, part)) is None
    assert reused(bracket([(A, "ij"), (C, "kl")], "ijkl"), Known(part, part)) is None


def test_a_diagonal_is_no_product_of_two_labels() -> None:
    square = tensor("S", "N", "N")
    part = bracket([(square, "ij"), (square, "jk")], "ik")
    trace = bracket([(square, "ij"), (square, "ji")], "")
    assert reused(trace, Known(part, part)) is None
    third = bracket([(square, "ij"), (square, "jk"), (square, "kl")], "il")
    found = reused(third, Known(part, part))
    assert found is not None
    same(found, third)


def test_equal_factors_are_told_apart_by_their_labels() -> None:
    gram = bracket([(A, "ij"), (A, "kj")], "ik")
    chain = bracket([(A, "kj"), (B, "jm"), (A, "ij"), (A, "il")], "kml")
    found = reused(chain, Known(gram, gram))
    assert found is None  # j goes on in B
    chain = bracket([(A, "kj"), (A, "ij"), (A, "il"), (B, "lm")], "km")
    found = reused(chain, Known(gram, gram))
    assert found is not None and gram in found.operands
    same(found, chain)


@pytest.mark.parametrize("seed", range(60))
def test_random_chains_with_shared_parts_keep_their_values(seed: int) -> None:
    rng = random.Random(seed)
    widths = [rng.choice("IJKLN") for _ in range(rng.randint(4, 7))]
    parts: list[tuple[Node, int, int]] = [
        (tensor(f"M{k}", widths[k], widths[k + 1]), k, k + 1) for k in range(len(widths) - 1)
    ]
    roots: list[Node] = []
    for _ in range(6):
        first, start, middle = rng.choice(parts)
        following = [(node, end) for node, begin, end in parts if begin == middle]
        if following:
            second, end = rng.choice(following)
            made = einsum(rng.choice([1, -1, 2]), [(first, "ij"), (second, "jk")], "ik")
            parts.append((made, start, end))
            roots.append(made)
    if not roots:
        return
    chosen = rng.sample(roots, min(len(roots), 3))
    found = reassociate(Roots(tuple(chosen), {}), Hints(SIZES)).roots.nodes
    values: Mapping[Tensor, np.ndarray] = {
        node: np.random.default_rng(seed).normal(size=[SIZES[n] for e in node.shape for n in e.names]) for node in tensors(chosen)
    }
    for before, after in zip(interpret(tuple(chosen), values, SIZES), interpret(found, values, SIZES), strict=True):
        np.testing.assert_allclose(after, before, rtol=1e-10, atol=1e-12)


def network(layers: int) -> str:
    names = [f"W{k}" for k in range(1, layers + 1)]
    lines = ["dim n, m", "input X : m, n", "input Y : m, 10 onehot rows", *(f"param {name} : n, n" for name in names[:-1])]
    lines += [f"param {names[-1]} : n, 10", "Z1 = relu(X @ W1)"]
    lines += [f"Z{k} = relu(Z{k - 1} @ W{k})" for k in range(2, layers)]
    lines += [f"J = -(ln(softmax^1(Z{layers - 1} @ W{layers})) · Y)", "hessian J wrt W1 as H"]
    return "\n".join(lines)


def products_with(schedule: Schedule, name: str) -> int:
    steps = [step for step in schedule.steps if isinstance(step, Contract)]
    return sum(name in (p.left.buffer.name, p.right.buffer.name) for step in steps for p in step.products)


def test_the_jacobian_on_both_sides_of_a_second_derivative_is_computed_once() -> None:
    program = bc.parse(network(6))
    done = stages_of(program)
    schedule = done.plan.schedule("H")
    for k in range(2, 5):
        assert products_with(schedule, f"W{k}") == 2, k  # the function, and the chain of slopes
    entry = next(entry for entry in done.entries if entry.name == "H")
    sizes, arrays = sizes_of(program), arrays_of(program)
    (found,) = run(schedule, arrays, sizes).results.values()
    values = {argument: arrays[argument.name] for argument in entry.arguments}
    (expected,) = interpret(entry.candidates[0].nodes, values, sizes)
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-12)


def test_what_is_read_never_depends_on_its_reader() -> None:
    part = bracket([(A, "ij"), (B, "jk")], "ik")
    whole = bracket([(part, "ik"), (C, "kl")], "il")
    again = bracket([(whole, "il"), (part, "kj")], "ijlk")
    found = reassociate(Roots((whole, again, part), {}), Hints(SIZES)).roots.nodes
    for node in found:
        assert node not in topological(node.operands)
