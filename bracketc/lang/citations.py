"""What remarks cite: ``[by eq3]`` names a line ``(eq3) …`` or a derivation ``(eq3) derivation …`` that stands before it.

A remark cites what it gives in parentheses, and, where it is nothing but names, those that are labels or hold a digit;
any other remark is prose.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from bracketc.errors import Diagnostic, Span
from bracketc.lang import syntax, words

_ONLY_NAMES = re.compile(r"\(?\w+\)?(?:\s*(?:,|and)\s*\(?\w+\)?)*")
_IN_PARENTHESES = re.compile(r"(?<!\S)\((\w+)\)")


@dataclass(frozen=True, slots=True)
class _Labelled:
    """A line or a derivation with a label, in the order of the file; ``inside`` is the derivation of a line."""

    label: str
    number: int
    span: Span
    inside: int | None
    cites: tuple[str, ...]


class Citations:
    """The labels of a file, and what is wrong with those that remarks cite."""

    __slots__ = ("_known", "_labels", "_numbers")

    def __init__(self, statements: Sequence[syntax.Derivation]) -> None:
        self._numbers: dict[int, int] = {}
        found = list(_labels(statements))
        self._labels = {label for label, _, _, _ in found}
        self._known: dict[str, list[_Labelled]] = {}
        number = 0
        for statement in statements:
            number += 1
            block = number
            self._numbers[id(statement)] = block
            remarks = tuple(c for line in statement.steps for c in self.cited(line.remark))
            if statement.label is not None:
                self._add(_Labelled(statement.label, block, _head(statement), None, remarks))
            for line in statement.steps:
                number += 1
                self._numbers[id(line)] = number
                if line.label is not None:
                    self._add(_Labelled(line.label, number, _place(line), block, self.cited(line.remark)))

    def _add(self, entry: _Labelled) -> None:
        self._known.setdefault(entry.label, []).append(entry)

    def cited(self, remark: str | None) -> tuple[str, ...]:
        """The labels that a remark cites."""
        if remark is None:
            return ()
        text = remark.strip()
        names = _IN_PARENTHESES.findall(text)
        if _ONLY_NAMES.fullmatch(text):
            bare = [name for name in re.findall(r"\w+", text) if name != "and"]
            if all(name in self._labels or any(c.isdigit() for c in name) for name in bare):
                names = bare
        return tuple(dict.fromkeys(names))

    def problems(self, line: syntax.Step, statement: syntax.Derivation) -> tuple[Diagnostic, ...]:
        """What is wrong with the label and the citations of a line."""
        found: list[Diagnostic] = []
        number = self._numbers[id(line)]
        if line.label is not None and self._known[line.label][0].number < number:
            first = self._known[line.label][0]
            notes = (("the other one", first.span),)
            found.append(Diagnostic(f"two lines are labelled ({line.label})", _place(line), "choose another label", notes))
        for name in self.cited(line.remark):
            found += self._problem(name, number, line, statement)
        return tuple(found)

    def _problem(self, name: str, number: int, line: syntax.Step, statement: syntax.Derivation) -> Iterator[Diagnostic]:
        span = _remark(line)
        if name not in self._known:
            near = words.nearest(name, self._labels, 0.6)
            there = f"there are {', '.join(sorted(self._labels))}" if self._labels else f"label a line: ({name}) A = B"
            yield Diagnostic(f"no line and no derivation is labelled ({name})", span, f"did you mean ({near})?" if near else there)
            return
        cited = self._known[name][0]
        own = self._numbers[id(statement)]
        if cited.number in (number, own):
            what = "itself" if cited.number == number else "the derivation that it is part of"
            yield Diagnostic(f"circular citation: a step cites {what}", span, "cite what stands before it")
        elif cited.number > number:
            way = self._way(name, {line.label, statement.label} - {None})
            message = f"circular citation: {way}" if way else f"({name}) stands below the step that cites it"
            yield Diagnostic(message, span, "cite what stands before it", ((f"({name})", cited.span),))

    def _way(self, name: str, back: set[str | None]) -> str:
        """How the citations of ``name`` lead back: ``(b) cites (a)``; empty when they do not."""
        pending: list[tuple[str, ...]] = [(name,)]
        seen = {name}
        while pending:
            path = pending.pop()
            for entry in self._known[path[-1]]:
                for cited in entry.cites:
                    if cited in back:
                        return ", which cites ".join(f"({label})" for label in (cited, *path, cited))
                    if cited in self._known and cited not in seen:
                        seen.add(cited)
                        pending.append((*path, cited))
        return ""


def _labels(statements: Sequence[syntax.Derivation]) -> Iterator[tuple[str, int, Span, bool]]:
    for statement in statements:
        if statement.label is not None:
            yield statement.label, 0, statement.span, True
        for line in statement.steps:
            if line.label is not None:
                yield line.label, 0, line.span, False


def _place(line: syntax.Step) -> Span:
    """Where the label of a line stands."""
    assert line.label is not None
    return Span(line.span.source, line.span.start, line.span.start + len(line.label) + 2)


def _head(statement: syntax.Derivation) -> Span:
    span = statement.span
    return Span(span.source, span.start, span.start + len(span.text.split("{")[0].rstrip()))


def _remark(line: syntax.Step) -> Span:
    """Where the remark of a line stands."""
    at = line.span.text.rfind("[by")
    return Span(line.span.source, line.span.start + max(at, 0), line.span.end)
