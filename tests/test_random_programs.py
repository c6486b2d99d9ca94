"""Random source programs: every function of the emitted NumPy computes what the interpreter of the unsimplified program does."""

from __future__ import annotations

import dataclasses
import random
import sys
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any, get_args

import pytest
from random_patterns import ROWS, ROWS_KINKED, ROWS_MATRICES, ROWS_TRAITS
from random_programs import Expr, Generator, Source, Statement, parse, random_program, shrink

from bracketc.calculus.requests import entries
from bracketc.errors import Source as Text
from bracketc.ir import nodes
from bracketc.ir.functions import FUNCTIONS
from bracketc.ir.nodes import Compare, Linalg, Node, Pointwise, Reduce, Tensor
from bracketc.ir.rewrite import topological
from bracketc.lang import syntax, words
from bracketc.lang.parser import read_file

sys.path.insert(0, str(Path(__file__).parent.parent / "tools"))

from promises.answers import numpy
from promises.promise import Skip

SEEDS = range(60)
MANY = range(450)
"""Seeds that hold every construct."""


@pytest.mark.parametrize("seed", SEEDS)
def test_a_random_program_means_the_same_compiled(seed: int) -> None:
    try:
        assert numpy(random_program(seed), seed)
    except Skip as reason:
        pytest.skip(str(reason))


def test_shrinking_keeps_the_failure_and_little_else() -> None:
    source = random_program(7)
    target = next(statement for statement in source.statements if statement.head == "J").body
    assert target is not None
    grown = Expr((), "(({}) + tan(({})))", (target, Expr((), "sum((𝟏⟨N⟩ + 𝟏⟨N⟩))")))
    planted = Source((*(s for s in source.statements if s.head != "J"), Statement("J", grown)), source.wrt)
    found = shrink(planted, lambda candidate: "tan((" in candidate.text)
    assert "tan((" in found.text and len(found.text) < len(planted.text) / 2


def _parts(value: Any) -> Iterator[Any]:
    """Everything in a syntax tree."""
    if dataclasses.is_dataclass(value):
        yield value
        for field in dataclasses.fields(value):
            if field.name != "span":
                yield from _parts(getattr(value, field.name))
    elif isinstance(value, tuple):
        for member in value:
            yield from _parts(member)


def test_random_programs_hold_every_construct_of_the_language() -> None:
    parts = [part for seed in MANY for part in _parts(read_file(Text(random_program(seed).text), 200).tree)]
    kinds = {type(part) for part in parts}
    every = {*get_args(syntax.Statement), *get_args(syntax.Expr), *get_args(syntax.Entry)}
    assert {kind.__name__ for kind in every - kinds} == {"Differential"}  # of derivations alone
    called = {part.function.base for part in parts if isinstance(part, syntax.Call | syntax.FunctionDerivative)}
    called |= {part.operation for part in parts if isinstance(part, syntax.Reduction)}
    assert called | {"stop"} >= words.FUNCTIONS
    assert {part.operation for part in parts if isinstance(part, syntax.Reduction)} >= words.REDUCTIONS
    assert {part.operator for part in parts if isinstance(part, syntax.Comparison)} == {"<", "<=", ">", ">=", "==", "!="}
    assert set(words.TRAITS) <= {part.name.split()[0] for part in parts if isinstance(part, syntax.Trait)} | {"positive"}
    assert set(words.REQUESTS) <= {part.kind for part in parts if isinstance(part, syntax.Request)}
    asked = " ".join(request for seed in range(1000) for request in random_program(seed).requests).split()
    layouts = {after for word, after in pairwise(asked) if word == "layout"}
    assert set(words.LAYOUTS) <= layouts and any(layout.startswith("^") for layout in layouts)


def test_random_programs_hold_every_node() -> None:
    found: set[Node] = set()
    for seed in MANY:
        program = parse(random_program(seed))
        functions = entries(program) if program.requests[1:] and "gamma(" not in program.source.text else ()
        results = [node for entry in functions for _, node in entry.results]
        found |= set(topological([*(node for _, node in program.definitions), *results]))
    bodies = [result for node in found if isinstance(node, nodes.Recurrence) for result in node.body.results]
    found |= set(topological(bodies))
    kinds = {kind for kind in vars(nodes).values() if isinstance(kind, type) and issubclass(kind, Node) and kind is not Node}
    assert {kind.__name__ for kind in kinds - {type(node) for node in found}} == set()
    assert set(FUNCTIONS) == {node.function for node in found if isinstance(node, Pointwise)}
    assert {node.operator for node in found if isinstance(node, Reduce)} == {"max", "min", "prod", "logsumexp"}
    assert {node.operator for node in found if isinstance(node, Compare)} == {"<", "<=", ">", ">=", "==", "!="}
    operators = {node.operator for node in found if isinstance(node, Linalg)}
    assert operators >= {"inv", "solve", "solve_upper", "cholesky", "det", "logdet"}  # solve_lower is for planning
    assert {node.dtype for node in found if isinstance(node, Tensor)} == {"real", "integer"}


def test_every_pattern_has_the_type_that_it_says() -> None:
    for row in (*ROWS, *ROWS_KINKED, *ROWS_MATRICES, *ROWS_TRAITS):
        made = Generator(random.Random(1))
        made.rows = {len(row[0]): (row,)}
        for head in random_program(0).statements[:7]:
            made.add(head)
        letters = dict(zip("abcd", made.pool, strict=False))
        type = tuple(made.sized(letter, letters) for letter in row[0])
        made.statements.append(Statement("D", made.row(type, 0)))
        program = parse(Source(tuple(made.statements), ()))
        wanted = tuple({"T-1": "T - 1", "B": "2"}.get(size, size) for size in type)
        assert tuple(map(str, dict(program.definitions)["D"].shape)) == wanted, row
