"""Forms that overflow as written and need not: softmax, log-softmax, log-sum-exp, sigmoid, softplus, log1p, expm1.

They are recognised where a person spells them out, before differentiation. ``lse_k`` below is ``logsumexp`` over k. A
bracket ``(exp(u)_nk | n)`` is known as ``exp(lse_k(u))``: quotients of exponentials are exponentials of differences.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping
from fractions import Fraction

from bracketc.ir.build import add, broadcast, einsum, fill, fill_value, is_zero, permute, pointwise, power, product
from bracketc.ir.dims import Dim
from bracketc.ir.nodes import Add, Einsum, Labels, Node, Number, Pointwise, Reduce
from bracketc.ir.rewrite import Roots, map_nodes, rewrite
from bracketc.simplify.brackets import (
    Factor,
    constant_axes,
    drop_axes,
    is_contraction,
    is_exact_one,
    split_scale,
    times,
    with_factors,
)
from bracketc.simplify.facts import is_integer, positive
from bracketc.simplify.powers import base_and_exponent


def _argument(node: Node, function: str) -> Node | None:
    """The argument of ``function`` when ``node`` is an application of it."""
    return node.args[0] if isinstance(node, Pointwise) and node.function == function else None


def logarithm(node: Node) -> Node | None:
    """The u of a node that is ``exp(u)`` by its form, without computing the exponential; else ``None``.

    exp(u)  ->  u        (exp(u)_nk | n)  ->  lse_k(u)        sigmoid(u)  ->  -softplus(-u)        exp(u)**-1  ->  -u
    exp(u) + exp(v)  ->  v + softplus(u - v)
    """
    base, exponent = base_and_exponent(node)
    if base is not node:
        inner = logarithm(base)
        return None if inner is None else times(exponent, inner)
    inner = _argument(node, "exp")
    if inner is not None:
        return inner
    inner = _argument(node, "sigmoid")
    if inner is not None:
        return times(Fraction(-1), pointwise("softplus", times(Fraction(-1), inner)))
    return _log_add(node) if isinstance(node, Add) else _log_sum(node)


def _log_add(node: Add) -> Node | None:
    """log-sum-exp of the terms of a sum whose terms are exponentials, but for a 1 among them."""
    logs: list[Node] = []
    for term in node.terms:
        coefficient, body = split_scale(term)
        inner = fill(0, node.shape) if fill_value(body) == 1 else _argument(body, "exp")
        if inner is None or coefficient <= 0:
            return None
        if not is_exact_one(coefficient):
            inner = add([inner, fill(math.log(coefficient), node.shape)])
        logs.append(inner)
    whole, *others = sorted(logs, key=lambda log: not is_zero(log))
    for other in others:
        whole = add([whole, pointwise("softplus", add([other, times(Fraction(-1), whole)]))])
    return whole


def _log_sum(node: Node) -> Node | None:
    """log-sum-exp for the bracket that sums one exponential."""
    if not isinstance(node, Einsum) or not is_contraction(node) or not is_exact_one(node.coefficient):
        return None
    if len(node.factors) != 1:
        return None
    ((factor, labels),) = node.factors
    inner = _argument(factor, "exp")
    if inner is None or len(set(labels)) != len(labels) or not set(node.output) <= set(labels):
        return None
    axes = tuple(axis for axis, label in enumerate(labels) if label >= len(node.output))
    kept = [label for label in labels if label < len(node.output)]
    return permute(Reduce("logsumexp", inner, axes), [kept.index(label) for label in node.output])


def stable_logarithms(roots: Roots) -> Roots:
    """Logarithms of exponentials, of sums of them, and of products with them.

    ln(exp(x))  ->  x          ln((exp(x)_nk | n))  ->  lse_k(x)          ln(1 + exp(x))  ->  softplus(x)
    ln((exp(x)_i y_i | i))  ->  x + ln(y)          ln(sigmoid(x))  ->  -softplus(-x)          ln(1 + x)  ->  log1p(x)
    log1p(exp(x))  ->  softplus(x)          ln(exp(x) + exp(y))  ->  x + softplus(y - x)
    """
    return rewrite(roots, stable_logarithm)


def stable_logarithm(node: Node) -> Node:
    shifted = _argument(node, "log1p")
    if shifted is not None:
        inner = logarithm(shifted)
        return node if inner is None else pointwise("softplus", inner)
    arg = _argument(node, "ln")
    if arg is None:
        return node
    plain = logarithm(arg)
    if plain is not None:
        return plain
    if isinstance(arg, Add):
        return _log_of_sum(node, arg)
    base, exponent = base_and_exponent(arg)
    if base is not arg and positive(base):
        return times(exponent, pointwise("ln", base))
    if isinstance(arg, Einsum) and not is_contraction(arg):
        return _log_of_product(node, arg)
    return node


def _log_of_sum(node: Node, arg: Add) -> Node:
    ones = [term for term in arg.terms if fill_value(term) == 1]
    others = [term for term in arg.terms if fill_value(term) != 1]
    if len(ones) != 1:
        return node
    if len(others) == 1:
        coefficient, body = split_scale(others[0])
        inner = logarithm(body)
        if inner is not None and is_exact_one(coefficient):
            return pointwise("softplus", inner)
        sigmoid = _argument(body, "sigmoid")
        if sigmoid is not None and coefficient == -1:
            return times(Fraction(-1), pointwise("softplus", sigmoid))
    return pointwise("log1p", add(others))


def _log_of_product(node: Node, arg: Einsum) -> Node:
    labels_out = range(arg.rank)
    terms: list[Node] = []
    rest: list[Factor] = []
    for factor, labels in arg.factors:
        inner = logarithm(factor) if len(set(labels)) == len(labels) else None
        if inner is None:
            rest.append((factor, labels))
        else:
            terms.append(broadcast(inner, arg.shape, labels))
    if not terms:
        return node
    if rest or not is_exact_one(arg.coefficient):
        carried = {label for _, labels in rest for label in labels}
        output = [label for label in labels_out if label in carried]
        extents: dict[Hashable, Dim] = {label: arg.extents[label] for label in output}
        terms.append(broadcast(pointwise("ln", einsum(arg.coefficient, rest, output, extents)), arg.shape, output))
    return add(terms)


def stable_quotients(roots: Roots) -> Roots:
    """Quotients of exponentials: one exponential of a difference, also inside a contraction that is divided.

    (exp(x)_nk (exp(x)_nk | n)**-1_n | nk)  ->  exp(x - lse_k(x))          (exp(x)_i sigmoid(-x)_i | i)  ->  sigmoid(x)
    ((exp(x)_nk V_kd | nd)_nd (exp(x)_nk | n)**-1_n | nd)  ->  (exp(x - lse_k(x))_nk V_kd | nd)
    """
    return rewrite(roots, stable_quotient)


def stable_quotient(node: Node) -> Node:
    if not isinstance(node, Einsum) or len(node.factors) < 2:
        return node
    for place, (factor, labels) in enumerate(node.factors):
        if is_contraction(factor):
            pushed = _push_divisor(node, place)
            if pushed is not None:
                return pushed
        inner = _argument(factor, "exp")
        if inner is None or len(set(labels)) != len(labels):
            continue
        for other_place, (other, other_labels) in enumerate(node.factors):
            if not set(other_labels) <= set(labels):
                continue
            merged = _divided(inner, labels, other, other_labels)
            if merged is not None:
                factors: list[Factor] = [f for p, f in enumerate(node.factors) if p not in (place, other_place)]
                return with_factors(node, [(merged, labels), *factors])
    return node


def _push_divisor(node: Einsum, place: int) -> Node | None:
    """``node`` with a divisor Σexp moved into the contraction at ``place``, onto an exponential there."""
    core, labels = node.factors[place]
    assert isinstance(core, Einsum)
    names = dict(zip(labels, core.output, strict=True))
    for other_place, (other, other_labels) in enumerate(node.factors):
        base, exponent = base_and_exponent(other)
        if base is other or exponent >= 0 or not is_contraction(base) or logarithm(base) is None:
            continue
        if other_place == place or not set(other_labels) <= set(labels) or len(set(labels)) != len(labels):
            continue
        own = {names[label] for label in other_labels}
        if any(_argument(factor, "exp") is not None and own <= set(inner) for factor, inner in core.factors):
            divided = with_factors(core, [*core.factors, (other, tuple(names[label] for label in other_labels))])
            rest: list[Factor] = [f for p, f in enumerate(node.factors) if p not in (place, other_place)]
            return with_factors(node, [(divided, labels), *rest])
    return None


def _divided(inner: Node, labels: Labels, other: Node, other_labels: Labels) -> Node | None:
    """``exp(inner)`` times a factor that undoes its growth, as one stable node; ``None`` when it does not."""
    sigmoid = _argument(other, "sigmoid")
    if sigmoid is not None and other_labels == labels and are_opposite(inner, sigmoid):
        return pointwise("sigmoid", inner)
    base, exponent = base_and_exponent(other)
    shrinks = base is not other and exponent < 0 and sigmoid is None
    exponential = _argument(other, "exp")
    if not shrinks and (exponential is None or not _undoes(inner, exponential)):
        return None
    log = logarithm(other)
    if log is None or len(set(other_labels)) != len(other_labels):
        return None
    spread = broadcast(log, inner.shape, [labels.index(label) for label in other_labels])
    return pointwise("exp", add([inner, spread]))


def _undoes(inner: Node, other: Node) -> bool:
    """Whether an exponent has a negative term: ``exp(a) exp(-b)`` is a quotient."""
    numbers = (*_terms(inner).values(), *_terms(other).values())
    return inner is not other and any(number < 0 for number in numbers)


def are_opposite(left: Node, right: Node) -> bool:
    """Whether one node is the other's negative, by its terms."""
    mine, theirs = _terms(left), _terms(right)
    return mine.keys() == theirs.keys() and all(theirs[body] == -number for body, number in mine.items())


