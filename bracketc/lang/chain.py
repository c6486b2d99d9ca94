"""Operands and operators of one bracket, folded by precedence.

Tightest first: space, ``&``, ``@``, ``⊗``, ``⊙ ⊘``, ``·``, ``+ - ⊖ ⊕``.  Each level is one n-ary node.  Chains that
do not associate whatever the ranks are refused here; those that depend on ranks are left to elaboration.
"""

from __future__ import annotations

from bracketc.errors import Span
from bracketc.lang.cursor import Cursor
from bracketc.lang.lexer import Token
from bracketc.lang.syntax import (
    Dot,
    Elementwise,
    Expr,
    FormalProduct,
    Kronecker,
    MatrixProduct,
    Operator,
    Sum,
    System,
)

SPACE, SYSTEM, MATRIX, KRONECKER, ELEMENTWISE, DOT, SUM = range(7)

LEVELS = {
    "&": SYSTEM,
    "@": MATRIX,
    "⊗": KRONECKER,
    "⊙": ELEMENTWISE,
    "⊘": ELEMENTWISE,
    "·": DOT,
    "+": SUM,
    "-": SUM,
    "⊖": SUM,
    "⊕": SUM,
}
"""Binary operator -> its level."""

COMPARISONS = ("<", "<=", ">", ">=", "==", "!=")
"""Operators of a condition, which bind most loosely and do not chain."""


class Chain:
    """The expression that is being read in one bracket: what is complete so far on each level."""

    __slots__ = ("bar", "cursor", "divided", "factors", "first", "negated", "operands", "operators")

    def __init__(self, cursor: Cursor) -> None:
        self.cursor = cursor
        self.first: Token | None = None
        self.negated = False
        self.bar: Token | None = None
        self.factors: list[Expr] = []
        self.operands: list[list[Expr]] = [[], [], [], [], [], [], []]
        self.operators: list[list[Operator]] = [[], []]  # of the levels ELEMENTWISE and DOT
        self.divided: list[str] = []  # operators of the level SUM

    @property
    def empty(self) -> bool:
        """Whether nothing has been read, not even a sign."""
        return self.first is None

    def operator(self, level: int, operator: Operator, token: Token) -> None:
        """Fold what binds more tightly than ``operator`` and go on behind it."""
        self.fold(level, token)
        if level in (ELEMENTWISE, DOT):
            self.operators[level - ELEMENTWISE].append(operator)
        elif level == SUM:
            self.divided.append(operator.symbol)

    def fold(self, level: int, token: Token) -> None:
        """Complete every level tighter than ``level``, so that its operand stands in ``operands[level]``."""
        if not self.factors:
            raise missing_operand(self.cursor, token)
        if self.bar is not None:
            raise missing_operand(self.cursor, token)
        factors = self.factors
        node = factors[0] if len(factors) == 1 else FormalProduct(tuple(factors), _cover(factors))
        self.factors = []
        for current in range(SYSTEM, level):
            operands = self.operands[current]
            if operands:
                operands.append(node)
                node = self._node(current, tuple(operands), _cover(operands))
                self.operands[current] = []
        if level:
            self.operands[level].append(node)
        else:
            self.factors.append(node)

    def close(self, token: Token) -> Expr:
        """The whole expression; ``token`` is the one behind it."""
        self.fold(SUM, token)
        operands = tuple(self.operands[SUM])
        if len(operands) == 1 and not self.negated:
            return operands[0]
        assert self.first is not None
        span = _cover(operands)
        span = Span(span.source, min(self.first.start, span.start), span.end)
        return Sum(self.negated, operands, tuple(self.divided), span)

    def _node(self, level: int, operands: tuple[Expr, ...], span: Span) -> Expr:
        if level == SYSTEM:
            return System(operands, span)
        if level == MATRIX:
            return MatrixProduct(operands, span)
        if level == KRONECKER:
            return Kronecker(operands, span)
        operators = tuple(self.operators[level - ELEMENTWISE])
        self.operators[level - ELEMENTWISE] = []
        if level == ELEMENTWISE:
            self._check_quotients(operands, operators)
        self._check_association(operands, operators)
        return (Elementwise if level == ELEMENTWISE else Dot)(operands, operators, span)

    def _check_quotients(self, operands: tuple[Expr, ...], operators: tuple[Operator, ...]) -> None:
        for before, operator, after in zip(operands, operators, operands[1:], strict=False):
            if operator.symbol == "⊘" and isinstance(after, FormalProduct | System | MatrixProduct | Kronecker):
                a, sign = _short(before.span), operator.span.text
                first = next(iter(_parts(after)))
                rest = after.span.text[first.span.end - after.span.start :].lstrip(" @⊗&")
                joint = after.span.text[first.span.end - after.span.start :]
                joint = joint[: len(joint) - len(rest)].strip()
                joint = f" {joint} " if joint else " "
                left = f"({a}{sign}{_short(first.span)}){joint}{rest[:30]}"
                right = f"{a}{sign}({_short(after.span)})"
                message = f"{_short(after.span)} right of {sign} is read in two ways"
                raise self.cursor.problem(message, after.span, f"write {left} or {right}")

    def _check_association(self, operands: tuple[Expr, ...], operators: tuple[Operator, ...]) -> None:
        """Refuse chains of three or more operands of which no grouping is agreed on (catalogue J, Q8)."""
        if len(operators) < 2:
            return
        for index, operator in enumerate(operators):
            listed = operator.left is not None
            plain_dot = operator.symbol == "·" and operator.plain
            if not (listed or plain_dot):
                continue
            at = min(index, len(operators) - 2)
            a, b, c = (_short(operand.span) for operand in operands[at : at + 3])
            first, second = operators[at].span.text, operators[at + 1].span.text
            reason = "position lists" if listed else "the plain ·, which contracts everything,"
            raise self.cursor.problem(
                f"a chain with {reason} does not associate",
                operands[at].span.join(operands[at + 2].span),
                f"write ({a} {first} {b}) {second} {c} or {a} {first} ({b} {second} {c})",
            )


