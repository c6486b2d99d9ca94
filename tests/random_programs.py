"""Random source programs, typed by construction: every expression is built for the shape that is asked for.

    source = random_program(seed).text

A program is a list of statements whose expressions are trees, so that a failing one can be made smaller: `shrink` replaces
expressions by their parts or by arguments of the same shape and drops statements, as long as the failure stays.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace

Type = tuple[str, ...]
"""The sizes of a tensor by name."""

Maker = Callable[[], "Expr"]
Choices = list[tuple[str, tuple[Maker, ...]]]
"""Patterns, each with what makes its parts."""

NAMES = ("N", "M", "K")


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


SMOOTH = (
    "tanh({})", "sin({})", "cos({})", "exp(0.3 {})", "sigmoid({})", "softplus({})", "atan({})", "erf({})", "gelu({})",
    "ln(1.5 ⊕ {0} ⊙ {0})", "sqrt(1 ⊕ {0} ⊙ {0})", "{}**2", "f({})", "g({})", "f'({})", "log1p({0} ⊙ {0})", "expm1(0.2 {})",
    "sinh(0.3 {})", "atan(2 {})", "stop({})",
)  # fmt: skip
KINKED = ("relu({})", "abs({})", "max({}, 0)", "min({}, 0.3)", "sign({})", "step({})")
ELEMENTWISE = (
    "{} + {}", "{} - {}", "{} ⊙ {}", "{0} ⊘ (2 ⊕ {1} ⊙ {1})", "0.5 {} - 2 {}", "{} ⊙ tanh({})", "-{} + {}", "max({}, {})",
    "pow(1 ⊕ {0} ⊙ {0}, 0.5) ⊙ {1}",
)  # fmt: skip


@dataclass
class Generator:
    """Grows one program. ``kinks`` allows functions that are not differentiable everywhere."""

    rng: random.Random
    kinks: bool = True
    matrices: bool = True
    names: dict[str, Type] = field(default_factory=dict)
    statements: list[Statement] = field(default_factory=list)
    count: int = 0

    # -------------------------------------------------------------------------------------------- names
    def fresh(self, prefix: str) -> str:
        self.count += 1
        return f"{prefix}{self.count}"

    def add(self, statement: Statement) -> None:
        self.statements.append(statement)
        self.names.update(statement.makes)

    def argument(self, type: Type, kind: str | None = None) -> str:
        name = self.fresh(self.rng.choice("XYA") if len(type) > 1 else self.rng.choice("uvx") if type else "s")
        kind = kind or self.rng.choice(("input", "param", "param"))
        self.add(Statement(f"{kind} {name} : {', '.join(type) or 'scalar'}", makes=((name, type),)))
        return name

    def leaf(self, type: Type) -> Expr:
        found = [name for name, known in self.names.items() if known == type]
        if not found or self.rng.random() < 0.15:
            return Expr(type, self.argument(type))
        return Expr(type, self.rng.choice(found[-6:]))

    # -------------------------------------------------------------------------------------------- expressions
    def expr(self, type: Type, depth: int) -> Expr:
        """An expression of ``type`` in parentheses, so that it may stand anywhere."""
        if depth <= 0 or self.rng.random() < 0.12:
            return self.leaf(type)
        makers: list[Callable[[Type, int], Expr]] = [self.unary, self.binary, self.scaled]
        makers += {0: [self.scalar] * 6, 1: [self.vector] * 5, 2: [self.matrix] * 6, 3: [self.cube] * 4}[len(type)]
        made = self.rng.choice(makers)(type, depth - 1)
        return replace(made, pattern=f"({made.pattern})")

    def some(self, type: Type, depth: int) -> Expr:
        return self.expr(type, depth if self.rng.random() < 0.7 else 0)

    def unary(self, type: Type, depth: int) -> Expr:
        return Expr(type, self.rng.choice(SMOOTH + (KINKED if self.kinks else ())), (self.expr(type, depth),))

    def binary(self, type: Type, depth: int) -> Expr:
        patterns = ELEMENTWISE if self.kinks else tuple(p for p in ELEMENTWISE if "max" not in p)
        return Expr(type, self.rng.choice(patterns), (self.expr(type, depth), self.some(type, depth)))

    def scaled(self, type: Type, depth: int) -> Expr:
        return Expr(type, "{} {}", (self.expr((), depth), self.some(type, depth)))

    def size(self) -> str:
        return self.rng.choice(NAMES)

    def scalar(self, type: Type, depth: int) -> Expr:
        a, b = self.size(), self.size()
        vector, other = lambda: self.some((a,), depth), lambda: self.some((b,), depth)
        matrix, square = lambda: self.some((a, b), depth), lambda: self.some((a, a), depth)
        choices: Choices = [
            ("{} · {}", (vector, vector)), ("{} · {}", (matrix, matrix)), ("sum({})", (matrix,)), ("norm2({})", (vector,)),
            ("({}_i {}_i | )", (vector, vector)), ("({}_ij {}_ij | )", (matrix, matrix)), ("tr({})", (square,)),
            ("mean({})", (matrix,)), ("[~{} {}]", (vector, vector)),
            ("({}_i {}_ij {}_j | )", (vector, matrix, other)), ("{}^T @ {}", (vector, vector)),
            ("logsumexp({})", (vector,)), ("(sum[i](tanh({}_i)) | )", (vector,)), ("({}_ii | )", (square,)),
        ]  # fmt: skip
        if self.matrices:
            choices.append((f"logdet({{0}} @ {{0}}^T + 3 eye({a}))", (matrix,)))
        if self.kinks:
            choices += [("max({})", (matrix,)), ("(max[i]({}_i) | )", (vector,)), ("norm({} ⊕ 3)", (vector,))]
        return self.filled(type, choices)

    def vector(self, type: Type, depth: int) -> Expr:
        (a,) = type
        b = self.size()
        vector, other = lambda: self.some((a,), depth), lambda: self.some((b,), depth)
        matrix, turned = lambda: self.some((a, b), depth), lambda: self.some((b, a), depth)
        choices: Choices = [
            ("{} @ {}", (matrix, other)), ("{}^T @ {}", (turned, other)), ("({}_ij | i)", (matrix,)), ("softmax({})", (vector,)),
            ("({}_ij {}_j | i)", (matrix, other)), ("({}_ij {}_j + {}_i | i)", (matrix, other, vector)),
            ("logsumexp^1({})", (matrix,)), ("({0}_i {1}_ij {0}_i | i)", (vector, matrix)), ("{} ·_1 {}", (other, turned)),
            ("{} ^2·^1 {}", (matrix, other)), ("(sum[j]({}_ij**2) | i)", (matrix,)),
            ("({}_ii | i)", (lambda: self.some((a, a), depth),)),
            (f"({{}} + 𝟏⟨{a}⟩)", (vector,)),
        ]  # fmt: skip
        if self.matrices:
            choices.append((f"solve({{0}} @ {{0}}^T + 3 eye({a}), {{1}})", (matrix, vector)))
        if self.kinks:
            choices.append(("(max[j]({}_ij) | i)", (matrix,)))
        return self.filled(type, choices)

    def matrix(self, type: Type, depth: int) -> Expr:
        a, b = type
        c = self.size()
        left, right = lambda: self.some((a, c), depth), lambda: self.some((c, b), depth)
        whole, turned = lambda: self.some((a, b), depth), lambda: self.some((b, a), depth)
        row, column = lambda: self.some((b,), depth), lambda: self.some((a,), depth)
        choices: Choices = [
            ("{} @ {}", (left, right)), ("{}^T", (turned,)), ("{} @ {}^T", (column, row)), ("{} {}", (column, row)),
            ("({}_ik {}_kj | ij)", (left, right)), ("softmax^1({})", (whole,)), ("({}_ji | ij)", (turned,)), ("{}_21", (turned,)),
            ("({0}_ij {1}_j | ij)", (whole, row)), ("({0}_ij + {1}_j + {2}_i | ij)", (whole, row, column)), ("𝟏 {}", (row,)),
            ("{} ^2·^1 {}", (left, right)), ("({0}_ik {1}_kj {0}_ik | ij)", (left, right)), ("{} ⊗ {}", (column, row)),
            ("(where(i >= j, {}_ij, {}_ij) | ij)", (whole, whole)), ("({}_i {}_ij | ij)", (column, whole)),
            ("({}_ij {}_ij | ij)", (whole, whole)),
        ]  # fmt: skip
        if a == b and self.matrices:
            definite = f"{{0}} @ {{0}}^T + 3 eye({a})"
            choices += [(f"inv({definite})", (left,)), (f"chol({definite})", (left,)), (f"({{}} + eye({a}))", (whole,))]
        made = self.filled(type, choices)
        return Expr(type, f"𝟏⟨{a}⟩ {{}}", made.parts) if made.pattern == "𝟏 {}" else made

    def cube(self, type: Type, depth: int) -> Expr:
        a, b, c = type
        choices: Choices = [
            ("{} {}", (lambda: self.some((a, b), depth), lambda: self.some((c,), depth))),
            ("({}_ij {}_jk | ijk)", (lambda: self.some((a, b), depth), lambda: self.some((b, c), depth))),
            ("({}_kij | ijk)", (lambda: self.some((c, a, b), depth),)),
            ("({}_ij + {}_k | ijk)", (lambda: self.some((a, b), depth), lambda: self.some((c,), depth))),
        ]
        return self.filled(type, choices)

    def filled(self, type: Type, choices: Choices) -> Expr:
        pattern, makers = self.rng.choice(choices)
        return Expr(type, pattern, tuple(make() for make in makers))

    # -------------------------------------------------------------------------------------------- statements
    def type(self) -> Type:
        return tuple(self.size() for _ in range(self.rng.choice((0, 1, 1, 2, 2, 2, 3))))

    def definition(self) -> None:
        type = self.type()
        name = self.fresh("D")
        self.add(Statement(name, self.expr(type, self.rng.choice((1, 2, 3))), makes=((name, type),)))

    def recurrence(self) -> None:
        a = self.size()
        name, initial = self.fresh("R"), self.argument((a,))
        weights = self.argument((a, a))
        drive = self.argument(("T", a))
        inner = f"0.5 {weights} @ {name}[t-1]" + f" + {drive}[t]"
        self.add(Statement(f"{name}[0] = {initial}"))
        step = self.rng.choice(("tanh({})", "sin({})", "sigmoid({})")).format(inner)
        self.add(Statement(f"{name}[t] = {step} for t = 1..T", makes=((name, ("T", a)),)))
        last = self.fresh("D")
        if self.rng.random() < 0.5:
            self.add(Statement(f"{last} = ({name}_ti | i)", makes=((last, (a,)),)))


def random_program(seed: int, *, kinks: bool = True, matrices: bool = True) -> Source:
    """A program with a scalar ``J`` and its gradient by every parameter that it uses."""
    rng = random.Random(seed)
    made = Generator(rng, kinks, matrices)
    made.add(Statement("dim N, M, K, T"))
    made.add(Statement("function f(a) = tanh(a) + 0.5 a"))
    made.add(Statement("function g(a) = sigmoid(a) ⊙ a"))
    for _ in range(rng.choice((1, 2, 3, 4))):
        if rng.random() < 0.2:
            made.recurrence()
        else:
            made.definition()
    target = made.expr((), rng.choice((2, 3)))
    defined = [(name, type) for name, type in made.names.items() if name[0] in "DR"]
    for name, type in defined[-3:]:
        scalar = {0: "sin({})", 1: "tanh({0}) · cos({0})"}.get(len(type), "sum(sin({}))").format(name)
        target = Expr((), "{} + " + scalar, (target,))
    made.add(Statement("J", target))
    params = [s.makes[0][0] for s in made.statements if s.head.startswith("param ")]
    used = [name for name in params if any(_mentions(s, name) for s in made.statements if not s.head.startswith("param "))]
    return Source(tuple(made.statements), tuple(used))


def _mentions(statement: Statement, name: str) -> bool:
    return re.search(rf"(?<![\w]){name}(?![\d])", statement.text) is not None


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
