"""Random source programs, typed by construction: every expression is built for the shape that is asked for.

    source = random_program(seed).text

A program is a list of statements whose expressions are trees, so that a failing one can be made smaller: `shrink` replaces
expressions by their parts or by arguments of the same shape and drops statements, as long as the failure stays.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from random_patterns import (
    ELEMENTWISE,
    ELEMENTWISE_KINKED,
    KINKED,
    ROWS,
    ROWS_KINKED,
    ROWS_MATRICES,
    ROWS_TRAITS,
    SMOOTH,
    Row,
)

import bracketc as bc
from bracketc.ir.program import Program

Type = tuple[str, ...]
"""The sizes of a tensor by name."""

NAMES = ("N", "M", "K")
FIXED = {"T": "T", "t": "T-1", "2": "2"}
"""Sizes that a pattern names."""


@dataclass(frozen=True)
class Expr:
    """Source text with ``{}`` where the parts stand, in parentheses that the place needs; ``name`` where it is a mere name."""

    type: Type
    pattern: str
    parts: tuple[Expr, ...] = ()

    @property
    def text(self) -> str:
        places = iter(range(len(self.parts)))
        pattern = re.sub(r"\{\}", lambda _: f"{{{next(places)}}}", self.pattern)
        return pattern.format(*(part.text for part in self.parts))

    @property
    def size(self) -> int:
        return 1 + sum(part.size for part in self.parts)


@dataclass(frozen=True)
class Statement:
    """``head = body``; ``rest`` follows. A declaration has no body. ``makes`` are names that later statements may use."""

    head: str
    body: Expr | None = None
    rest: str = ""
    makes: tuple[tuple[str, Type], ...] = ()

    @property
    def text(self) -> str:
        return self.head if self.body is None else f"{self.head} = {self.body.text}{self.rest}"


@dataclass(frozen=True)
class Source:
    statements: tuple[Statement, ...]
    wrt: tuple[str, ...]
    requests: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        lines = [statement.text for statement in self.statements]
        if self.wrt:
            lines.append(f"gradient J wrt {', '.join(self.wrt)}")
        return "\n".join([*lines, *self.requests]) + "\n"


@dataclass
class Generator:
    """Grows one program. ``kinks`` allows functions that are not differentiable everywhere, ``matrices`` operations on matrices."""

    rng: random.Random
    kinks: bool = True
    matrices: bool = True
    names: dict[str, Type] = field(default_factory=dict)
    statements: list[Statement] = field(default_factory=list)
    count: int = 0
    pool: tuple[str, ...] = ()
    rows: dict[int, tuple[Row, ...]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Few sizes, so that tensors of one shape meet."""
        self.pool = tuple(self.rng.sample(NAMES, self.rng.choice((2, 3)))) + tuple(self.rng.choices(("T", "B", "2", "H"), k=1))
        rows = ROWS + (ROWS_KINKED if self.kinks else ()) + (ROWS_MATRICES if self.matrices else ()) + ROWS_TRAITS
        self.rows = {rank: tuple(row for row in rows if len(row[0]) == rank) for rank in range(4)}

    # -------------------------------------------------------------------------------------------- names
    def fresh(self, prefix: str) -> str:
        self.count += 1
        return f"{prefix}{self.count}"

    def add(self, statement: Statement) -> None:
        self.statements.append(statement)
        self.names.update(statement.makes)

    def argument(self, type: Type, kind: str | None = None, trait: str = "") -> str:
        name = self.fresh(self.rng.choice("XYA") if len(type) > 1 else self.rng.choice("uvx") if type else "s")
        kind = kind or self.rng.choice(("input", "param", "param"))
        self.add(Statement(f"{kind} {name} : {', '.join(type) or 'scalar'}{' ' if trait else ''}{trait}", makes=((name, type),)))
        return name

    def integer(self, type: Type, bound: str) -> Expr:
        """An argument of indices, which no real expression may use."""
        name = self.fresh("c")
        self.statements.append(Statement(f"input {name} : {', '.join(type)}  integer in {bound}"))
        return Expr(type, name)

    def leaf(self, type: Type, differs: Collection[str] = ()) -> Expr:
        found = [name for name, known in self.names.items() if known == type and name not in differs]
        if not found or self.rng.random() < 0.15:
            return Expr(type, self.argument(type))
        return Expr(type, self.rng.choice(found[-6:]))

    # -------------------------------------------------------------------------------------------- expressions
    def expr(self, type: Type, depth: int) -> Expr:
        """An expression of ``type`` in parentheses, so that it may stand anywhere."""
        if depth <= 0 or self.rng.random() < 0.12:
            return self.leaf(type)
        made = self.rng.choices((self.unary, self.binary, self.row), (2, 2, 6))[0](type, depth - 1)
        return replace(made, pattern=f"({made.pattern})")

    def some(self, type: Type, depth: int) -> Expr:
        return self.expr(type, depth if self.rng.random() < 0.7 else 0)

    def unary(self, type: Type, depth: int) -> Expr:
        return Expr(type, self.rng.choice(SMOOTH + (KINKED if self.kinks else ())), (self.expr(type, depth),))

    def binary(self, type: Type, depth: int) -> Expr:
        if self.rng.random() < 0.3:
            return Expr(type, "{} {}", (self.expr((), depth), self.some(type, depth)))
        patterns = ELEMENTWISE + (ELEMENTWISE_KINKED if self.kinks else ())
        return Expr(type, self.rng.choice(patterns), (self.expr(type, depth), self.some(type, depth)))

    def size(self) -> str:
        return self.rng.choice(self.pool)

    def row(self, type: Type, depth: int) -> Expr:
        """A pattern of the tables that makes ``type``."""
        while True:
            made, pattern, *parts = self.rng.choice(self.rows[len(type)])
            sizes = _matched(made, type)
            if sizes is not None:
                return self.filled(type, pattern, parts, sizes, depth)

    def filled(self, type: Type, pattern: str, parts: Sequence[str], sizes: dict[str, str], depth: int) -> Expr:
        made: list[Expr] = []
        for part in parts:
            kind, _, rest = part.lstrip("!#").partition("<" if part[:1] == "#" else " ")
            wanted = tuple(self.sized(letter, sizes) for letter in kind)
            if part[:1] == "#":
                made.append(self.integer(wanted, self.sized(rest, sizes)))
            elif part[:1] == "!":
                made.append(self.leaf(wanted, [other.text for other in made]))
            elif rest:
                made.append(Expr(wanted, self.argument(wanted, trait=rest)))
            else:
                made.append(self.some(wanted, depth))
        return Expr(type, re.sub(r"\$([a-d])", lambda letter: self.sized(letter[1], sizes), pattern), tuple(made))

    def sized(self, letter: str, sizes: dict[str, str]) -> str:
        if letter in FIXED:
            return FIXED[letter]
        return sizes.setdefault(letter, self.size())

    # -------------------------------------------------------------------------------------------- statements
    def type(self) -> Type:
        return tuple(self.size() for _ in range(self.rng.choice((0, 1, 1, 2, 2, 2, 3))))

    def definition(self) -> None:
        type = self.type()
        name, depth = self.fresh("D"), self.rng.choice((1, 2, 3))
        if self.rng.random() < 0.2:
            inner, local = self.type(), self.fresh("U")
            value = self.expr(inner, depth - 1)
            self.names[local] = inner
            body = self.expr(type, depth)
            del self.names[local]
            whole = Expr(type, f"{{}} where {local} = {{}}", (body, value))
            self.add(Statement(name, whole, makes=((name, type),)))
            return
        self.add(Statement(name, self.expr(type, depth), makes=((name, type),)))

    def by_index(self) -> None:
        """Definitions entry by entry: products, slices, windows, cumulative sums."""
        a, b, c = self.size(), self.size(), self.size()
        rows: list[tuple[str, Type, str, tuple[Type, ...], str]] = [
            ("{}_ij", (a, b), "{}_ik {}_kj", ((a, c), (c, b)), ""), ("{}[i,j]", (a, b), "{}[i] {}[j]", ((a,), (b,)), ""),
            ("{}_i", (a,), "tanh({}_ij {}_j + {}_i)", ((a, b), (b,), (a,)), ""),
            ("{}[i]", ("T-1",), "{0}[i+1] - {0}[i]", (("T",),), " for i = 1..T-1"),
            ("{}[s]", ("T-1",), "{}[s+u-1] {}[u]", (("T",), ("2",)), ""),
            ("{}[s,i]", ("T-1", a), "{}[s+u-1,i] {}[u]", (("T", a), ("2",)), ""),
            ("{}[t]", ("T",), "sum[s=1..t]({}[s])", (("T",),), " for t = 1..T"),
            ("{}[t]", ("T",), "logsumexp[s=1..t]({}[s])", (("T",),), " for t = 1..T"),
            ("{}[t]", ("T", a), "sum[s=t..T]({}[s])", (("T", a),), " for t = 1..T"),
            ("{}[t]", ("T",), "mean[s=1..t]({}[s])", (("T",),), " for t = 1..T"),
            ("{}[t]", ("T",), "prod[s=1..t](sin({}[s]))", (("T",),), " for t = 1..T"),
            ("{}[t]", ("T", a), "tanh({}[t]) + {}", (("T", a), (a,)), " for t = 1..T"),
            ("{}[t]", ("T",), "sum[s=1..T]({0}[s] exp(-(0.1 (s - t)**2)))", (("T",),), " for t = 1..T"),
        ]  # fmt: skip
        if self.kinks:
            rows.append(("{}[t]", ("T",), "max[s=1..t]({}[s])", (("T",),), " for t = 1..T"))
            rows.append(("{}[t]", ("T",), "min[s=t..T]({}[s])", (("T",),), " for t = 1..T"))
        head, type, pattern, parts, rest = self.rng.choice(rows)
        body = Expr(type, pattern, tuple(self.leaf(part) for part in parts))
        name = self.fresh("D")
        self.add(Statement(head.format(name), body, rest, ((name, type),)))

    def recurrence(self) -> None:
        """One that runs forward or backward, of vectors or matrices, one step back or two, alone or with another."""
        a, name, other = self.size(), self.fresh("R"), self.fresh("R")
        weights, drive, start = self.leaf((a, a)).text, self.leaf(("T", a)).text, self.leaf((a,)).text
        step = self.rng.choice(("tanh({})", "sin({})", "sigmoid({})"))
        kind = self.rng.choice(("forward", "forward", "backward", "two", "pair", "matrix", "entries", "batched"))
        if kind == "batched":
            inner = step.format(f"{weights} @ {drive}[t] + {start}")
            self.add(Statement(f"{name}[t] = {inner} for t = 1..T", makes=((name, ("T", a)),)))
            return
        if kind == "matrix":
            b = self.size()
            first, gain = self.leaf((a, b)).text, self.leaf((b,)).text
            self.add(Statement(f"{name}[0] = {first}"))
            inner = step.format(f"0.5 {weights} @ {name}[t-1] + {drive}[t] {gain}")
            self.add(Statement(f"{name}[t] = {inner} for t = 1..T", makes=((name, ("T", a, b)),)))
            return
        if kind == "entries":
            self.add(Statement(f"{name}[0,i] = {start}[i]"))
            inner = step.format(f"0.5 {weights}[i,j] {name}[t-1,j] + {drive}[t,i]")
            self.add(Statement(f"{name}[t,i] = {inner} for t = 1..T", makes=((name, ("T", a)),)))
            return
        if kind == "backward":
            self.add(Statement(f"{name}[T+1] = {start}"))
            inner = step.format(f"0.5 {weights} @ {name}[t+1] + {drive}[t]")
            self.add(Statement(f"{name}[t] = {inner} for t = T..1", makes=((name, ("T", a)),)))
        elif kind == "two":
            self.add(Statement(f"{name}[0] = {start}"))
            self.add(Statement(f"{name}[-1] = {self.leaf((a,)).text}"))
            inner = step.format(f"0.5 {weights} @ {name}[t-1] - 0.3 {name}[t-2] + {drive}[t]")
            self.add(Statement(f"{name}[t] = {inner} for t = 1..T", makes=((name, ("T", a)),)))
        elif kind == "pair":
            self.add(Statement(f"{name}[0] = {start}"))
            self.add(Statement(f"{other}[0] = 0 {start}"))
            inner = step.format(f"0.5 {weights} @ {name}[t-1] + {other}[t-1]")
            self.add(Statement(f"{name}[t] = {inner} for t = 1..T", makes=((name, ("T", a)),)))
            outer = f"0.5 {other}[t-1] + {name}[t-1] ⊙ {drive}[t]"
            self.add(Statement(f"{other}[t] = {outer} for t = 1..T", makes=((other, ("T", a)),)))
        else:
            self.add(Statement(f"{name}[0] = {start}"))
            inner = step.format(f"0.5 {weights} @ {name}[t-1] + {drive}[t]")
            self.add(Statement(f"{name}[t] = {inner} for t = 1..T", makes=((name, ("T", a)),)))
        if self.rng.random() < 0.5:
            last = self.fresh("D")
            body, type = (f"({name}_ti | i)", (a,)) if kind == "backward" else (f"{name}[T]", (a,))
            self.add(Statement(last, Expr(type, body), makes=((last, type),)))

    def family(self) -> None:
        """Layers with parameters of their own."""
        a, b = self.size(), self.size()
        if self.rng.random() < 0.4:
            self.widening(a)
            return
        weights, bias, layer = self.fresh("F") + "x", self.fresh("F") + "x", self.fresh("F") + "x"
        self.add(Statement(f"param {weights}[j] : {b}, {b} for j = 1..L"))
        self.add(Statement(f"param {bias}[j] : {b} for j = 1..L"))
        self.add(Statement(f"{layer}[0]", self.expr((a, b), 1)))
        step = self.rng.choice(("tanh({})", "sigmoid({})", "softplus({})"))
        self.add(Statement(f"{layer}[j] = {step.format(f'{layer}[j-1] @ {weights}[j] + 𝟏 {bias}[j]')} for j = 1..L"))
        last = self.fresh("D")
        more = f" + sum[k=1..L]({weights}[k] · {weights}[k]) {layer}[0]" if self.rng.random() < 0.4 else ""
        self.add(Statement(last, Expr((a, b), f"{layer}[L]{more}"), makes=((last, (a, b)),)))

    def widening(self, a: str) -> None:
        """Layers of different widths."""
        width, weights, layer, last = self.fresh("F") + "x", self.fresh("F") + "x", self.fresh("F") + "x", self.fresh("D")
        self.add(Statement(f"dim {width}[0..L] = 2, {self.rng.choice((1, 3))}, 2"))
        self.add(Statement(f"param {weights}[j] : {width}[j-1], {width}[j] for j = 1..L"))
        self.add(Statement(f"{layer}[0]", self.expr((a, "2"), 1)))
        self.add(Statement(f"{layer}[j] = tanh({layer}[j-1] @ {weights}[j]) for j = 1..L"))
        self.add(Statement(last, Expr((a, "2"), f"{layer}[L]"), makes=((last, (a, "2")),)))

    def derivation(self) -> None:
        """A derivation, which a gradient may be compiled from."""
        name, x = self.fresh("D"), self.argument((self.size(),), "param")
        self.add(Statement(name, Expr((), f"0.5 ({x} · {x})"), makes=((name, ()),)))
        self.add(Statement(f"derivation of {name} wrt {x} {{\n  d{name} = {x} · d{x}\n  ⟹ ∇[{x}]({name}) = {x}\n}}"))

    def requests(self) -> tuple[str, ...]:
        """Other derivatives of what is defined."""
        params = [s.makes[0] for s in self.statements if s.head.startswith("param ") and s.makes]
        targets = [(n, t) for n, t in self.names.items() if n[0] == "D" and len(t) <= 2] + [("J", ())]
        if not params or self.rng.random() < 0.6:
            return ()
        (x, type), (y, _) = self.rng.choice(params), self.rng.choice(params)
        target, rank = (lambda found: (found[0], len(found[1])))(self.rng.choice(targets))
        layouts = ["jacobian", "gradient"]
        if rank + len(type) <= 3 and len(type) < 3:
            layouts += ["row", "vec", "flat", "transposed"]
        if rank + len(type) <= 2:
            layouts.append("column")
        if type:
            places = self.rng.sample(range(1, rank + len(type) + 1), len(type))
            axes = self.rng.sample(range(1, len(type) + 1), len(type))
            layouts.append(f"^{''.join(map(str, places))}·^{''.join(map(str, axes))}")
        found = [
            f"hvp J wrt {x}", f"hessian J wrt {x}", f"hessian J wrt {x}, {y}" if x != y else f"hvp J wrt {x}",
            f"jvp {target} wrt {x}", f"vjp {target} wrt {x}", f"jacobian {target} wrt {x}",
            f"jacobian {target} wrt {x} layout {self.rng.choice(layouts)}", f"gradient J wrt {x}",
        ]  # fmt: skip
        if target != "J":
            found.append(f"jacobian J wrt {target}")
        return (f"{self.rng.choice(found)} as {self.fresh('r')}",)