def _terms(node: Node) -> dict[Node, Number]:
    """Numbers by what they multiply, one scaled sum taken apart."""
    front, body = split_scale(node)
    found: dict[Node, Number] = {}
    for term in body.terms if isinstance(body, Add) else (body,):
        number, inner = split_scale(term)
        found[inner] = product(number, front)
    return found


def stable_powers(roots: Roots) -> Roots:
    """Powers of exponentials and of 1 + exp(x).

    exp(x)**-1  ->  exp(-x)          (1 + exp(-x))**-1  ->  sigmoid(x)
    """
    return rewrite(roots, stable_power)


def stable_power(node: Node) -> Node:
    if not isinstance(node, Pointwise) or node.exponent is None:
        return node
    (arg,), exponent = node.args, node.exponent
    inner = _argument(arg, "exp")
    if inner is not None and not (is_integer(exponent) and exponent > 0):
        return pointwise("exp", times(exponent, inner))
    if isinstance(arg, Add) and len(arg.terms) == 2 and is_integer(exponent) and exponent < 0:
        values = [fill_value(term) for term in arg.terms]
        if 1 in values:
            inner = _argument(arg.terms[1 - values.index(1)], "exp")
            if inner is not None:
                return power(pointwise("sigmoid", times(Fraction(-1), inner)), -exponent)
    return node


