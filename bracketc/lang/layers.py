"""A file layer by layer: the body of every definition over the names that its text uses, each of which is opaque.

    Z = tanh(X @ W), J = Z · Z   ->   the layers  Z: tanh(X @ W)  and  J: Z · Z with the variable Z

Elaboration proper puts the node of a definition wherever its name stands; here the names stay, as a person works with them:
scalar constants and the names of a ``where`` too. The body of a step ``Z[t] = …`` is that of one general step, over variables
such as ``Z[t-1]`` and ``X[t]``. A scalar function of the file, or one that has no node of its own, is a function ``f``
that nothing is known of, with the derivative ``f'``.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from bracketc.errors import UnsupportedError
from bracketc.ir import build
from bracketc.ir.dims import Dim
from bracketc.ir.nodes import Node, Pointwise, Tensor, Window
from bracketc.ir.program import Kind, SizeSpec
from bracketc.ir.rewrite import Roots, substitute
from bracketc.ir.sizes import substitute_dims
from bracketc.lang import syntax
from bracketc.lang.bodies import body_value
from bracketc.lang.declarations import Declarations, step_range
from bracketc.lang.entries import integer
from bracketc.lang.indexing import members
from bracketc.lang.opening import Opened, deep_stack, open_file
from bracketc.lang.order import Key, member_statement
from bracketc.lang.problems import Abort, Problems
from bracketc.lang.scope import Scope
from bracketc.lang.steps import Step, open_range
from bracketc.lang.values import (
    Binding,
    Failed,
    Family,
    FunctionValue,
    Quantity,
    Running,
    SizeFamily,
    Steps,
    Value,
    closed,
    retyped,
)

COMPOSED = ("gelu",)
"""Element-wise functions that elaboration writes out in terms of others."""

_NAMELESS = syntax.Function(syntax.Name("f", syntax.NOWHERE), (), syntax.Number("0", syntax.NOWHERE), (), syntax.NOWHERE)


@dataclass(frozen=True, slots=True)
class Slice:
    """What a variable in a general step stands for: ``name[t + offset]``."""

    name: str
    offset: int


@dataclass(frozen=True, slots=True)
class Recurring:
    """The range of a layer that is defined step by step, and the slices that its body uses by their variables."""

    variable: str
    first: Dim
    last: Dim
    slices: Mapping[Tensor, Slice]


@dataclass(frozen=True, slots=True)
class Layer:
    """One definition: ``name`` as the source writes it (``Z[2]`` of a family), ``variable`` what stands for it elsewhere.

    ``local`` names stand behind a ``where`` of the definition ``owner``. The ``body`` of a recurring layer is one step.
    """

    name: str
    variable: Tensor
    body: Node
    local: bool = False
    owner: str | None = None
    recurring: Recurring | None = None


@dataclass(frozen=True, slots=True)
class Numbered:
    """The members ``numbers`` of a family that one line defines: ``for variable = first..last``."""

    variable: str
    first: str
    last: str
    numbers: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Layered:
    """A file as layers, needed ones first. ``arguments`` are called as in the source: ``W[1]``, not ``W1``.

    ``keys`` are names by what a program calls them (``W1``); ``constants`` are the variables of scalar constants. ``families`` are
    arguments and definitions with fixed numbers, ``extents`` the sizes with numbers (``dim D[0..L]``), ``starts`` the start
    values of recurrences by their position.
    """

    layers: tuple[Layer, ...]
    arguments: tuple[Tensor, ...]
    kinds: Mapping[str, Kind]
    keys: Mapping[str, str]
    constants: Mapping[Tensor, Node]
    sizes: tuple[SizeSpec, ...]
    names: frozenset[str]
    families: Mapping[str, Numbered]
    extents: Mapping[str, Mapping[int, Dim]]
    starts: Mapping[str, tuple[tuple[Dim, Tensor], ...]]

    def layer(self, name: str) -> Layer | None:
        return next((layer for layer in self.layers if layer.name == name), None)


def layered(tree: syntax.SyntaxFile) -> Layered:
    """The layers of a file without mistakes; raises what elaboration raises."""
    problems = Problems()
    opened = open_file(tree, problems)
    problems.finish()
    with deep_stack():
        return _Layers(opened).read()


@dataclass(slots=True)
class _Layers:
    """One file while its layers are read."""

    opened: Opened
    found: list[Layer] = field(default_factory=list)
    keys: dict[str, str] = field(default_factory=dict)
    renamed: dict[Node, Node] = field(default_factory=dict)
    constants: dict[Tensor, Node] = field(default_factory=dict)
    starts: dict[str, tuple[tuple[Dim, Tensor], ...]] = field(default_factory=dict)

    def read(self) -> Layered:
        opened, run = self.opened, self.opened.run
        taken = set(run.declarations.names)
        symbolic = self._file(self._variables(), self._constants())
        plain = self._file(self._variables(), {})
        for unit in run.order.units:
            for key in unit.keys:
                self._define(key, (symbolic, plain), taken)
        run.sizes.settle()
        solution = run.sizes.solution()
        nodes = [node for layer in self.found for node in (layer.variable, layer.body)]
        solved = iter(substitute(substitute_dims(Roots(tuple(nodes)), solution)[0].nodes, self.renamed))
        layers = []
        for layer in self.found:
            variable, body = next(solved), next(solved)
            assert isinstance(variable, Tensor)
            layers.append(replace(layer, variable=variable, body=body))
        arguments = tuple(self._argument(tensor) for tensor in opened.arguments)
        kinds = {self.keys[name]: kind for name, kind in opened.kinds.items()}
        names = frozenset(taken) | {layer.name for layer in layers}
        return Layered(
            tuple(layers),
            arguments,
            kinds,
            dict(self.keys),
            dict(self.constants),
            opened.sizes,
            names,
            self._families(),
            {n: found.members for n, found in opened.file.bindings.items() if isinstance(found, SizeFamily)},
            dict(self.starts),
        )

    def _families(self) -> dict[str, Numbered]:
        declarations, file = self.opened.run.declarations, self.opened.file
        ranges: dict[str, syntax.Range | None] = {n: a.range for n, a in declarations.arguments.items()}
        for name, defined in declarations.definitions.items():
            ranges[name] = defined.step.ranges[0] if defined.is_family and defined.step is not None else None
        found: dict[str, Numbered] = {}
        for name, counted in ranges.items():
            if counted is None or not isinstance(file.find(name), Family):
                continue
            ends = [integer(end, file) for end in (counted.first, counted.last)]
            if ends[0] is not None and ends[1] is not None:
                numbers = tuple(members(ends[0], ends[1]))
                found[name] = Numbered(counted.variable.text, counted.first.span.text, counted.last.span.text, numbers)
        return found

    def _argument(self, tensor: Tensor) -> Tensor:
        found = self.renamed.get(tensor, tensor)
        assert isinstance(found, Tensor)
        return found

    # ------------------------------------------------------------------------------------------- opaque names
    def _variables(self) -> dict[str, Binding]:
        """Every definition as a variable of its own; arguments of families under the names of the source."""
        run, file = self.opened.run, self.opened.file
        bindings: dict[str, Binding] = {}
        for name in run.declarations.arguments:
            found = file.find(name)
            self.keys.setdefault(name, name)
            if isinstance(found, Family):
                for number, member in found.members.items():
                    if isinstance(member, Value) and isinstance(member.node, Tensor):
                        self.keys[member.node.name] = f"{name}[{number}]"
                        self.renamed[member.node] = replace(member.node, name=f"{name}[{number}]")
        for name in run.declarations.definitions:
            found = file.find(name)
            if isinstance(found, Value):
                self.keys[name] = name
                bindings[name] = self._opaque(name, found)
            elif isinstance(found, Family):
                own: dict[int, Value | Failed] = {}
                for number, member in found.members.items():
                    self.keys[f"{name}{number}"] = f"{name}[{number}]"
                    own[number] = self._opaque(f"{name}[{number}]", member, True) if isinstance(member, Value) else member
                bindings[name] = Family(name, own)
            elif isinstance(found, Steps):
                self.keys[name] = name
                starts = tuple((at, self._opaque(f"{name}[{at}]", value)) for at, value in found.starts)
                self.starts[name] = tuple((at, value.node) for at, value in starts if isinstance(value.node, Tensor))
                bindings[name] = Steps(name, found.first, found.last, self._opaque(name, found.stacked), starts)
        return bindings

    def _opaque(self, name: str, value: Value, always: bool = False) -> Value:
        """A variable for ``value``; an argument under another name stays what it is, unless ``always``."""
        if (isinstance(value.node, Tensor) and not always) or value.node.dtype != "real":
            return value
        return Value(Tensor(name, tuple(self.opened.run.sizes.resolve(size) for size in value.node.shape)), value.rows)

    def _constants(self) -> dict[str, Binding]:
        bindings: dict[str, Binding] = {}
        for name in self.opened.run.declarations.constants:
            found = self.opened.file.find(name)
            if isinstance(found, Value) and found.rank == 0 and found.node.dtype == "real":
                variable = Tensor(name, ())
                self.constants[variable] = found.node
                bindings[name] = closed(variable)
        return bindings

    def _file(self, variables: Mapping[str, Binding], constants: Mapping[str, Binding]) -> Scope:
        run = self.opened.run
        functions: dict[str, Binding] = {}
        for name in (*run.declarations.functions, *COMPOSED):
            found = self.opened.file.find(name) or FunctionValue(_NAMELESS, True, (0,))
            if isinstance(found, FunctionValue) and found.scalar and len(found.ranks) == 1:
                functions[name] = found
        file = Scope(run, {**variables, **constants, **functions}, self.opened.file, steps=())
        file.file = file
        for name in functions:
            for primes in ("", "'"):
                point = run.placeholder("f", build.literal(0))
                run.bodies[(f"{name}{primes}", 1, file)] = ((point,), Pointwise(f"{name}{primes}", (point,)))
        return file

    # ------------------------------------------------------------------------------------------- definitions
    def _define(self, key: Key, files: Sequence[Scope], taken: set[str]) -> None:
        declarations = self.opened.run.declarations
        if isinstance(key, tuple):
            statement, _ = member_statement(declarations, key[0], key[1], self.opened.file)
            family = files[0].find(key[0])
            assert isinstance(family, Family)
            variable = family.members[key[1]]
            if isinstance(variable, Value):
                self._add(f"{key[0]}[{key[1]}]", variable, [self._member(key, file) for file in files], statement, None)
            return
        defined = declarations.definitions.get(key)
        if defined is None or defined.is_family:
            return
        if defined.whole is not None:
            found = files[0].find(key)
            if isinstance(found, Value):
                self._add(key, found, files, defined.whole, taken)
            return
        found = files[0].find(key)
        if isinstance(found, Steps):
            self._steps(key, found, declarations, files)

    def _member(self, key: tuple[str, int], file: Scope) -> Scope:
        return member_statement(self.opened.run.declarations, key[0], key[1], file)[1]

    def _add(
        self, name: str, variable: Value, scopes: Iterable[Scope], statement: syntax.Definition, taken: set[str] | None
    ) -> None:
        """The layer of a definition; its local names are layers, too, where nothing else is called so."""
        if not isinstance(variable.node, Tensor) or variable.node.name != name:
            return
        for scope in scopes:
            before = len(self.found)
            with self._attempt() as problems:
                inner = self._locals(name, statement.where, scope, taken) if taken is not None else None
                inner = inner or self.opened.run.locals(statement.where, scope)
                entries = statement.target.entries if taken is not None else (statement.target.entries or ())[1:]
                value = body_value(statement, statement.target.labels, entries or None, inner)
                if not problems.diagnostics:
                    self.found.append(Layer(name, variable.node, retyped(value.node, variable.node.shape)))
                    return
            if taken is not None:
                taken.difference_update(layer.name for layer in self.found[before:])
            del self.found[before:]

    def _attempt(self) -> _Attempt:
        return _Attempt(self.opened)

    def _locals(self, owner: str, where: tuple[syntax.Binding, ...], scope: Scope, taken: set[str]) -> Scope:
        waiting = list(where)
        current = scope
        while waiting:
            names = {binding.target.name.text for binding in waiting}
            ready = next(b for b in waiting if not _mentioned(b.value) & (names - {b.target.name.text}))
            waiting.remove(ready)
            current = self.opened.run.locals((ready,), current)
            name = ready.target.name.text
            value = current.bindings.get(name)
            if name in taken or not isinstance(value, Value) or isinstance(value.node, Tensor) or value.node.dtype != "real":
                continue
            taken.add(name)
            variable = self._opaque(name, value)
            assert isinstance(variable.node, Tensor)
            self.found.append(Layer(name, variable.node, retyped(value.node, variable.node.shape), True, owner))
            current = current.inner({name: variable})
        return current

    # ------------------------------------------------------------------------------------------- recurrences
    def _steps(self, name: str, found: Steps, declarations: Declarations, files: Sequence[Scope]) -> None:
        """The layer of one general step, and those of the start values."""
        defined = declarations.definitions[name]
        statement = defined.step
        assert statement is not None
        for start, (at, value) in zip(defined.starts, found.starts, strict=True):
            entries = start.target.entries or ()
            for file in files:
                with self._attempt() as problems:
                    inner = self.opened.run.locals(start.where, file)
                    body = body_value(start, None, entries[1:] or None, inner)
                    if not problems.diagnostics and isinstance(value.node, Tensor) and value.node.name == f"{name}[{at}]":
                        self.found.append(Layer(value.node.name, value.node, retyped(body.node, value.node.shape)))
                    break
        for file in files:
            with self._attempt() as problems:
                layer = self._step(name, found, statement, file)
                if not problems.diagnostics:
                    self.found.append(layer)
                    return
        raise UnsupportedError(f"no derivation through the steps of {name}")

    def _step(self, name: str, found: Steps, statement: syntax.Definition, file: Scope) -> Layer:
        counted = step_range(statement)
        assert counted is not None and isinstance(found.stacked.node, Tensor)
        step = open_range(counted.first, counted.last, file)
        letter = counted.variable.text
        slices: dict[Tensor, Slice] = {}
        running: dict[str, Binding] = {}
        for other in self.opened.run.declarations.definitions:
            steps = file.find(other)
            if isinstance(steps, Steps):
                offsets = _Offsets(steps, letter, slices)
                running[other] = Running(other, step.variable, offsets, steps.starts)
        inner = file.inner({**running, letter: Quantity(step.variable)}, step)
        inner = self.opened.run.locals(statement.where, inner)
        entries = statement.target.entries or ()
        value = body_value(statement, None, entries[1:] or None, inner)
        taken = {slice: _slice_of(source, step, letter) for slice, source in step.slices.items()}
        replaced: dict[Node, Node] = {}
        for placeholder, (source, offset) in taken.items():
            assert isinstance(placeholder, Tensor)
            own = self._argument(source)
            variable = replace(placeholder, name=f"{own.name}[{_entry(letter, offset)}]", traits=own.traits)
            replaced[placeholder] = variable
            slices[variable] = Slice(own.name, offset)
        (body,) = substitute((value.node,), replaced)
        body = retyped(body, found.stacked.node.shape[1:])
        resolve = self.opened.run.sizes.resolve
        recurring = Recurring(letter, resolve(step.first), resolve(step.last), slices)
        return Layer(name, found.stacked.node, body, recurring=recurring)


class _Attempt:
    """Problems recorded meanwhile are set aside: an attempt may fail."""

    def __init__(self, opened: Opened) -> None:
        self.run = opened.run
        self.problems = Problems()

    def __enter__(self) -> Problems:
        self.before = self.run.problems
        self.run.problems = self.problems
        return self.problems

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> bool:
        self.run.problems = self.before
        return kind is not None and issubclass(kind, Abort)


class _Offsets(Mapping[int, Value]):
    """``Z[t + offset]`` for every offset, each a variable."""

    def __init__(self, steps: Steps, letter: str, slices: dict[Tensor, Slice]) -> None:
        self.steps = steps
        self.letter = letter
        self.slices = slices

    def __getitem__(self, offset: int) -> Value:
        stacked = self.steps.stacked
        variable = Tensor(f"{self.steps.name}[{_entry(self.letter, offset)}]", stacked.node.shape[1:])
        self.slices[variable] = Slice(self.steps.name, offset)
        return Value(variable, stacked.rows[1:])

    def __iter__(self) -> Iterator[int]:
        return iter(())

    def __len__(self) -> int:
        return 0


def _slice_of(source: Node, step: Step, letter: str) -> tuple[Tensor, int]:
    """The tensor whose slices a range takes, and which one: ``X[t-1]``."""
    offset, sliced = Dim.of(0), source
    if isinstance(source, Window) and source.axis == 0 and source.steps == (1,):
        offset, sliced = source.offset, source.arg
    distance = (offset + 1 - step.first).constant
    if not isinstance(sliced, Tensor) or distance is None:
        raise UnsupportedError(f"no derivation through a step that uses other slices than {letter} plus a number")
    return sliced, distance


def _entry(letter: str, offset: int) -> str:
    return letter if offset == 0 else f"{letter}{offset:+d}"


def _mentioned(body: syntax.Expr) -> set[str]:
    return {name for node in syntax.walk(body) if isinstance(node, syntax.Name) for name in (node.text, node.base)}

