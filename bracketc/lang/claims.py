"""Derivation blocks elaborated: every equation between neighbouring members of a chain, as two tensors.

    dJ = Z · dh = Z · (C ⊙ dA)    ->    the claims  dJ = Z · dh  and  Z · dh = Z · (C ⊙ dA)

What cannot be read becomes a claim with its diagnostics; the other claims of the block stand.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from bracketc.errors import Diagnostic, Span
from bracketc.ir.dims import Dim
from bracketc.ir.program import Program
from bracketc.ir.rewrite import Roots
from bracketc.ir.sizes import substitute_dims
from bracketc.lang import syntax, words
from bracketc.lang.citations import Citations
from bracketc.lang.entries import integer
from bracketc.lang.opening import Opened, deep_stack, dims_of, open_file
from bracketc.lang.problems import Abort, Problems
from bracketc.lang.proofs import Block, Case, Claim, ClaimKind, Derivations
from bracketc.lang.scope import Scope
from bracketc.lang.sides import Pairing, Side, side
from bracketc.lang.sizes import is_unknown
from bracketc.lang.variation import Variation

__all__ = ["Block", "Case", "Claim", "ClaimKind", "Derivations", "elaborate_derivations", "read_block"]


def elaborate_derivations(tree: syntax.SyntaxFile) -> Derivations:
    """The claims of every derivation of a file.

    Raises :class:`~bracketc.errors.SourceError` when the file outside its derivations has mistakes.
    """
    problems = Problems()
    opened = open_file(tree, problems)
    problems.finish()
    run = opened.run
    blocks: list[Block] = []
    citations = Citations(run.declarations.derivations)
    for statement in run.declarations.derivations:
        blocks.append(read_block(statement, opened, citations))
    run.problems = problems
    for left, right in run.sizes.settle():
        problems.record(f"two sizes differ: {left} and {right}", tree.span)
    problems.finish()
    program = Program(
        tree.span.source, opened.sizes, opened.arguments, opened.kinds, (), (), (), {}, tuple(run.constraints)
    )
    solution = run.sizes.solution()
    return Derivations(program, tuple(_with_sizes(block, solution, opened) for block in blocks))


def read_block(statement: syntax.Derivation, opened: Opened, citations: Citations | None = None) -> Block:
    """The claims of one derivation; sizes that the file leaves open are not settled yet."""
    with deep_stack():
        return _Reader(statement, opened, citations or Citations(opened.run.declarations.derivations)).read()


class _Reader:
    """One block while its lines are read."""

    def __init__(self, statement: syntax.Derivation, opened: Opened, citations: Citations) -> None:
        self.citations = citations
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
        chain: list[Side] = []
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
            self._cited(line)

    def _cited(self, line: syntax.Step) -> None:
        """What is wrong with the label or the citations of a line spoils its last step."""
        found = self.citations.problems(line, self.statement)
        if found and self.claims:
            last = self.claims[-1]
            self.claims[-1] = replace(last, left=None, right=None, cases=(), problems=(*last.problems, *found))

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
        near = words.nearest(target.name.text, self.run.declarations.definitions)
        self._reject(
            target.span,
            f"{target.span.text} is not defined",
            f"did you mean {near}?" if near else f"define it in the file, or in the first line: {target.span.text} = …",
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

    def _definition(self, members: Sequence[syntax.Member], line: syntax.Step) -> list[Side]:
        """The first line, which defines the target inside the block."""
        assert self.statement.target is not None
        name = self.statement.target.name
        body = members[1].value
        binding = syntax.Binding(syntax.Target(name, None, None, name.span), body, members[1].span)
        self.variation.bind([binding])
        if self.problems.diagnostics:
            self.variation.lost(name.text)
        self._vary()
        found = self._read_side(members[1])
        claim = self._claim("definition", found, found, line)
        self.claims.append(replace(claim, left_span=members[0].span))
        return [found]

    def _bind(self, line: syntax.Step) -> None:
        if line.where:
            before = len(self.problems.diagnostics)
            self.variation.bind(line.where)
            if len(self.problems.diagnostics) > before:
                self._reject(line.where[0].span, "", "", line.remark)

    # ------------------------------------------------------------------------------------------- chains
    def _chain(
        self, chain: list[Side], members: Sequence[syntax.Member], kind: ClaimKind, line: syntax.Step
    ) -> None:
        for member in members:
            found = self._read_side(member)
            if chain:
                claim = self._claim(kind, chain[-1], found, line)
                self.claims.append(replace(claim, is_first=len(chain) == 1))
            elif found.value is None and not found.uses and len(members) == 1:
                self._reject(found.span, "", "", line.remark)
            chain.append(found)

    def _read_side(self, member: syntax.Member) -> Side:
        return side(member, self.run, self.variation)

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

    def _regrow(self, chain: list[Side], member: syntax.Member, line: syntax.Step) -> None:
        """``⇝`` at the start of a line: the last member was a stage of this one, which takes its place."""
        last = chain.pop()
        if self.claims and self.claims[-1].right_span == last.span:
            self.claims.pop()
        self._chain(chain, [member], "step", line)

    def _claim(self, kind: ClaimKind, left: Side, right: Side, line: syntax.Step) -> Claim:
        pairing = Pairing(self.run, self.variation, left, right)
        pairs = pairing.read()
        problems = self._taken()
        cited = self.citations.cited(line.remark)
        made = Claim(kind, None, None, left.span, right.span, line.remark, problems, None, False, (), line.label, cited, pairing)
        if pairs is None or problems:
            if not problems:
                before = left.value is None and not left.uses and right.value is not None
                message = "the member before it could not be read" if before else "it uses what could not be read"
                problems = (Diagnostic(message, right.span, notes=((("that member", left.span),) if before else ())),)
            goal = self._goal(self.goal, right.scope) if self.goal is not None else None
            return replace(made, problems=tuple(self._explained(problem) for problem in problems), goal=goal)
        scopes = [self._numbered(pairing, number) for number, _, _ in pairs]
        goals = [self._goal(self.goal, scope) if self.goal is not None else None for scope in scopes]
        (number, first, second), *_ = pairs
        cases: tuple[Case, ...] = ()
        if number is not None and pairing.general is not None:
            name = pairing.general.name
            cases = tuple(Case((name, n or 0), one, other, goal) for (n, one, other), goal in zip(pairs, goals, strict=True))
        return replace(made, left=first, right=second, goal=goals[0], cases=cases)

    def _numbered(self, pairing: Pairing, number: int | None) -> Scope:
        return pairing.right.scope.inner(pairing.bound(number)[0]) if number is not None else pairing.right.scope

    def _explained(self, problem: Diagnostic) -> Diagnostic:
        """An unknown name that a `where` further down binds."""
        name = problem.message.removeprefix("unknown name ")
        if name == problem.message or problem.span is None:
            return problem
        for line in self.statement.steps:
            for binding in line.where:
                if binding.target.name.text == name and binding.span.start > problem.span.start:
                    notes = (("bound here, for this line and those after it", binding.target.span),)
                    return Diagnostic(f"{name} is used before its `where`", problem.span, "move the `where` up to this line", notes)
        return problem

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
