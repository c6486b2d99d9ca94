"""Powers and sizes: repeated factors, reciprocals that cancel, powers of powers and of products.

Nothing here changes a value that NumPy gives: ``x x^-1`` is 1 only where x cannot be 0, ``(x^a)^b`` is ``x^(a b)`` only
where both sides are undefined at the same points.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable
from fractions import Fraction

from bracketc.ir.build import einsum, fill_value, number_power, power, size, total
from bracketc.ir.dims import Dim
from bracketc.ir.nodes import Delta, Einsum, Labels, Node, Number, Pointwise, Size
from bracketc.ir.rewrite import Roots, rewrite
from bracketc.simplify.brackets import Factor, is_contraction, is_exact_one, with_factors
from bracketc.simplify.facts import Fact, is_integer, positive


def split_sizes(roots: Roots) -> Roots:
    """Take a size that is a product apart, so that its factors can cancel.

    (N M | )  ->  (N_ M_ | ), two sizes          (2 N | ), one size  ->  2 times the size N
    """
    return rewrite(roots, split_size)


def split_size(node: Node) -> Node:
    if not isinstance(node, Size) or len(node.dim.terms) != 1:
        return node
    ((monomial, factor),) = node.dim.terms
    return einsum(factor, [(power(size(Dim.named(name)), exponent), ()) for name, exponent in monomial], ())


def merge_powers(roots: Roots) -> Roots:
    """Merge equal factors into one power; a square in a contraction is two factors, which a dot product needs.

    (x_i x_i y_i | i)  ->  (x_i**2 y_i | i)          (x_i**2 | )  ->  (x_i x_i | )          (N N**-1 | )  ->  1
    """
    return rewrite(roots, merge_power)


def merge_power(node: Node, nonzero: Fact = positive) -> Node:
    if not isinstance(node, Einsum) or not node.factors:
        return node
    groups: dict[tuple[Node, Labels], list[Number]] = {}
    for factor, labels in node.factors:
        base, exponent = base_and_exponent(factor)
        groups.setdefault((base, labels), []).append(exponent)
    factors: list[Factor] = []
    for (base, labels), exponents in groups.items():
        together = exponents
        if isinstance(base, Delta) and len(exponents) > 1 and all(e > 0 for e in exponents):
            together = [Fraction(1)]  # δ δ = δ
        elif len(exponents) > 1 and _may_join(base, exponents, nonzero):
            together = [Fraction(0)]
            for exponent in exponents:
                together = [total(together[0], exponent)]
        if together == [2] and is_contraction(node) and base.dtype == "real":
            together = [Fraction(1), Fraction(1)]
        factors += [(_power(base, exponent), labels) for exponent in together]
    if Counter(factors) == Counter(node.factors):
        return node
    return with_factors(node, factors)


def _power(base: Node, exponent: Number) -> Node:
    return base if is_exact_one(exponent) else power(base, exponent)


def base_and_exponent(node: Node) -> tuple[Node, Number]:
    """``x**p`` as (x, p); everything else is itself to the power 1."""
    if isinstance(node, Pointwise) and node.exponent is not None:
        return node.args[0], node.exponent
    return node, Fraction(1)


def _may_join(base: Node, exponents: list[Number], nonzero: Fact) -> bool:
    if base.dtype != "real":
        return False
    if nonzero(base):
        return True
    if not all(is_integer(e) for e in exponents):
        return False
    return all(e > 0 for e in exponents) or sum(exponents) < 0  # a pole stays one


def simplify_powers(roots: Roots) -> Roots:
    """Powers of powers, of numbers and of products in which something becomes simpler.

    (x**2)**-1  ->  x**-2          (2 N**-1 x_i | i)**-1  ->  (1/2 N x_i**-1 | i)
    """
    return rewrite(roots, simplify_power)


def simplify_power(node: Node, known_positive: Fact = positive) -> Node:
    if not isinstance(node, Pointwise) or node.exponent is None:
        return node
    (arg,), exponent = node.args, node.exponent
    if is_exact_one(exponent) or exponent == 0 or fill_value(arg) is not None:
        return power(arg, exponent)
    base, inner = base_and_exponent(arg)
    if base is not arg and _may_nest(base, inner, exponent, known_positive):
        return power(base, _times(inner, exponent))
    if isinstance(arg, Einsum) and not is_contraction(arg) and _worth_distributing(arg, exponent, known_positive):
        return einsum(
            arg.coefficient if is_exact_one(arg.coefficient) else number_power(arg.coefficient, exponent),
            [(power(factor, exponent), labels) for factor, labels in arg.factors],
            arg.output,
            dict[Hashable, Dim](enumerate(arg.extents)),
        )
    return node


def _times(left: Number, right: Number) -> Number:
    return left * right


def _may_nest(base: Node, inner: Number, outer: Number, known_positive: Fact) -> bool:
    if known_positive(base):
        return True
    if not is_integer(outer):
        return False
    return is_integer(inner) or _times(inner, outer) % 1 != 0


def _worth_distributing(arg: Einsum, exponent: Number, known_positive: Fact) -> bool:
    """Whether a power of a product may be a product of powers, and is worth it."""
    if any(factor.dtype != "real" for factor in arg.operands):
        return False
    if not is_integer(exponent):
        return is_exact_one(arg.coefficient) and all(known_positive(factor) for factor in arg.operands)
    if len(arg.factors) == 1:
        return True
    wide = [factor for factor in arg.operands if factor.rank]
    return not wide or any(f.rank < arg.rank or _is_power(f) for f in arg.operands)


def _is_power(node: Node) -> bool:
    return isinstance(node, Pointwise) and node.function in ("power", "exp")