def missing_operand(cursor: Cursor, token: Token) -> Exception:
    """The error for an operator, a closing bracket or an end where an operand must stand."""
    help = ""
    at = cursor.at if cursor.token is token else max(cursor.at - 1, 0)
    before, after = cursor.tokens[max(at - 1, 0)], cursor.tokens[min(at + 1, len(cursor.tokens) - 1)]
    if token.is_op("-"):
        help = "a minus inside an expression needs parentheses: a · (-b)"
    elif token.is_op("|"):
        help = "a norm is norm(x)" if after.is_op("|") else "an absolute value is abs(x), a determinant det(X)"
    elif token.is_op("⊘") and before.is_op("⊘"):
        help = "a comment begins with #"
    elif token.is_op("·") and after.kind == "number" and not after.spaced:
        help = f"a number begins with a digit: 0.{after.text}"
    elif token.is_op(")", "]", "}") and before.is_op("(", "[", "{"):
        help = "nothing stands between the brackets"
    elif token.is_op("⊙", "**") or (token.kind == "op" and token.text in LEVELS):
        help = "an operator stands between two operands"
    elif token.kind == "end" and before.kind == "op" and before.text in LEVELS:
        help = f"a statement goes on behind {cursor.shown(before)}: write what follows it, or take it away"
    return cursor.unexpected(token, "an operand", help)


def _parts(node: FormalProduct | System | MatrixProduct | Kronecker) -> tuple[Expr, ...]:
    if isinstance(node, FormalProduct):
        return node.factors
    if isinstance(node, System):
        return node.lines
    return node.operands


def _cover(nodes: list[Expr] | tuple[Expr, ...]) -> Span:
    first, last = nodes[0].span, nodes[-1].span
    return first if len(nodes) == 1 else Span(first.source, first.start, last.end)


def _short(span: Span) -> str:
    text = " ".join(span.text[:60].split())
    return text if len(text) <= 30 else text[:27] + "..."