HEADER = (
    "dim N, M, K, T, H ~ 100, B = 2",
    "dim L = 2",
    "const lam = 0.7",
    'import "shared.brk"',
    "function f(a) = tanh(a) + 0.5 a",
    "function p(a, b) = a ⊙ tanh(b) + 0.2 b",
    "function h(a) = exp(0.5 a) / (𝟏 · exp(0.5 a))",
)
"""What every program begins with; joined programs share it."""

FOLDER = Path(__file__).parent
"""Where ``shared.brk`` lies, which defines the functions g and q."""


def parse(source: Source | str) -> Program:
    """The program of a source, as a file of ``FOLDER``."""
    return bc.parse(source if isinstance(source, str) else source.text, str(FOLDER / "random.brk"))


def _matched(made: str, type: Type) -> dict[str, str] | None:
    """Sizes by letter, where a pattern can make ``type``."""
    sizes: dict[str, str] = {}
    for letter, name in zip(made, type, strict=True):
        if FIXED.get(letter, sizes.setdefault(letter, name)) != name:
            return None
    return sizes


def random_program(seed: int, *, kinks: bool = True, matrices: bool = True) -> Source:
    """A program with a scalar ``J``, its gradient by every parameter that it uses, now and then more results and requests."""
    rng = random.Random(seed)
    made = Generator(rng, kinks, matrices)
    for line in HEADER:
        made.add(Statement(line))
    makers = (made.definition, made.recurrence, made.by_index, made.family, made.derivation)
    for _ in range(rng.choice((1, 1, 2, 3))):
        rng.choices(makers, (12, 3, 3, 1, 1))[0]()
    target = made.expr((), rng.choice((1, 2, 2, 3)))
    defined = [(name, type) for name, type in made.names.items() if name[0] in "DR"]
    for name, type in defined[-3:]:
        scalar = {0: "sin({})", 1: "tanh({0}) · cos({0})"}.get(len(type), "sum(sin({}))").format(name)
        target = Expr((), "{} + " + scalar, (target,))
    made.add(Statement("J", target))
    if rng.random() < 0.3:
        made.add(Statement(f"output {', '.join(['J', *(name for name, _ in defined[:2] if name[0] == 'D')])}"))
    params = [s.head.split()[1].partition("[")[0] for s in made.statements if s.head.startswith("param ")]
    used = [name for name in params if any(_mentions(s, name) for s in made.statements if not s.head.startswith("param "))]
    return Source(tuple(made.statements), tuple(used), made.requests())


