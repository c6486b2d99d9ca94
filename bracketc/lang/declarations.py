"""The statements of a file, sorted by what they declare; names declared twice are found here."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from bracketc.errors import Span
from bracketc.lang import syntax, words
from bracketc.lang.problems import Problems


@dataclass(slots=True)
class Defined:
    """All statements that define one name.

    ``whole`` defines it at once; ``starts`` (``Z[0] = Z0``) and ``step`` (``Z[t] = … for t = 1..T``) together.
    ``is_family`` is found out from the members that the step uses.
    """

    name: str
    span: Span
    whole: syntax.Definition | None = None
    starts: list[syntax.Definition] = field(default_factory=list)
    step: syntax.Definition | None = None
    is_family: bool = False


@dataclass(slots=True)
class Declarations:
    """A file by names; each table in the order of the source. ``spoiled`` are names whose statement could not be read."""

    names: dict[str, Span] = field(default_factory=dict)
    spoiled: dict[str, Span] = field(default_factory=dict)
    sizes: dict[str, syntax.Size] = field(default_factory=dict)
    size_families: dict[str, syntax.DimFamily] = field(default_factory=dict)
    arguments: dict[str, syntax.Argument] = field(default_factory=dict)
    constants: dict[str, syntax.Const] = field(default_factory=dict)
    functions: dict[str, syntax.Function] = field(default_factory=dict)
    definitions: dict[str, Defined] = field(default_factory=dict)
    outputs: list[syntax.Output] = field(default_factory=list)
    requests: list[syntax.Request] = field(default_factory=list)
    derivations: list[syntax.Derivation] = field(default_factory=list)

    @property
    def families(self) -> tuple[str, ...]:
        """Names of families of definitions."""
        return tuple(name for name, defined in self.definitions.items() if defined.is_family)


def declare(tree: syntax.SyntaxFile, problems: Problems) -> Declarations:
    """The tables of a file."""
    found = Declarations()
    for statement in tree.statements:
        if isinstance(statement, syntax.DimStatement):
            for size in statement.sizes:
                if _new(found, size.name, problems):
                    found.sizes[size.name.text] = size
        elif isinstance(statement, syntax.DimFamily):
            if _new(found, statement.name, problems):
                found.size_families[statement.name.text] = statement
        elif isinstance(statement, syntax.Argument):
            if _new(found, statement.name, problems):
                found.arguments[statement.name.text] = statement
        elif isinstance(statement, syntax.Const):
            if _new(found, statement.name, problems):
                found.constants[statement.name.text] = statement
        elif isinstance(statement, syntax.Function):
            if _new(found, statement.name, problems):
                found.functions[statement.name.text] = statement
        elif isinstance(statement, syntax.Output):
            found.outputs.append(statement)
        elif isinstance(statement, syntax.Request):
            found.requests.append(statement)
        elif isinstance(statement, syntax.Derivation):
            found.derivations.append(statement)
    for statement in tree.statements:
        if isinstance(statement, syntax.Definition):
            _define(found, statement, problems)
    _find_families(found)
    return found


def _new(found: Declarations, name: syntax.Name, problems: Problems) -> bool:
    text = name.text
    if words.is_reserved(text):
        what = "the name of a function" if text in words.FUNCTIONS else "a reserved word"
        problems.record(f"{text} is {what}", name.span, "choose another name")
        return False
    if text in found.names:
        help = "choose another name"
        after = name.span.source.text[name.span.end : name.span.end + 20]
        joined = re.match(r"_([^\W\d_]{3,})", after)
        if joined:
            help = f"a name has no underscore, which starts a subscript: {text}{joined.group(1).capitalize()}"
        problems.record(f"{text} is declared twice", name.span, help, [("declared before", found.names[text])])
        return False
    found.names[text] = name.span
    return True


def step_range(statement: syntax.Definition) -> syntax.Range | None:
    """The range that counts the steps: its variable is the first entry on the left."""
    entries = statement.target.entries
    if not entries or not isinstance(entries[0], syntax.Name):
        return None
    variable = entries[0].text
    for found in statement.ranges:
        if found.variable.text == variable and (len(statement.ranges) == 1 or _recursive(statement)):
            return found
    return None


def _recursive(statement: syntax.Definition) -> bool:
    name = statement.target.name.text
    bodies = (statement.body, *(binding.value for binding in statement.where))
    return any(isinstance(node, syntax.Name) and node.text == name for body in bodies for node in syntax.walk(body))


def _define(found: Declarations, statement: syntax.Definition, problems: Problems) -> None:
    target = statement.target
    name = target.name.text
    entries = target.entries
    step = step_range(statement)
    first = entries[0] if entries else None
    is_start = step is None and first is not None and not (isinstance(first, syntax.Name) and first.text not in found.names)
    before = found.definitions.get(name)
    if before is None:
        if not _new(found, target.name, problems):
            return
        before = found.definitions[name] = Defined(name, target.span)
    elif before.whole is not None or not (is_start or step is not None):
        problems.record(f"{name} is defined twice", target.span, "choose another name", [("defined before", before.span)])
        return
    if step is not None:
        if before.step is not None:
            problems.record(
                f"the steps of {name} are defined twice", target.span, "", [("defined before", before.step.target.span)]
            )
            return
        before.step = statement
    elif is_start:
        before.starts.append(statement)
    else:
        if statement.ranges and target.entries is None and target.labels is None:
            problems.record(
                f"`for` behind {name}, which has no index",
                statement.ranges[0].span,
                f"write {name}[{statement.ranges[0].variable.text}] = …",
            )
        before.whole = statement


def _find_families(found: Declarations) -> None:
    """A definition that uses a member of a family over its range is a family."""
    for defined in found.definitions.values():
        defined.is_family = bool(defined.starts) and defined.step is None
    families = {*found.size_families, *(n for n, a in found.arguments.items() if a.index is not None)}
    families.update(name for name, defined in found.definitions.items() if defined.is_family)
    uses: dict[str, list[str]] = {}
    for name, defined in found.definitions.items():
        if defined.step is not None:
            for other in _indexed_by_variable(defined.step):
                uses.setdefault(other, []).append(name)
    pending = [name for name in uses if name in families]
    seen = set(pending)
    while pending:
        for name in uses.get(pending.pop(), ()):
            found.definitions[name].is_family = True
            if name not in seen:
                seen.add(name)
                pending.append(name)


def _indexed_by_variable(statement: syntax.Definition) -> list[str]:
    """Names that the body indexes by the variable of its range: ``W[j]``, ``Z[j-1]``."""
    counted = step_range(statement)
    assert counted is not None
    variable = counted.variable.text
    names = []
    for body in (statement.body, *(binding.value for binding in statement.where)):
        for node in syntax.walk(body):
            if (
                isinstance(node, syntax.Index)
                and isinstance(node.operand, syntax.Name)
                and any(isinstance(n, syntax.Name) and n.text == variable for n in syntax.walk(node.entries[0]))
            ):
                names.append(node.operand.text)
    return names
