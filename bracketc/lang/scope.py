"""Names and what they stand for, from the file down to the locals of one expression."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NoReturn

from bracketc.errors import Diagnostic, LimitError, Span
from bracketc.ir.dims import Dim
from bracketc.ir.nodes import Node, Tensor
from bracketc.ir.rewrite import Origin
from bracketc.ir.work import allow_expression
from bracketc.lang import syntax, words
from bracketc.lang.integers import bound_of
from bracketc.lang.problems import Abort, Problems
from bracketc.lang.sizes import Sizes
from bracketc.lang.values import Binding, Failed, FunctionValue, Value
from bracketc.options import Limits

if TYPE_CHECKING:
    from bracketc.lang.declarations import Declarations
    from bracketc.lang.order import Order
    from bracketc.lang.steps import Step
    from bracketc.lang.variation import Variation

MAXIMAL_SEARCHES = 30
"""Messages after which unknown names are no longer compared with all known ones."""


@dataclass(slots=True)
class Elaboration:
    """What one run shares: its problems, sizes and origins, and the way back to the evaluator."""

    evaluate: Callable[[syntax.Expr, Scope], Value]
    locals: Callable[[tuple[syntax.Binding, ...], Scope], Scope]
    define: Callable[[int, Scope], None]
    declarations: Declarations
    problems: Problems
    order: Order = field(init=False)
    sizes: Sizes = field(default_factory=Sizes)
    origins: dict[Node, Origin] = field(default_factory=dict)
    called: set[str] = field(default_factory=set)
    calls: dict[tuple[object, ...], Value] = field(default_factory=dict)
    bodies: dict[tuple[object, ...], tuple[tuple[Tensor, ...], Node]] = field(default_factory=dict)
    constraints: list[tuple[Dim, Dim, str]] = field(default_factory=list)
    variation: Variation | None = None
    bumps: dict[str, Tensor] = field(default_factory=dict)
    limits: Limits = field(default_factory=Limits)
    depth: int = 0
    work: int = 0
    _placeholders: int = 0

    def placeholder(self, letter: str, like: Node, leading: int = 0) -> Tensor:
        """A new bound tensor of the shape of ``like`` without its first ``leading`` axes."""
        self._placeholders += 1
        bound = bound_of(like)
        return Tensor(f"%{letter}{self._placeholders}", like.shape[leading:], like.dtype, (), bound)

    def variable(self) -> Dim:
        """A new number that runs over the steps of a range; it occurs in index entries only."""
        self._placeholders += 1
        return Dim.named(f"%{self._placeholders}")

    def count(self, span: Span) -> None:
        """One more expression evaluated."""
        self.work += 1
        allow_expression()
        most = self.limits.max_expressions  # functions are written out at each call, and calls can double at each level
        if self.work > most:
            raise LimitError(
                Diagnostic(
                    f"the file stands for more than {most:,} expressions, calls of functions written out",
                    span,
                    "call fewer functions inside functions, or raise the limit by the option max_expressions",
                )
            )


class Scope:
    """Bindings of one level over those of ``parent``.

    ``file`` is the level of the file (or of a derivative that cuts a definition of it), which bodies of functions see.
    """

    __slots__ = ("bindings", "file", "parent", "run", "steps")

    def __init__(
        self,
        run: Elaboration,
        bindings: dict[str, Binding],
        parent: Scope | None = None,
        *,
        file: Scope | None = None,
        steps: tuple[Step, ...] | None = None,
    ) -> None:
        self.run = run
        self.bindings = bindings
        self.parent = parent
        self.file: Scope = file or (parent.file if parent is not None else self)
        self.steps: tuple[Step, ...] = steps if steps is not None else (parent.steps if parent is not None else ())

    def inner(self, bindings: Mapping[str, Binding], step: Step | None = None) -> Scope:
        """A level below, for locals; ``step`` when it is the body of a range."""
        return Scope(self.run, dict(bindings), self, steps=(*self.steps, step) if step is not None else None)

    def find(self, name: str) -> Binding | None:
        level: Scope | None = self
        while level is not None:
            found = level.bindings.get(name)
            if found is not None:
                return found
            level = level.parent
        variation = self.run.variation
        return None if variation is None else variation.named(name, self)

    def has(self, name: str) -> bool:
        """Whether ``name`` is declared, so that an index entry with it is a number and no label."""
        return self.find(name) is not None or name == "pi" or name in self.run.declarations.names

    def names(self) -> Iterator[str]:
        level: Scope | None = self
        while level is not None:
            yield from level.bindings
            level = level.parent
        yield from self.run.declarations.names

    def get(self, name: str, span: Span) -> Binding:
        """The binding of ``name``; an unknown name is an error that offers the nearest."""
        found = self.find(name)
        if found is None:
            if name in self.run.declarations.names:
                raise Abort  # its definition has failed, or is circular: reported there
            self.unknown(name, span)
        if isinstance(found, Failed):
            if self.run.variation is not None:
                self.run.variation.explain(name, span)
            raise Abort
        return found

    def unknown(self, name: str, span: Span, *, call: bool = False, alone: bool = False) -> NoReturn:
        """Report a name that nothing declares; ``alone`` where no product can stand."""
        problems = self.run.problems
        what = "function" if call else "name"
        if name in words.UNKNOWN_NAMES and not call:
            problems.error(f"unknown {what} {name}", span, words.UNKNOWN_NAMES[name])
        if name in words.UNKNOWN_FUNCTIONS:
            problems.error(f"unknown {what} {name}", span, words.UNKNOWN_FUNCTIONS[name])
        if name.startswith("d") and len(name) > 1 and self.find(name[1:]) is not None:
            problems.error(
                f"{name}, the differential of {name[1:]}, stands outside a derivation",
                span,
                "differentials stand in `derivation` blocks; a derivative as an expression is ∇[x](f)",
            )
        if name.endswith("'") and self.find(name.rstrip("'")) is not None:
            base = name.rstrip("'")
            if isinstance(self.find(base), FunctionValue):
                problems.error(f"the derivative {name} stands without an argument", span, f"write {name}(x)")
            problems.error(f"unknown name {name}", span, f"the transpose of {base} is {base}^T")
        if name in words.FUNCTIONS:
            problems.error(f"the function {name} stands without an argument", span, f"write {name}(x)")
        if len(problems.diagnostics) > MAXIMAL_SEARCHES:  # a search takes as long as there are names
            problems.error(f"unknown {what} {name}", span, "declare or define it")
        known = {n for n in self.names() if not n.startswith("%")}
        if call:
            known |= words.FUNCTIONS
        if len(name) > 1 and not alone and all(letter in known for letter in name):
            problems.error(f"unknown {what} {name}", span, f"a product needs a space: {' '.join(name)}")
        near = words.nearest(name, known, 0.6 if alone else 0.7)
        problems.error(f"unknown {what} {name}", span, f"did you mean {near}?" if near else "declare or define it")