def _mentions(statement: Statement, name: str) -> bool:
    return re.search(rf"(?<![\w]){name}(?!\w)", statement.text) is not None


# ------------------------------------------------------------------------------------------------ smaller programs
def smaller(source: Source) -> Iterator[Source]:
    """Programs with one thing less, the boldest first."""
    for k in reversed(range(len(source.statements))):
        if source.statements[k].head != "J":
            rest = (*source.statements[:k], *source.statements[k + 1 :])
            gone = [name for name, _ in source.statements[k].makes]
            yield replace(source, statements=rest, wrt=tuple(name for name in source.wrt if name not in gone))
    for name in source.wrt:
        if len(source.wrt) > 1:
            yield replace(source, wrt=tuple(other for other in source.wrt if other != name))
    if source.wrt:
        yield replace(source, wrt=())
    leaves = [(name, type) for s in source.statements for name, type in s.makes]
    for k, statement in enumerate(source.statements):
        if statement.body is not None:
            for body in _smaller(statement.body, leaves):
                less = replace(statement, body=body)
                yield replace(source, statements=(*source.statements[:k], less, *source.statements[k + 1 :]))


def _smaller(expr: Expr, leaves: list[tuple[str, Type]]) -> Iterator[Expr]:
    if expr.parts:
        yield from (part for part in expr.parts if part.type == expr.type)
        yield from (Expr(expr.type, name) for name, type in leaves[:8] if type == expr.type)
    for k, part in enumerate(expr.parts):
        for less in _smaller(part, leaves):
            yield replace(expr, parts=(*expr.parts[:k], less, *expr.parts[k + 1 :]))


def shrink(source: Source, fails: Callable[[Source], bool], steps: int = 400) -> Source:
    """The smallest program found that still fails."""
    progress = True
    while progress and steps > 0:
        progress = False
        for candidate in smaller(source):
            steps -= 1
            if steps <= 0:
                break
            if fails(candidate):
                source, progress = candidate, True
                break
    return source
