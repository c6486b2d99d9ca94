"""Derivation blocks elaborated: every equation between neighbouring members of a chain, as two tensors.

    dJ = Z · dh = Z · (C ⊙ dA)    ->    the claims  dJ = Z · dh  and  Z · dh = Z · (C ⊙ dA)

What cannot be read becomes a claim with its diagnostics; the other claims of the block stand.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal as OneOf

from bracketc.errors import Diagnostic, Span
from bracketc.ir import build
from bracketc.ir.dims import Dim
from bracketc.ir.nodes import Node
from bracketc.ir.program import Program
from bracketc.ir.rewrite import Roots
from bracketc.ir.sizes import substitute_dims
from bracketc.lang import syntax
from bracketc.lang.entries import integer
from bracketc.lang.general import General, Use, general
from bracketc.lang.opening import Opened, deep_stack, dims_of, open_file
from bracketc.lang.problems import Abort, Problems
from bracketc.lang.scope import Scope
from bracketc.lang.sizes import is_unknown
from bracketc.lang.steps import Step
from bracketc.lang.values import Binding, Quantity, Value, kind_of
from bracketc.lang.variation import Variation

ClaimKind = OneOf["step", "conclusion", "definition"]


@dataclass(frozen=True, slots=True)
class Case:
    """A step about members of a family, for one number: ``where`` is (j, 2). ``goal`` as in :class:`Claim`."""

    where: tuple[str, int]
    left: Node
    right: Node
    goal: tuple[str, str] | None = None


@dataclass(frozen=True, slots=True)
class Claim:
    """``left = right``, one step of a derivation; ``problems`` say why a side has no tensor.

    ``definition`` is the first line where the block defines its target; there is nothing to prove about it.
    ``left_span`` may lie lines above ``right_span``, for a line that begins with ``=`` goes on with the chain above.
    ``goal`` is (J, W) in a chain that begins with ``∇[W](J)``, whose first claim ``is_first``.

    A step that holds for every step of a recurrence has one more axis in front, that of the steps. One that holds for every
    member of a family has ``cases``, the first of which is ``left = right``.
    """

    kind: ClaimKind
    left: Node | None
    right: Node | None
    left_span: Span
    right_span: Span
    remark: str | None = None
    problems: tuple[Diagnostic, ...] = ()
    goal: tuple[str, str] | None = None
    is_first: bool = False
    cases: tuple[Case, ...] = ()

    @property
    def equations(self) -> tuple[tuple[tuple[str, str] | None, Node | None, Node | None], ...]:
        """``goal``, ``left`` and ``right``, or those of every case."""
        if self.cases:
            return tuple((case.goal, case.left, case.right) for case in self.cases)
        return ((self.goal, self.left, self.right),)

    @property
    def text(self) -> str:
        """The equation on one line."""
        return " ".join(f"{self.left_span.text} = {self.right_span.text}".split())


@dataclass(frozen=True, slots=True)
class Block:
    """One derivation. ``title`` is its head as written, without ``{``, and ``head`` where that stands."""

    title: str
    label: str | None
    claims: tuple[Claim, ...]
    span: Span
    head: Span


@dataclass(frozen=True, slots=True)
class Derivations:
    """All derivations of a file. ``program`` has its sizes, arguments and constraints; its results are empty."""

    program: Program
    blocks: tuple[Block, ...]


@dataclass(frozen=True, slots=True)
class _Side:
    """A member of a chain that has been read; with ``uses`` of a number of a range it has no value by itself."""

    value: Value | None
    expr: syntax.Expr
    span: Span
    scope: Scope
    uses: Mapping[str, list[Use]]


def elaborate_derivations(tree: syntax.SyntaxFile) -> Derivations:
    """The claims of every derivation of a file.

    Raises :class:`~bracketc.errors.SourceError` when the file outside its derivations has mistakes.
    """
    problems = Problems()
    opened = open_file(tree, problems)
    problems.finish()
    run = opened.run
    blocks: list[Block] = []
    for statement in run.declarations.derivations:
        blocks.append(read_block(statement, opened))
    run.problems = problems
    for left, right in run.sizes.settle():
        problems.record(f"two sizes differ: {left} and {right}", tree.span)
    problems.finish()
    program = Program(
        tree.span.source, opened.sizes, opened.arguments, opened.kinds, (), (), (), {}, tuple(run.constraints)
    )
    solution = run.sizes.solution()
    return Derivations(program, tuple(_with_sizes(block, solution, opened) for block in blocks))


def read_block(statement: syntax.Derivation, opened: Opened) -> Block:
    """The claims of one derivation; sizes that the file leaves open are not settled yet."""
    with deep_stack():
        return _Reader(statement, opened).read()


class _Reader:
    """One block while its lines are read."""

    def __init__(self, statement: syntax.Derivation, opened: Opened) -> None:
        self.statement = statement
        self.run = opened.run
        self.problems = self.run.problems = Problems()
        self.variation = Variation(opened.run, opened.file)
        self.run.variation = self.variation
        self.claims: list[Claim] = []
        self.differential = False
        self.goal: syntax.Expr | None = None

    def read(self) -> Block:
        statement = self.statement
        title = " ".join(self._head().text.split())
        try:
            self._lines()
        finally:
            self.run.variation = None
        return Block(title, statement.label, tuple(self.claims), statement.span, self._head())

    def _lines(self) -> None:
        statement = self.statement
        started = self._start()
        chain: list[_Side] = []
        for number, line in enumerate(statement.steps):
            self._bind(line)
            for segment in line.segments:
                kind: ClaimKind = "conclusion" if segment.opener == "⟹" else "step"
                for equation in segment.equations:
                    members = list(equation.members)
                    if segment.opener in ("", "⟹"):
                        chain = []
                        self.goal = equation.members[0].value if kind == "conclusion" else None
                    if kind == "conclusion":
                        self._grounded(equation)
                    elif segment.opener == "⇝" and chain:
                        self._regrow(chain, members.pop(0), line)
                    if not started and number == 0 and segment is line.segments[0]:
                        chain = self._definition(members, line)
                        started = True
                        members = members[2:]
                    self._chain(chain, members, kind, line)
                    if len(chain) == 1 and kind == "conclusion" and len(equation.members) == 1:
                        self._reject(chain[0].span, "a conclusion is an equation", "write ∇[W](J) = …", line.remark)
            if self._mentions_differential(line):
                self.differential = True

    # ------------------------------------------------------------------------------------------- head and first line
    def _start(self) -> bool:
        """Choose what varies; gives whether the target is defined by the file, or there is none."""
        statement = self.statement
        target = statement.target
        if target is None or self.variation.scope.find(target.name.text) is not None:
            self._vary()
            return True
        if target.name.text in self.run.declarations.names:
            return True  # its definition has failed
        first = statement.steps[0].segments[0].equations[0] if statement.steps else None
        if first is not None and len(first.members) > 1 and first.members[0].value == target.name:
            return False
        self._reject(
            target.span,
            f"{target.span.text} is not defined",
            f"define it in the file, or in the first line: {target.span.text} = …",
            None,
        )
        return True

    def _vary(self) -> None:
        references = self.statement.wrt or self._mentioned_differentials()
        try:
            self.variation.vary(references)
        except Abort:
            self._reject(self._head(), "", "", None)

    def _head(self) -> Span:
        """The head of the block, without its lines."""
        span = self.statement.span
        return Span(span.source, span.start, span.start + len(span.text.split("{")[0].rstrip()))

    def _mentioned_differentials(self) -> tuple[syntax.Reference, ...]:
        """Without ``wrt``: the arguments whose differential the block writes, or else all parameters."""
        declarations = self.run.declarations
        found: dict[str, syntax.Reference] = {}
        for node in syntax.walk(self.statement):
            if isinstance(node, syntax.Name) and node.text not in declarations.names:
                base = node.text[1:]
                if node.text.startswith("d") and base in declarations.arguments:
                    found.setdefault(base, syntax.Reference(syntax.Name(base, node.span), None, node.span))
        if found:
            return tuple(found.values())
        return tuple(
            syntax.Reference(argument.name, None, argument.span)
            for argument in declarations.arguments.values()
            if argument.kind == "param"
        )

    def _definition(self, members: Sequence[syntax.Member], line: syntax.Step) -> list[_Side]:
        """The first line, which defines the target inside the block."""
        assert self.statement.target is not None
        name = self.statement.target.name
        body = members[1].value
        binding = syntax.Binding(syntax.Target(name, None, None, name.span), body, members[1].span)
        self.variation.bind([binding])
        if self.problems.diagnostics:
            self.variation.lost(name.text)
        self._vary()
        side = self._side(members[1])
        claim = self._claim("definition", side, side, line)
        self.claims.append(replace(claim, left_span=members[0].span))
        return [side]

    def _bind(self, line: syntax.Step) -> None:
        if line.where:
            before = len(self.problems.diagnostics)
            self.variation.bind(line.where)
            if len(self.problems.diagnostics) > before:
                self._reject(line.where[0].span, "", "", line.remark)

    # ------------------------------------------------------------------------------------------- chains
    def _chain(
        self, chain: list[_Side], members: Sequence[syntax.Member], kind: ClaimKind, line: syntax.Step
    ) -> None:
        for member in members:
            side = self._side(member)
            if chain:
                claim = self._claim(kind, chain[-1], side, line)
                self.claims.append(replace(claim, is_first=len(chain) == 1))
            elif side.value is None and not side.uses and len(members) == 1:
                self._reject(side.span, "", "", line.remark)
            chain.append(side)

    def _goal(self, first: syntax.Expr, scope: Scope) -> tuple[str, str] | None:
        """``∇[W](J) = …``: what is concluded, called as requests call it."""
        if not isinstance(first, syntax.Derivative) or first.operator != "∇" or len(first.wrt) != 1:
            return None
        names = []
        for part in (first.body, first.wrt[0]):
            name, entries = _indexed(part)
            numbers = [integer(entry, scope) for entry in entries]
            if name is None or None in numbers:
                return None
            names.append(name + "".join(map(str, numbers)))
        return names[0], names[1]

    def _regrow(self, chain: list[_Side], member: syntax.Member, line: syntax.Step) -> None:
        """``⇝`` at the start of a line: the last member was a stage of this one, which takes its place."""
        last = chain.pop()
        if self.claims and self.claims[-1].right_span == last.span:
            self.claims.pop()
        self._chain(chain, [member], "step", line)

    def _side(self, member: syntax.Member) -> _Side:
        scope = self.variation.scope
        value: Value | None = None
        found: Mapping[str, list[Use]] = {}
        try:
            found = self.variation.uses(member.value, scope)
            if not found:
                value = self.run.evaluate(member.value, scope)
        except Abort:
            value = None
        return _Side(value, member.value, member.span, scope, found)

    def _claim(self, kind: ClaimKind, left: _Side, right: _Side, line: syntax.Step) -> Claim:
        if left.uses or right.uses:
            return self._general(kind, left, right, line)
        nodes = self._matched(left, right)
        goal = self._goal(self.goal, self.variation.scope) if self.goal is not None else None
        return self._made(kind, left, right, line, nodes, goal)

    def _general(self, kind: ClaimKind, left: _Side, right: _Side, line: syntax.Step) -> Claim:
        """An equation for every number of a range."""
        merged: dict[str, list[Use]] = {}
        for side in (left, right):
            for name, places in side.uses.items():
                merged.setdefault(name, []).extend(places)
        try:
            found = general(merged, right.span, right.scope)
            assert found is not None
            if found.numbers is None:
                return self._made(kind, left, right, line, self._of_steps(found, left, right), None)
            cases = tuple(self._of_member(found, number, left, right) for number in found.numbers)
        except Abort:
            return self._made(kind, left, right, line, None, None)
        claim = self._made(kind, left, right, line, (cases[0].left, cases[0].right), cases[0].goal)
        return claim if claim.problems else replace(claim, cases=cases)

    def _of_steps(self, found: General, left: _Side, right: _Side) -> tuple[Node, Node]:
        step = Step(self.run, found.first, found.last)
        pair = self._read(left, right, {found.name: Quantity(step.variable)}, step)
        return step.close(pair[0]), step.close(pair[1])

    def _of_member(self, found: General, number: int, left: _Side, right: _Side) -> Case:
        bound = {found.name: Quantity(Dim.of(number))}
        pair = self._read(left, right, bound, None)
        goal = self._goal(self.goal, right.scope.inner(bound)) if self.goal is not None else None
        return Case((found.name, number), *pair, goal)

    def _read(self, left: _Side, right: _Side, bound: Mapping[str, Binding], step: Step | None) -> tuple[Node, Node]:
        """Both sides at a number of a range."""
        sides = []
        for side in (left, right):
            scope = self.variation.opened(side.expr, side.scope, bound, step)
            sides.append(replace(side, value=self.run.evaluate(side.expr, scope)))
        nodes = self._matched(*sides)
        if nodes is None:
            raise Abort
        return nodes

    def _made(
        self,
        kind: ClaimKind,
        left: _Side,
        right: _Side,
        line: syntax.Step,
        nodes: tuple[Node, Node] | None,
        goal: tuple[str, str] | None,
    ) -> Claim:
        problems = self._taken()
        if nodes is None and not problems:
            before = left.value is None and not left.uses and right.value is not None
            message = "the member before it could not be read" if before else "it uses what could not be read"
            problems = (Diagnostic(message, right.span, notes=((("that member", left.span),) if before else ())),)
        first, second = nodes if nodes is not None and not problems else (None, None)
        return Claim(kind, first, second, left.span, right.span, line.remark, problems, goal)

    def _matched(self, left: _Side, right: _Side) -> tuple[Node, Node] | None:
        """Both sides, of one shape; a bare 0 fits any."""
        if left.value is None or right.value is None:
            return None
        first, second = left.value, right.value
        if _is_bare_zero(left.expr) and second.rank:
            return build.zeros(second.node.shape), second.node
        if _is_bare_zero(right.expr) and first.rank:
            return first.node, build.zeros(first.node.shape)
        if first.rank != second.rank:
            self.problems.record(
                f"the sides have different ranks: {_kind(first)} and {_kind(second)}",
                right.span,
                "",
                [(_kind(first), left.span)],
            )
            return None
        for axis, (one, other) in enumerate(zip(first.node.shape, second.node.shape, strict=True), 1):
            if not self.run.sizes.unify(one, other):
                sizes = [self.run.sizes.resolve(size) for size in (one, other)]
                self.problems.record(
                    f"the sides have different shapes: dimension {axis} is {sizes[0]} left and {sizes[1]} right",
                    right.span,
                    "transpose one side, or give the sizes one name if they are always equal",
                    [(f"left, {_kind(first)}", left.span)],
                )
                return None
        return first.node, second.node

    # ------------------------------------------------------------------------------------------- problems
    def _taken(self) -> tuple[Diagnostic, ...]:
        found = tuple(self.problems.diagnostics)
        self.problems = self.run.problems = Problems()
        return found

    def _reject(self, span: Span, message: str, help: str, remark: str | None) -> None:
        """A claim that says what is wrong where there is no equation; ``message`` is empty when it is recorded."""
        found = self._taken()
        if message:
            found = (*found, Diagnostic(message, span, help))
        if found:
            self.claims.append(Claim("step", None, None, span, span, remark, found))

    def _grounded(self, equation: syntax.Equation) -> None:
        """A derivative behind ⟹ needs a differential to be read off."""
        holds = any(isinstance(node, syntax.Derivative) for node in syntax.walk(equation))
        if holds and not self.differential and not self._mentions_differential(self.statement):
            self.problems.record(
                "a conclusion without a differential", equation.span, "derive dJ = A · dW first, then conclude"
            )

    def _mentions_differential(self, tree: syntax.Node) -> bool:
        names = self.run.declarations.names
        for node in syntax.walk(tree):
            if isinstance(node, syntax.Differential):
                return True
            if isinstance(node, syntax.Call) and node.function.text == "d" and "d" not in names:
                return True
            if isinstance(node, syntax.Name) and node.text.startswith("d") and len(node.text) > 1:
                if node.text not in names:
                    return True
        return False


def _indexed(part: syntax.Expr | syntax.Reference) -> tuple[str | None, Sequence[syntax.Entry]]:
    """``W[3]`` as a name and its entries; no name for any other expression."""
    if isinstance(part, syntax.Reference):
        return part.name.text, part.entries or ()
    if isinstance(part, syntax.Index) and isinstance(part.operand, syntax.Name):
        return part.operand.text, part.entries
    return (part.text if isinstance(part, syntax.Name) else None), ()


def _is_bare_zero(expr: syntax.Expr) -> bool:
    return isinstance(expr, syntax.Number) and expr.value == 0


def _kind(value: Value) -> str:
    return "a row" if value.is_row else kind_of(value.rank)


def _with_sizes(block: Block, solution: dict[str, Dim], opened: Opened) -> Block:
    """The block with every size that was found out, and those claims rejected in which one was not."""
    return replace(block, claims=tuple(_sized(block.claims, solution, opened)))


def _sized(claims: Sequence[Claim], solution: dict[str, Dim], opened: Opened) -> Iterator[Claim]:
    for claim in claims:
        if claim.left is None or claim.right is None:
            yield claim
            continue
        parts = (claim.left, claim.right, *(node for case in claim.cases for node in (case.left, case.right)))
        left, right, *rest = substitute_dims(Roots(parts), solution)[0].nodes
        unknown = sorted({name for dim in dims_of([left, right, *rest]) for name in dim.names if is_unknown(name)})
        if unknown:
            what, span = opened.run.sizes.place(unknown[0])
            found = Diagnostic(f"nothing determines the size of {what}", span, "give it: 𝟏⟨N⟩ (ones<N>)")
            yield replace(claim, left=None, right=None, cases=(), problems=(found,))
            continue
        pairs = zip(claim.cases, rest[::2], rest[1::2], strict=True)
        cases = tuple(replace(case, left=first, right=second) for case, first, second in pairs)
        yield replace(claim, left=left, right=right, cases=cases)
