"""The kind of move that a proved step makes, told by what distinguishes its sides.

The kinds are those that authors of derivations use: brackets reordered, portions split, a differential taken out, …. One
is named by counting the constructs of both sides: what only one of them has, or has in another order.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property

from bracketc.ir.nodes import Delta, Node
from bracketc.lang import syntax
from bracketc.lang.proofs import Claim

MOVES: dict[str, str] = {
    "reorder": "factors of a bracket reordered",
    "move": "a summed bracket or a barred portion moved",
    "portions": "portions split or joined",
    "brackets": "a bracket split dimension by dimension, or joined",
    "matrices": "classic products and transposes in portions, or back",
    "forms": "row, matrix and column as a chain of dots or as brackets",
    "take out": "a differential taken out of a bracket",
    "insert identity": "an identity multiplied in",
    "ones": "ones dropped or added",
    "drop identity": "an identity dropped",
    "transpose scalar": "a scalar transposed",
    "merge": "equal addends merged",
    "distribute": "products multiplied out, or a factor pulled out of a sum",
    "abbreviate": "an abbreviation introduced or undone",
    "exchange": "factors of a full sum exchanged",
    "exchange mapped": "factors exchanged around a product mapped over rows",
    "quotients": "quotients, logarithms or powers rewritten",
    "condition": "a side condition used",
    "trace": "a trace as a full sum, or its factors turned around",
    "rows": "a sum over rows as one full sum",
    "implicit": "an equation differentiated",
    "associate": "a chain of products associated anew, positions renumbered",
    "substitute": "a differential substituted",
    "copies": "a sum over the copies of a parameter",
    "cite": "an earlier equation cited",
    "conclude": "a derivative read off its differential",
    "expand": "a tensor written as a sum over its rows",
    "differentiate": "the differential taken",
    "labels": "labels in place of positions, or back",
    "algebra": "the same bracket",
}
"""The kinds of moves, each with what a message says; the first 27 are those of derivations on paper."""


@dataclass(frozen=True, slots=True)
class Move:
    """A kind of move, a key of :data:`MOVES`."""

    kind: str

    @property
    def text(self) -> str:
        return MOVES[self.kind]


class _Side:
    """What one side of a step is made of."""

    def __init__(self, expr: syntax.Expr, claim: Claim, right: bool) -> None:
        self.expr = _bare(expr)
        self.claim = claim
        self.right = right
        self.nodes = list(syntax.walk(expr))

    def of(self, kind: type | tuple[type, ...]) -> list[syntax.Node]:
        return [node for node in self.nodes if isinstance(node, kind)]

    def count(self, *kinds: type) -> int:
        return len(self.of(kinds))

    def node(self, expr: syntax.Expr) -> Node | None:
        pairing = self.claim.pairing
        number = self.claim.cases[0].where[1] if self.claim.cases else None
        return None if pairing is None else pairing.again(expr, self.right, number)

    @cached_property
    def names(self) -> list[str]:
        return [node.text for node in self.nodes if isinstance(node, syntax.Name)]

    @cached_property
    def differentials(self) -> frozenset[str]:
        """``dX`` and ``d(…)``."""
        declared = self._declared
        found = {n for n in self.names if len(n) > 1 and n[0] == "d" and n not in declared and n[1:] in self._known}
        if any(isinstance(n, syntax.Differential) or (isinstance(n, syntax.Call) and n.function.text == "d") for n in self.nodes):
            found.add("d(…)")
        return frozenset(found)

    @cached_property
    def _declared(self) -> set[str]:
        assert self.claim.pairing is not None
        return set(self.claim.pairing.run.declarations.names)

    @cached_property
    def _known(self) -> set[str]:
        assert self.claim.pairing is not None
        scope = self.claim.pairing.right.scope if self.right else self.claim.pairing.left.scope
        return set(scope.names())

    @cached_property
    def abbreviations(self) -> frozenset[str]:
        """Names of the block, and definitions of the file."""
        assert self.claim.pairing is not None
        declarations = self.claim.pairing.run.declarations
        local = self._known - set(declarations.names)
        return frozenset(n for n in self.names if n in declarations.definitions or n in local)

    @cached_property
    def identities(self) -> int:
        known: dict[str, bool] = {}
        for name in set(self.names):
            value = self.node(syntax.Name(name)) if name in self._declared else None
            known[name] = isinstance(value, Delta)
        return sum(known[name] for name in self.names) + sum(isinstance(n, syntax.Delta) for n in self.nodes)

    @cached_property
    def addends(self) -> list[syntax.Expr]:
        return list(_addends(self.expr))

    @cached_property
    def functions(self) -> Counter[str]:
        return Counter(node.function.text for node in self.nodes if isinstance(node, syntax.Call))

    @cached_property
    def divisions(self) -> int:
        operators = [o for node in self.nodes if isinstance(node, syntax.Elementwise) for o in node.operators]
        return sum(o.symbol in "⊘/" for o in operators) + sum(isinstance(n, syntax.Power) for n in self.nodes)

    @cached_property
    def ranges(self) -> int:
        return sum(isinstance(n, syntax.Reduction) and n.binders[0].first is not None for n in self.nodes)

    @cached_property
    def lists(self) -> list[syntax.Operator]:
        """Operators with position lists or counts."""
        found = [node.operators for node in self.nodes if isinstance(node, syntax.Elementwise | syntax.Dot)]
        return [operator for operators in found for operator in operators if not operator.plain]

    @cached_property
    def sequence(self) -> list[str]:
        """Names from left to right."""
        return [name for name in self.names if not name.isdigit()]

    @cached_property
    def alone(self) -> bool:
        """Whether every addend has a differential for a whole operand of a dot."""
        return all(_has_free_differential(addend, self.differentials) for addend in self.addends)


def _bare(expr: syntax.Expr) -> syntax.Expr:
    while isinstance(expr, syntax.Paren):
        expr = expr.body
    return expr


def _addends(expr: syntax.Expr) -> Iterator[syntax.Expr]:
    expr = _bare(expr)
    if isinstance(expr, syntax.Sum):
        for operand in expr.operands:
            yield from _addends(operand)
    else:
        yield expr


def _has_free_differential(expr: syntax.Expr, differentials: frozenset[str]) -> bool:
    expr = _bare(expr)
    if isinstance(expr, syntax.Dot):
        return len(expr.operands) == 2 and any(_is_differential(operand, differentials) for operand in expr.operands)
    if isinstance(expr, syntax.MatrixProduct):
        return _is_differential(expr.operands[-1], differentials)
    if isinstance(expr, syntax.FormalProduct):
        return any(_has_free_differential(f, differentials) or _is_differential(f, differentials) for f in expr.factors)
    return False


def _is_differential(expr: syntax.Expr, differentials: frozenset[str]) -> bool:
    expr = _bare(expr)
    if isinstance(expr, syntax.Index):
        expr = expr.operand
    return isinstance(expr, syntax.Name) and expr.text in differentials


# --------------------------------------------------------------------------------------------------- the kinds
def move(claim: Claim, needs_traits: Callable[[], bool]) -> Move:
    """The kind of a proved step. ``needs_traits`` says whether the proof fails without them."""
    pairing = claim.pairing
    if pairing is None:
        return Move("conclude" if claim.kind == "conclusion" else "algebra")
    left, right = _Side(pairing.left.expr, claim, False), _Side(pairing.right.expr, claim, True)
    for kind, holds in _KINDS:
        if kind == "condition" and needs_traits():
            return Move(kind)
        if holds(claim, left, right):
            return Move(kind)
    return Move("algebra")


_Test = Callable[[Claim, _Side, _Side], bool]


def _copies(claim: Claim, left: _Side, right: _Side) -> bool:
    expr = right.expr
    return isinstance(expr, syntax.Reduction) and isinstance(_bare(expr.body), syntax.Derivative)


def _conclude(claim: Claim, left: _Side, right: _Side) -> bool:
    return isinstance(left.expr, syntax.Derivative | syntax.FunctionDerivative) and not isinstance(right.expr, syntax.Derivative)


def _implicit(claim: Claim, left: _Side, right: _Side) -> bool:
    zero = isinstance(left.expr, syntax.Number) and left.expr.value == 0
    return zero and bool(right.differentials)


def _expand(claim: Claim, left: _Side, right: _Side) -> bool:
    few, many = (left, right) if left.ranges < right.ranges else (right, left)
    if few.ranges == many.ranges or isinstance(few.expr, syntax.Dot):
        return False
    return isinstance(many.expr, syntax.Reduction) and len(few.sequence) == 1 and few.sequence[0] in many.sequence


def _rows(claim: Claim, left: _Side, right: _Side) -> bool:
    return left.ranges != right.ranges


def _differentiate(claim: Claim, left: _Side, right: _Side) -> bool:
    if "d(…)" in left.differentials and "d(…)" not in right.differentials:
        return True
    return isinstance(left.expr, syntax.Name) and left.expr.text in left.differentials and left.expr.text not in right.differentials


def _substitute(claim: Claim, left: _Side, right: _Side) -> bool:
    return left.differentials != right.differentials


def _take_out(claim: Claim, left: _Side, right: _Side) -> bool:
    return bool(right.differentials) and right.alone and not left.alone and left.count(syntax.Sum) >= right.count(syntax.Sum) - 1


def _trace(claim: Claim, left: _Side, right: _Side) -> bool:
    return left.functions["tr"] != right.functions["tr"] or (left.functions["tr"] > 0 and left.sequence != right.sequence)


def _quotients(claim: Claim, left: _Side, right: _Side) -> bool:
    changed = (left.functions - right.functions) + (right.functions - left.functions)
    turned = left.divisions > 0 and left.sequence != right.sequence
    return turned or left.divisions != right.divisions or any(name in changed for name in ("ln", "exp", "sqrt", "logdet"))


def _insert_identity(claim: Claim, left: _Side, right: _Side) -> bool:
    return right.identities > left.identities


def _drop_identity(claim: Claim, left: _Side, right: _Side) -> bool:
    return right.identities < left.identities


def _abbreviate(claim: Claim, left: _Side, right: _Side) -> bool:
    return left.abbreviations != right.abbreviations


def _merge(claim: Claim, left: _Side, right: _Side) -> bool:
    few, many = (left, right) if len(left.addends) < len(right.addends) else (right, left)
    if len(few.addends) == len(many.addends):
        return False
    words = [Counter(n.text for n in syntax.walk(a) if isinstance(n, syntax.Name)) for a in many.addends]
    return any(words[k] == words[m] for k in range(len(words)) for m in range(k))


def _distribute(claim: Claim, left: _Side, right: _Side) -> bool:
    return len(left.addends) != len(right.addends) or left.count(syntax.Sum) != right.count(syntax.Sum)


def _exchange_mapped(claim: Claim, left: _Side, right: _Side) -> bool:
    lists = [operator.left for side in (left, right) for operator in side.lists if operator.left is not None]
    barred = any(position.barred for positions in lists for group in positions.groups for position in group)
    return barred and len(left.lists) == len(right.lists)


def _exchange(claim: Claim, left: _Side, right: _Side) -> bool:
    if not (isinstance(left.expr, syntax.Dot) and isinstance(right.expr, syntax.Dot)):
        return False
    first, second = (Counter(_words(operand) for operand in side.operands) for side in (left.expr, right.expr))
    products = left.count(syntax.Elementwise)
    return Counter(left.names) == Counter(right.names) and first != second and products == right.count(syntax.Elementwise) > 0


def _words(expr: syntax.Expr) -> tuple[str, ...]:
    return tuple(sorted(node.text for node in syntax.walk(expr) if isinstance(node, syntax.Name)))


def _labels(claim: Claim, left: _Side, right: _Side) -> bool:
    return left.count(syntax.IndexBracket) != right.count(syntax.IndexBracket)


def _ones(claim: Claim, left: _Side, right: _Side) -> bool:
    return left.count(syntax.Ones) != right.count(syntax.Ones)


def _forms(claim: Claim, left: _Side, right: _Side) -> bool:
    counted = [bool(s.lists) for s in (left, right)]
    fused = [s.count(syntax.Fusion) > 0 for s in (left, right)]
    scalar = claim.right is not None and claim.right.rank == 0
    return scalar and counted[0] != counted[1] and (fused[0] != fused[1] or not any(fused))


def _matrices(claim: Claim, left: _Side, right: _Side) -> bool:
    products = (syntax.MatrixProduct, syntax.Transpose, syntax.Kronecker, syntax.Elementwise, syntax.Dot)
    classic = [s.count(*products) > 0 for s in (left, right)]
    formal = [s.count(syntax.Fusion, syntax.Portion, syntax.Bar) > 0 for s in (left, right)]
    return classic[0] != classic[1] and (formal[0] != formal[1] or formal[0])


def _transpose_scalar(claim: Claim, left: _Side, right: _Side) -> bool:
    turned = left.count(syntax.Transpose) != right.count(syntax.Transpose) or left.sequence != right.sequence
    plain = left.count(syntax.Fusion) == right.count(syntax.Fusion) == 0
    return turned and plain and claim.right is not None and claim.right.rank == 0


def _associate(claim: Claim, left: _Side, right: _Side) -> bool:
    chains = (syntax.MatrixProduct, syntax.Kronecker, syntax.Dot, syntax.Elementwise)
    return left.sequence == right.sequence and left.count(*chains) > 0 and left.count(syntax.Fusion) == right.count(syntax.Fusion)


def _brackets(claim: Claim, left: _Side, right: _Side) -> bool:
    first, second = left.count(syntax.Fusion), right.count(syntax.Fusion)
    return first != second and bool(first and second)


def _portions(claim: Claim, left: _Side, right: _Side) -> bool:
    return left.count(syntax.Portion) != right.count(syntax.Portion) and left.count(syntax.Fusion) == right.count(syntax.Fusion)


def _reorder(claim: Claim, left: _Side, right: _Side) -> bool:
    first, second = left.of(syntax.Fusion), right.of(syntax.Fusion)
    same = Counter(map(_members, first)) == Counter(map(_members, second))
    return bool(first) and same and [f.members for f in first] != [f.members for f in second]


def _members(fusion: syntax.Fusion) -> tuple[tuple[str, int], ...]:
    """What stands in a bracket, in whatever order and wherever the bar is."""
    texts = ("( )" if isinstance(m, syntax.Paren) else "".join(m.span.text.split()).lstrip("~") for m in fusion.members)
    return tuple(sorted(Counter(texts).items()))


def _moved(claim: Claim, left: _Side, right: _Side) -> bool:
    if not (left.count(syntax.Bar) and right.count(syntax.Bar)):
        return False
    first, second = (_factors(side.expr) for side in (left, right))
    return Counter(first) == Counter(second) and (first != second or type(left.expr) is not type(right.expr))


def _factors(expr: syntax.Expr) -> list[str]:
    """The factors of a formal product or a system, as text."""
    if isinstance(expr, syntax.System):
        return [text for line in expr.lines for text in _factors(line)]
    factors = expr.factors if isinstance(expr, syntax.FormalProduct) else (expr,)
    return ["".join(factor.span.text.split()) for factor in factors]


_KINDS: tuple[tuple[str, _Test], ...] = (
    ("cite", lambda claim, left, right: bool(claim.cites)),
    ("copies", _copies),
    ("conclude", _conclude),
    ("implicit", _implicit),
    ("expand", _expand),
    ("condition", lambda claim, left, right: False),
    ("differentiate", _differentiate),
    ("substitute", _substitute),
    ("abbreviate", _abbreviate),
    ("trace", _trace),
    ("rows", _rows),
    ("drop identity", _drop_identity),
    ("insert identity", _insert_identity),
    ("take out", _take_out),
    ("merge", _merge),
    ("distribute", _distribute),
    ("quotients", _quotients),
    ("exchange mapped", _exchange_mapped),
    ("exchange", _exchange),
    ("move", _moved),
    ("forms", _forms),
    ("labels", _labels),
    ("matrices", _matrices),
    ("reorder", _reorder),
    ("ones", _ones),
    ("brackets", _brackets),
    ("portions", _portions),
    ("associate", _associate),
    ("transpose scalar", _transpose_scalar),
)
"""Tests of the kinds, the most telling first."""
