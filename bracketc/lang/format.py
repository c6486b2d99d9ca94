"""Source text from a syntax tree: Unicode or ASCII, one statement a line, comments kept.

The text reads back to the same tree, and formatting it again changes nothing.  Comments keep their place: those on
lines of their own stay above what they preceded, those behind a statement stay behind it, and those inside a
statement move above it.  Of several blank lines one is kept.
"""

from __future__ import annotations

import bisect
import re
from collections.abc import Callable, Sequence

from bracketc.errors import Source, display_width
from bracketc.lang import syntax
from bracketc.lang.alignment import Mark, Place, Row, aligned
from bracketc.lang.filling import fill
from bracketc.lang.notation import (
    ANY,
    BREAK,
    Break,
    Child,
    Part,
    Piece,
    entry_parts,
    expand,
    flat,
    labels_text,
    pieces,
    positions_text,
    reference_parts,
)
from bracketc.lang.spelling import spelled
from bracketc.lang.syntax import Comment, Statement, SyntaxFile

STYLES = ("unicode", "ascii")

_MARKS = ("=", ":", "where", "for", "[by")  # what lines are aligned at, traits besides

_LABEL = re.compile(r"\(([^\W\d_][^\W_]*'*)\) ")


def format_file(tree: SyntaxFile, source: Source, style: str = "unicode") -> str:
    """The text of a whole file; ``source`` is the one that ``tree`` was parsed from.

    ``C=A@B  # product``  ->  ``C = A @ B  # product``
    """
    assert style in STYLES, style
    layout = _Layout(source, style)
    layout.items(tree.statements, tree.comments, 0)
    return layout.text()


def format_statement(statement: Statement, style: str = "unicode") -> str:
    """The text of one statement without its comments, on as many lines as it needs; no line end behind it."""
    if isinstance(statement, syntax.Derivation):
        lines = [head_text(statement, style)]
        lines += [fill(parts, 6, 0) for parts in _aligned(statement.steps, style)]
        return "\n".join([*lines, "}"])
    return fill(_statement(statement, style), 4)


# ---------------------------------------------------------------------------------------------- layout


class _Layout:
    """Lines of the file so far, and where the lines of the source begin."""

    def __init__(self, source: Source, style: str) -> None:
        self.source = source
        self.style = style
        self.lines: list[str] = []
        self.marks: dict[int, tuple[Place, ...]] = {}  # of lines that hold a whole statement
        self.behind: dict[int, Comment] = {}
        self.starts = [0, *(match.end() for match in re.finditer("\n", source.text))]
        self.last = -1  # source line on which the item printed last ends

    def text(self) -> str:
        lines: list[str] = []
        rows: list[Row] = []
        for number, line in enumerate(self.lines):
            if number in self.marks:
                rows.append(Row(line, self.marks[number]))
                continue
            lines += [*aligned(rows), line]
            rows = []
        lines += aligned(rows)
        for number, comment in self.behind.items():
            width = display_width(lines[number])
            lines[number] += " " * (max(width + 2, self.column(comment.span.start)) - width) + comment.text
        return "\n".join(lines) + "\n" if lines else ""

    def places(self, item: syntax.Node, parts: Sequence[Piece]) -> tuple[Place, ...]:
        """The marks of a statement that stands on one line here and there."""
        start, end = item.span.start, item.span.end
        if self.row(start) != self.row(max(end - 1, start)):
            return ()
        found = []
        at = 0
        behind = start
        for number, part in enumerate(parts):
            if isinstance(part, Mark):
                broken = number > 0 and isinstance(parts[number - 1], Break)
                least = 1 if broken else len(part) - len(part.lstrip())
                word = part.split()[0]
                typed = self.source.text.find(self._typed(word), behind, end)
                if typed < 0:
                    return ()
                before = self.source.text[self.starts[self.row(start)] : typed]
                gap = len(before) - len(before.rstrip())
                mark = word if word in _MARKS else "trait"
                found.append(Place(mark, at - broken, least, display_width(before), gap))
                behind = typed + 1
            at += 1 if isinstance(part, Break) else len(part)
        return tuple(found)

    def _typed(self, word: str) -> str:
        return "[" if word == "[by" else word

    def row(self, offset: int) -> int:
        return bisect.bisect_right(self.starts, offset) - 1

    def column(self, offset: int) -> int:
        return offset - self.starts[self.row(offset)]

    def items(self, items: Sequence[Statement], comments: Sequence[Comment], at: int) -> None:
        """Statements with their comments."""
        waiting = list(reversed(comments))
        for item in items:
            stop = item.span.end
            if isinstance(item, syntax.Derivation):
                self.derivation(item, waiting)
                continue
            self._above(waiting, stop, 0)
            self._blank(item.span.start)
            parts = _statement(item, self.style)
            self._put(fill(parts, 4), stop, waiting, self.places(item, parts))
        self._above(waiting, None, 0)

    def derivation(self, item: syntax.Derivation, waiting: list[Comment]) -> None:
        brace = self.source.text.index("{", item.span.start) + 1
        self._above(waiting, brace, 0)
        self._blank(item.span.start)
        self._put(head_text(item, self.style), brace, waiting)
        for step, parts in zip(item.steps, _aligned(item.steps, self.style), strict=True):
            self._above(waiting, step.span.end, 2)
            self._blank(step.span.start)
            self._put(fill(parts, 6), step.span.end, waiting, self.places(step, parts))
        self._above(waiting, item.span.end, 2)
        self.lines.append("}")
        self.last = self.row(max(item.span.end - 1, 0))
        self._behind(item.span.end, waiting)

    def _above(self, waiting: list[Comment], stop: int | None, indent: int) -> None:
        """Comments that begin before ``stop``, on lines of their own."""
        while waiting and (stop is None or waiting[-1].span.start < stop):
            comment = waiting.pop()
            self._blank(comment.span.start)
            self.lines.append(" " * indent + comment.text)
            self.last = self.row(comment.span.start)

    def _blank(self, start: int) -> None:
        """A blank line when the source has one before ``start``."""
        if self.lines and self.lines[-1] and self.row(start) > self.last + 1 and self.last >= 0:
            self.lines.append("")

    def _put(self, text: str, end: int, waiting: list[Comment], places: tuple[Place, ...] = ()) -> None:
        lines = text.split("\n")
        if len(lines) == 1:
            self.marks[len(self.lines)] = places
        self.lines.extend(lines)
        self.last = self.row(max(end - 1, 0))
        self._behind(end, waiting)

    def _behind(self, end: int, waiting: list[Comment]) -> None:
        """The comment on the line of ``end``, in its old column where that is free."""
        if waiting and not waiting[-1].own_line and self.row(waiting[-1].span.start) == self.last:
            self.behind[len(self.lines) - 1] = waiting.pop()