def stable_differences(roots: Roots) -> Roots:
    """exp(x) - 1 where it is exactly that.

    exp(x) - 1  ->  expm1(x)
    """
    return rewrite(roots, stable_difference)


def stable_difference(node: Node) -> Node:
    if not isinstance(node, Add) or len(node.terms) != 2:
        return node
    for term, other in (node.terms, node.terms[::-1]):
        value = fill_value(other)
        if value is None or abs(value) != 1:
            continue
        number, body = split_scale(term)
        inner = _argument(body, "exp")
        if inner is not None and value == -number:
            return times(number, pointwise("expm1", inner))
    return node


def stable_exponentials(roots: Roots) -> Roots:
    """exp(-softplus(-x))  ->  sigmoid(x)          exp(x - softplus(x))  ->  sigmoid(x)"""
    return rewrite(roots, stable_exponential)


def stable_exponential(node: Node) -> Node:
    inner = _argument(node, "exp")
    if inner is None:
        return node
    number, body = split_scale(inner)
    softplus = _argument(body, "softplus")
    if softplus is not None and number == -1:
        return pointwise("sigmoid", times(Fraction(-1), softplus))
    if isinstance(body, Add):
        terms = _terms(inner)
        for term, coefficient in terms.items():
            softplus = _argument(term, "softplus")
            rest = {other: size for other, size in terms.items() if other is not term}
            if softplus is not None and coefficient == -1 and rest == _terms(softplus):
                return pointwise("sigmoid", softplus)
    logarithm_of = _argument(inner, "ln")
    return logarithm_of if logarithm_of is not None and positive(logarithm_of) else node


def shift_logsumexp(roots: Roots) -> Roots:
    """A term that is constant along the reduced axes moves out of log-sum-exp: a shift by the maximum disappears.

    lse_k(x_nk - c_n)  ->  lse_k(x) - c
    """
    return rewrite(roots, shift_logsumexps)


def shift_logsumexps(node: Node) -> Node:
    if not isinstance(node, Reduce) or node.operator != "logsumexp" or not isinstance(node.arg, Add):
        return node
    axes = frozenset(node.axes)
    constant = [term for term in node.arg.terms if axes <= constant_axes(term)]
    if not constant or len(constant) == len(node.arg.terms):
        return node
    rest = add([term for term in node.arg.terms if term not in constant])
    return add([Reduce("logsumexp", rest, node.axes), *(drop_axes(term, axes) for term in constant)])


def complement_sigmoids(roots: Roots) -> Roots:
    """The complement of a sigmoid that is needed for nothing else.

    1 - sigmoid(x)  ->  sigmoid(-x)
    """
    counts = roots.uses
    lonely = {node for node in counts if _complement(node, counts) is not None}

    def visit(node: Node, operands: tuple[Node, ...]) -> Node:
        new = node if operands == node.operands else node.rebuild(operands)
        inner = _complement(new, {}) if node in lonely else None
        return new if inner is None else pointwise("sigmoid", times(Fraction(-1), inner))

    return map_nodes(roots, visit)[0]


def _complement(node: Node, counts: Mapping[Node, int]) -> Node | None:
    """The x of ``1 - sigmoid(x)``, unless ``counts`` knows another use of the sigmoid."""
    if not isinstance(node, Add) or len(node.terms) != 2:
        return None
    for term, other in (node.terms, node.terms[::-1]):
        number, body = split_scale(other)
        inner = _argument(body, "sigmoid")
        if inner is not None and number == -1 and fill_value(term) == 1:
            return inner if counts.get(body, 1) == 1 and counts.get(other, 1) == 1 else None
    return None
