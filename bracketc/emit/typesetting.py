"""Formulas as they were typed, typeset: from the syntax tree to MathML or LaTeX, nothing rewritten.

    [~Z C (X_1 [X_2 ~dW_1] dW_2)]     bars become overlines, digits and positions stand below, `d` of a differential upright

Parentheses are those of the source, but for numerators, denominators and exponents, whose place says it. Nothing recurses:
a rule asks for the text of the nodes below with ``yield``.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Generator, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from bracketc.emit.marks import Marks
from bracketc.lang import syntax
from bracketc.lang.syntax import Label, Node, Positions

Rule = Generator[Node, str, str]


@dataclass(frozen=True, slots=True)
class Setter:
    """How formulas of one file are set: ``names`` are those that it declares, so that ``dX`` is seen to be a differential."""

    marks: Marks
    names: Collection[str] = frozenset()

    def __call__(self, node: Node) -> str:
        """The text of a node.

        >>> Setter(LATEX, {"X"})(MatrixProduct((Transpose(Name("X")), Name("dX"))))
        '{X}^{\\\\mathsf{T}} \\\\, \\\\mathrm{d}X'
        """
        stack: list[Rule] = [self._rule(node)]
        answer: str | None = None
        while stack:
            try:
                below = next(stack[-1]) if answer is None else stack[-1].send(answer)
            except StopIteration as done:
                answer = done.value
                stack.pop()
            else:
                answer = None
                stack.append(self._rule(below))
        assert answer is not None
        return answer

    def _rule(self, node: Node) -> Rule:
        return _RULES[type(node)](self, node)

    # ------------------------------------------------------------------------------------------ small parts
    def joined(self, parts: Iterable[str], separator: str) -> str:
        """Parts as one, with something between them."""
        first, *others = parts
        return self.marks.row(first, *(part for other in others for part in (separator, other)))

    def listed(self, parts: Sequence[str]) -> str:
        """Parts with commas between them; one part, or none, as it is."""
        return self.joined(parts, self.marks.symbol(",")) if parts else self.marks.row()

    def labels(self, labels: Sequence[Label]) -> str:
        """Labels side by side: ``ij``; long ones have their digits below."""
        return self.marks.row(*(self.marks.name(label.text) for label in labels))

    def positions(self, positions: Positions) -> str:
        """Positions side by side, bars over those that are summed: ``~1[25]3``."""
        m = self.marks
        groups = []
        for group in positions.groups:
            members = [m.bar(m.number(str(p.number))) if p.barred else m.number(str(p.number)) for p in group]
            inner = m.row(*members)
            groups.append(m.fence("[", inner, "]") if len(group) > 1 else inner)
        wide = any(number > 9 for number in positions.numbers)
        return self.joined(groups, m.symbol(",")) if wide else m.row(*groups)

    def is_differential(self, name: str) -> bool:
        """Whether ``dX`` is the differential of X: X is a name of the file and dX is none."""
        base = name[1:].rstrip("'")
        return name.startswith("d") and name not in self.names and (base in self.names or name[1:] in self.names)

    def name(self, name: str) -> str:
        """A name, or a differential with an upright d."""
        if self.is_differential(name):
            return self.marks.row(self.marks.word("d"), self.marks.name(name[1:]))
        return self.marks.symbol("π") if name == "pi" and name not in self.names else self.marks.name(name)

    def function(self, name: str) -> str:
        """The name of a function, a short one as a letter, with its primes."""
        base = name.rstrip("'")
        primes = len(name) - len(base)
        if len(base.rstrip("0123456789")) == 1:
            return self.marks.name(name)
        word = self.marks.word(base)
        return self.marks.sup(word, self.marks.row(*[self.marks.symbol("′")] * primes)) if primes else word

    def called(self, head: str, arguments: Sequence[str]) -> str:
        return self.marks.row(head, self.marks.fence("(", self.listed(arguments), ")"))


# --------------------------------------------------------------------------------------------------- atoms
def _all(nodes: Iterable[Node]) -> Generator[Node, str, list[str]]:
    """The texts of several nodes."""
    found = []
    for node in nodes:
        found.append((yield node))
    return found


def _bare(node: Node) -> Node:
    """What stands in parentheses, where a place makes them superfluous."""
    while isinstance(node, syntax.Paren):
        node = node.body
    return node


def _within(node: Node) -> Node:
    """An operand of a product or sum: a fraction needs no parentheses there, for its line says how far it goes."""
    inner = _bare(node)
    return inner if isinstance(inner, syntax.Elementwise) and all(map(_is_fraction, inner.operators)) else node


def _number(s: Setter, node: syntax.Number) -> Rule:
    yield from ()
    return s.marks.number(node.text.lower().replace("e+", "e"))


def _name(s: Setter, node: syntax.Name) -> Rule:
    yield from ()
    return s.name(node.text)


def _ones(s: Setter, node: syntax.Ones) -> Rule:
    one = s.marks.symbol("𝟏")
    if node.sizes is not None:
        sizes = yield from _all(node.sizes)
        return s.marks.sub(one, s.joined(sizes, s.marks.symbol("×")))
    if node.rank == 1:
        return one
    return s.marks.sub(one, s.marks.row(*(s.marks.number(str(p)) for p in range(1, node.rank + 1))))


def _iota(s: Setter, node: syntax.Iota) -> Rule:
    yield from ()
    return s.marks.symbol("ι")


def _one_hot(s: Setter, node: syntax.OneHot) -> Rule:
    entries = yield from _all(node.entries)
    return s.marks.sub(s.marks.name("e"), s.listed(entries))


def _delta(s: Setter, node: syntax.Delta) -> Rule:
    yield from ()
    return s.marks.sub(s.marks.symbol("δ"), s.labels(node.labels))


# --------------------------------------------------------------------------------------------------- brackets
def _paren(s: Setter, node: syntax.Paren) -> Rule:
    body = yield node.body
    return s.marks.fence("(", body, ")")


def _brace(s: Setter, node: syntax.Brace) -> Rule:
    body = yield node.body
    return s.marks.fence("{", body, "}")


def _fusion(s: Setter, node: syntax.Fusion) -> Rule:
    members = yield from _all(node.members)
    return s.marks.fence("[", s.joined(members, s.marks.space()), "]")


def _index_bracket(s: Setter, node: syntax.IndexBracket) -> Rule:
    body = yield node.body
    return s.marks.fence("(", s.marks.row(body, s.marks.divider(), s.labels(node.labels)), ")")


# --------------------------------------------------------------------------------------------------- postfixes
def _portion(s: Setter, node: syntax.Portion) -> Rule:
    operand = yield node.operand
    if node.instance is not None:
        operand = s.marks.sup(operand, s.marks.fence("(", s.marks.number(str(node.instance)), ")"))
    return s.marks.sub(operand, s.positions(node.positions))


def _labelled(s: Setter, node: syntax.Labelled) -> Rule:
    operand = yield node.operand
    return s.marks.sub(operand, s.labels(node.labels))


def _index(s: Setter, node: syntax.Index) -> Rule:
    entries = yield from _all(node.entries)
    operand = node.operand
    if isinstance(operand, syntax.Name) and s.is_differential(operand.text):  # dO[t] is (dO)[t]
        return s.marks.row(s.marks.word("d"), s.marks.sub(s.marks.name(operand.text[1:]), s.listed(entries)))
    head = yield operand
    return s.marks.sub(head, s.listed(entries))


def _transpose(s: Setter, node: syntax.Transpose) -> Rule:
    operand = yield node.operand
    return s.marks.transpose(operand)


def _power(s: Setter, node: syntax.Power) -> Rule:
    base = yield node.base
    exponent = yield _bare(node.exponent)
    return s.marks.sup(base, s.marks.row(s.marks.symbol("-"), exponent) if node.negated else exponent)


def _bar(s: Setter, node: syntax.Bar) -> Rule:
    operand = yield node.operand
    return s.marks.bar(operand)


# --------------------------------------------------------------------------------------------------- operators
def _side_by_side(s: Setter, nodes: Sequence[Node]) -> Rule:
    parts = yield from _all(map(_within, nodes))
    return s.joined(parts, s.marks.space())


def _formal_product(s: Setter, node: syntax.FormalProduct) -> Rule:
    return _side_by_side(s, node.factors)


def _matrix_product(s: Setter, node: syntax.MatrixProduct) -> Rule:
    return _side_by_side(s, node.operands)


def _system(s: Setter, node: syntax.System) -> Rule:
    lines = yield from _all(node.lines)
    return s.marks.lines(lines)


def _kronecker(s: Setter, node: syntax.Kronecker) -> Rule:
    operands = yield from _all(node.operands)
    return s.joined(operands, s.marks.symbol("⊗"))


def _operator(s: Setter, operator: syntax.Operator) -> str:
    symbol = s.marks.symbol(operator.symbol)
    if operator.left is not None and operator.right is not None:
        left = s.marks.sup(s.marks.row(), s.positions(operator.left))
        return s.marks.row(left, s.marks.sup(symbol, s.positions(operator.right)))
    if operator.count is not None:
        count = s.marks.number(str(operator.count)) if isinstance(operator.count, int) else s.marks.symbol(operator.count)
        return s.marks.sub(symbol, count)
    return symbol


def _elementwise(s: Setter, node: syntax.Elementwise) -> Rule:
    found = yield (_bare(node.operands[0]) if _is_fraction(node.operators[0]) else _within(node.operands[0]))
    for number, operator in enumerate(node.operators):
        operand = node.operands[number + 1]
        if _is_fraction(operator):
            below = yield _bare(operand)
            found = s.marks.fraction(found, below)
            continue
        right = yield _within(operand)
        found = s.marks.row(found, _operator(s, operator), right)
    return found


def _is_fraction(operator: syntax.Operator) -> bool:
    """Whether a division was typed ``/``: it becomes a fraction."""
    return operator.symbol == "⊘" and "⊘" not in operator.span.text and operator.plain


def _dot(s: Setter, node: syntax.Dot) -> Rule:
    first, *others = yield from _all(map(_within, node.operands))
    pairs = zip(node.operators, others, strict=True)
    return s.marks.row(first, *(part for operator, other in pairs for part in (_operator(s, operator), other)))


def _sum(s: Setter, node: syntax.Sum) -> Rule:
    first, *others = yield from _all(map(_within, node.operands))
    parts = [*([s.marks.symbol("-")] if node.negated else []), first]
    for operator, other in zip(node.operators, others, strict=True):
        parts += [s.marks.symbol(operator), other]
    return s.marks.row(*parts)


# --------------------------------------------------------------------------------------------------- application
def _call(s: Setter, node: syntax.Call) -> Rule:
    arguments = yield from _all(node.arguments)
    name = node.function.text
    if node.positions is None and name not in s.names and len(arguments) == 1:
        if name == "sqrt":
            return s.marks.root(arguments[0])
        if name == "abs":
            return s.marks.fence("|", arguments[0], "|")
        if name in ("norm", "norm2"):
            norm = s.marks.fence("‖", arguments[0], "‖")
            return s.marks.sup(norm, s.marks.number("2")) if name == "norm2" else norm
        if name == "d":
            return s.marks.row(s.marks.word("d"), s.marks.fence("(", arguments[0], ")"))
        if name == "inv" and isinstance(node.arguments[0], syntax.Name):
            return s.marks.sup(arguments[0], s.marks.row(s.marks.symbol("-"), s.marks.number("1")))
    return s.called(_mapped(s, node.function, node.positions), arguments)


def _mapped(s: Setter, function: syntax.Name, positions: Positions | None) -> str:
    head = s.function(function.text)
    return head if positions is None else s.marks.sup(head, s.positions(positions))


def _stop(s: Setter, node: syntax.Stop) -> Rule:
    operand = yield node.operand
    return s.called(s.marks.word("stop"), [operand])


def _where(s: Setter, node: syntax.Where) -> Rule:
    condition = yield node.condition
    chosen = yield node.chosen
    otherwise = yield node.otherwise
    return s.marks.cases([(chosen, condition), (otherwise, s.marks.text("otherwise"))])


def _comparison(s: Setter, node: syntax.Comparison) -> Rule:
    left = yield node.left
    right = yield node.right
    return s.marks.row(left, s.marks.symbol(node.operator), right)


def _reduction(s: Setter, node: syntax.Reduction) -> Rule:
    below: list[str] = []
    above = ""
    for binder in node.binders:
        name = s.marks.name(binder.name.text)
        if binder.first is None or binder.last is None:
            below.append(name)
            continue
        first = yield binder.first
        above = yield binder.last
        below.append(s.marks.row(name, s.marks.symbol("="), first))
    sign = {"sum": "∑", "prod": "∏"}.get(node.operation)
    head = s.marks.symbol(sign) if sign else s.marks.word(node.operation)
    body = yield node.body
    return s.marks.row(s.marks.under(head, s.listed(below), above), s.marks.fence("(", body, ")"))


def _operator_sign(s: Setter, operator: str) -> str:
    return s.marks.symbol("∇") if operator == "∇" else s.marks.word("Jac")


def _function_derivative(s: Setter, node: syntax.FunctionDerivative) -> Rule:
    arguments = yield from _all(node.arguments)
    head = s.marks.row(_operator_sign(s, node.operator), s.marks.space(), _mapped(s, node.function, node.positions))
    return s.called(head, arguments)


def _derivative(s: Setter, node: syntax.Derivative) -> Rule:
    names = yield from _all(node.wrt)
    body = yield node.body
    head = s.marks.sub(_operator_sign(s, node.operator), s.listed(names))
    if isinstance(node.body, syntax.Name | syntax.Index):
        return s.marks.row(head, s.marks.space(), body)
    return s.marks.row(head, s.marks.fence("(", body, ")"))


def _differential(s: Setter, node: syntax.Differential) -> Rule:
    names = yield from _all(node.wrt)
    body = yield node.body
    head = s.marks.sub(s.marks.word("d"), s.listed(names))
    return s.marks.row(head, s.marks.fence("(", body, ")"))


def _reference(s: Setter, node: syntax.Reference) -> Rule:
    name = s.marks.name(node.name.text)
    if node.entries is None:
        return name
    entries = yield from _all(node.entries)
    return s.marks.sub(name, s.listed(entries))


def _target(s: Setter, node: syntax.Target) -> Rule:
    name = s.marks.name(node.name.text)
    if node.labels is not None:
        return s.marks.sub(name, s.labels(node.labels))
    if node.entries is not None:
        entries = yield from _all(node.entries)
        return s.marks.sub(name, s.listed(entries))
    return name


def _whole(s: Setter, node: syntax.All) -> Rule:
    yield from ()
    return s.marks.symbol("·")


def _slice(s: Setter, node: syntax.Slice) -> Rule:
    first = yield node.first
    last = yield node.last
    return s.marks.row(first, s.marks.symbol("…"), last)


def _range(s: Setter, node: syntax.Range) -> Rule:
    first = yield node.first
    last = yield node.last
    comma, dots = s.marks.symbol(","), s.marks.symbol("…")
    return s.marks.row(s.marks.name(node.variable.text), s.marks.symbol("="), first, comma, dots, comma, last)


def _binding(s: Setter, node: syntax.Binding) -> Rule:
    target = yield node.target
    value = yield node.value
    return s.marks.row(target, s.marks.symbol("="), value)


_RULES: dict[type, Callable[[Setter, Any], Rule]] = {
    syntax.Number: _number,
    syntax.Name: _name,
    syntax.Ones: _ones,
    syntax.Iota: _iota,
    syntax.OneHot: _one_hot,
    syntax.Delta: _delta,
    syntax.Paren: _paren,
    syntax.Brace: _brace,
    syntax.Fusion: _fusion,
    syntax.IndexBracket: _index_bracket,
    syntax.Portion: _portion,
    syntax.Labelled: _labelled,
    syntax.Index: _index,
    syntax.Transpose: _transpose,
    syntax.Power: _power,
    syntax.Bar: _bar,
    syntax.FormalProduct: _formal_product,
    syntax.MatrixProduct: _matrix_product,
    syntax.System: _system,
    syntax.Kronecker: _kronecker,
    syntax.Elementwise: _elementwise,
    syntax.Dot: _dot,
    syntax.Sum: _sum,
    syntax.Call: _call,
    syntax.Stop: _stop,
    syntax.Where: _where,
    syntax.Comparison: _comparison,
    syntax.Reduction: _reduction,
    syntax.FunctionDerivative: _function_derivative,
    syntax.Derivative: _derivative,
    syntax.Differential: _differential,
    syntax.Reference: _reference,
    syntax.Target: _target,
    syntax.All: _whole,
    syntax.Slice: _slice,
    syntax.Range: _range,
    syntax.Binding: _binding,
}


def names_of(tree: syntax.SyntaxFile) -> frozenset[str]:
    """Every name that a file declares, binds or derives."""
    found = []
    for node in syntax.walk(tree):
        if isinstance(node, syntax.Target | syntax.Argument | syntax.Const | syntax.Function | syntax.Parameter | syntax.Size):
            found.append(node.name.text)
        elif isinstance(node, syntax.Derivation) and node.target is not None:
            found.append(node.target.name.text)
    return frozenset(found)


def terms(setter: Setter, node: syntax.Expr) -> tuple[str, ...]:
    """A sum as its terms, each with its sign; anything else as it is."""
    if not isinstance(node, syntax.Sum) or not node.operators:
        return (setter(node),)
    m = setter.marks
    texts = [setter(operand) for operand in node.operands]
    first = m.row(m.symbol("-"), texts[0]) if node.negated else texts[0]
    return (first, *(part for sign, text in zip(node.operators, texts[1:], strict=True) for part in (m.symbol(sign), text)))