# ---------------------------------------------------------------------------------------------- statements


def _statement(node: Statement, style: str) -> list[Piece]:
    return expand(_STATEMENTS[type(node)](node), style)


def _listed(items: Sequence[list[Part]]) -> list[Part]:
    parts: list[Part] = []
    for index, item in enumerate(items):
        parts += [",", BREAK] if index else []
        parts += item
    return parts


def _dim(node: syntax.DimStatement) -> list[Part]:
    sizes: list[list[Part]] = []
    for size in node.sizes:
        parts: list[Part] = [size.name.text]
        if size.value is not None:
            parts += [" = ", *entry_parts(size.value)]
        elif size.hint is not None:
            parts += [" ~ ", *entry_parts(size.hint)]
        sizes.append(parts)
    return ["dim ", *_listed(sizes)]


def _dim_family(node: syntax.DimFamily) -> list[Part]:
    bounds = [*entry_parts(node.first), "..", *entry_parts(node.last)]
    return [f"dim {node.name.text}[", *bounds, "] = ", *_listed([entry_parts(value) for value in node.values])]


def _argument(node: syntax.Argument) -> list[Part]:
    index = "" if node.index is None else f"[{node.index.text}]"
    parts: list[Part] = [f"{node.kind} {node.name.text}{index}", Mark(" : ")]
    parts += _listed([entry_parts(dim) for dim in node.dims]) if node.dims else ["scalar"]
    for number, trait in enumerate(node.traits):
        parts.append(f" {trait.name}" if number else Mark(f"  {trait.name}"))
        if trait.size is not None:
            parts += [" in ", *entry_parts(trait.size)]
    return parts + (_ranges((node.range,)) if node.range is not None else [])


def _const(node: syntax.Const) -> list[Part]:
    return [f"const {node.name.text} = ", Child(node.value, ANY)]


def _function(node: syntax.Function) -> list[Part]:
    parameters = ", ".join(p.name.text + ("" if p.rank is None else f" : {p.rank}") for p in node.parameters)
    return [f"function {node.name.text}({parameters}) = ", Child(node.body, ANY), *_bindings(node.where)]


def _definition(node: syntax.Definition) -> list[Part]:
    left = _target(node.target)
    return [*left, Mark(" = "), Child(node.body, ANY), *_bindings(node.where), *(_ranges(node.ranges) if node.ranges else [])]


def _target(node: syntax.Target) -> list[Part]:
    if node.labels is not None:
        return [f"{node.name.text}_{labels_text(node.labels)}"]
    return reference_parts(syntax.Reference(node.name, node.entries))


def _bindings(bindings: Sequence[syntax.Binding]) -> list[Part]:
    if not bindings:
        return []
    return [Break(0), Mark("where "), *_listed([[*_target(b.target), " = ", Child(b.value, ANY)] for b in bindings])]


def _ranges(ranges: Sequence[syntax.Range]) -> list[Part]:
    return [Break(0), Mark("for "), *_listed([_range(one) for one in ranges])]


def _range(node: syntax.Range) -> list[Part]:
    return [f"{node.variable.text} = ", *entry_parts(node.first), "..", *entry_parts(node.last)]


def _output(node: syntax.Output) -> list[Part]:
    return ["output ", *_listed([reference_parts(name) for name in node.names])]


def _request(node: syntax.Request) -> list[Part]:
    parts = [f"{node.kind} ", *reference_parts(node.target), " wrt ", *_listed([reference_parts(r) for r in node.wrt])]
    layout = node.layout
    if layout is not None and layout.left is not None and layout.right is not None:
        parts.append(f" layout ^{positions_text(layout.left)}")
        dot = Child(syntax.All(), ANY)  # the entry · is spelled like the operator
        parts += [dot, f"^{positions_text(layout.right)}"]
    elif layout is not None:
        parts.append(f" layout {layout.kind}")
    if node.name is not None:
        parts.append(f" as {node.name.text}")
    return [*parts, " as derived"] if node.derived else parts


def _import(node: syntax.Import) -> list[Part]:
    return [f'import "{node.path}"']


_STATEMENTS: dict[type, Callable[..., list[Part]]] = {
    syntax.DimStatement: _dim,
    syntax.DimFamily: _dim_family,
    syntax.Argument: _argument,
    syntax.Const: _const,
    syntax.Function: _function,
    syntax.Definition: _definition,
    syntax.Output: _output,
    syntax.Request: _request,
    syntax.Import: _import,
}


# ---------------------------------------------------------------------------------------------- derivations


def head_text(node: syntax.Derivation, style: str) -> str:
    """``(label) derivation of J wrt W, b {``."""
    parts: list[Part] = [f"({node.label}) " if node.label is not None else "", "derivation"]
    if node.target is not None:
        parts += [" of ", *reference_parts(node.target)]
    if node.wrt:
        parts += [" wrt "]
        for index, name in enumerate(node.wrt):
            parts += [", "] if index else []
            parts += reference_parts(name)
    return flat(expand([*parts, " {"], style))


def _aligned(steps: Sequence[syntax.Step], style: str) -> list[list[Piece]]:
    """The lines of a block, with each `=` that goes on with a chain below the first `=` of that chain."""
    found: list[list[Piece]] = []
    column = 2
    for step in steps:
        label = f"({step.label}) " if step.label is not None else ""
        opener = step.segments[0].opener
        lead = " " * 2 + label
        if opener in ("=", "⇝"):
            lead = lead.ljust(column)
        parts = [lead, *_step(step, style)]
        if opener in ("", "⟹"):
            first = step.segments[0].equations[-1].members[0]
            before = _member(first, style)
            sign = spelled(opener, style) + " " if opener else ""
            column = display_width(lead + sign + flat(before)) + 1 if len(step.segments[0].equations) == 1 else 6
            column = min(column, 40)
            if not label and not opener and _LABEL.match(flat(parts).lstrip()):
                text = flat(parts)  # a parenthesis that would read as a label touches what follows it
                parts = [text.replace(") ", ")", 1)]
        found.append(parts)
    return found


def _step(step: syntax.Step, style: str) -> list[Piece]:
    parts: list[Piece] = []
    for number, segment in enumerate(step.segments):
        if segment.opener:
            parts.append((" " if number else "") + spelled(segment.opener, style) + " ")
        for index, equation in enumerate(segment.equations):
            parts += [",", Break(0)] if index else []
            for place, member in enumerate(equation.members):
                parts += [" =", Break(0)] if place else []
                parts += _member(member, style)
    parts += expand(_bindings(step.where), style)
    if step.remark is not None:
        parts.append(Mark(f"  [by {step.remark}]"))
    return parts


def _member(member: syntax.Member, style: str) -> list[Piece]:
    parts: list[Piece] = []
    for index, expression in enumerate(member.growth):
        parts += [" " + spelled("⇝", style), Break(0)] if index else []
        parts += pieces(expression, style)
    return parts
