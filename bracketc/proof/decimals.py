"""Element-wise functions of decimal numbers, to the precision of the current context, with the standard library alone.

exp, ln and sqrt are those of :mod:`decimal`; the others are series, with the numbers that they need kept by precision.
What is undefined is NaN, as in NumPy.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal, getcontext
from fractions import Fraction
from functools import cache
from math import comb

ZERO, ONE, TWO, HALF = Decimal(0), Decimal(1), Decimal(2), Decimal("0.5")
NAN, INFINITE = Decimal("NaN"), Decimal("Infinity")


def exact(value: Fraction | float) -> Decimal:
    """A number of the source, or of an array, without rounding where it has a decimal expansion."""
    if isinstance(value, Fraction):
        return Decimal(value.numerator) / Decimal(value.denominator)
    return Decimal(value)


def pi() -> Decimal:
    return _pi(getcontext().prec)


@cache
def _pi(precision: int) -> Decimal:
    """Machin 1706: π/4 = 4 arctan 1/5 - arctan 1/239."""
    found: Decimal = 4 * (4 * _arctangent(ONE / 5) - _arctangent(ONE / 239))
    return found


def _series(first: Decimal, following: Callable[[Decimal, int], Decimal]) -> Decimal:
    """The sum of terms until they do not matter; ``following`` makes the next one."""
    total, term, count = first, first, 0
    tiny = Decimal(10) ** (-getcontext().prec - 3)
    while True:
        count += 1
        term = following(term, count)
        total += term
        if abs(term) <= tiny * max(abs(total), tiny):
            return total


def _arctangent(x: Decimal) -> Decimal:
    """Taylor's series for small x."""
    square = -x * x
    total, power, count = x, x, 1
    tiny = Decimal(10) ** (-getcontext().prec - 3)
    while abs(power) > tiny:
        power *= square
        count += 2
        total += power / count
    return total


def atan(x: Decimal) -> Decimal:
    if x.is_infinite():
        return pi() / 2 if x > 0 else -pi() / 2
    if x.is_nan():
        return x
    halvings = 0
    while abs(x) > Decimal("0.05"):
        x = x / (ONE + (ONE + x * x).sqrt())
        halvings += 1
    return _arctangent(x) * TWO**halvings


def _turned(x: Decimal) -> Decimal:
    """x less a multiple of 2 π."""
    turn = 2 * pi()
    return x - turn * (x / turn).to_integral_value()


def sin(x: Decimal) -> Decimal:
    if not x.is_finite():
        return NAN
    x = _turned(x)
    square = -x * x
    return _series(x, lambda term, k: term * square / (2 * k * (2 * k + 1))) if x else x


def cos(x: Decimal) -> Decimal:
    if not x.is_finite():
        return NAN
    square = -(_turned(x) ** 2)
    return _series(ONE, lambda term, k: term * square / (2 * k * (2 * k - 1)))


def asin(x: Decimal) -> Decimal:
    if not abs(x) <= 1:
        return NAN
    if abs(x) == 1:
        return x * pi() / 2
    return atan(x / (ONE - x * x).sqrt())


def exp(x: Decimal) -> Decimal:
    return x.exp()


def ln(x: Decimal) -> Decimal:
    if x == 0:
        return -INFINITE
    return x.ln() if x > 0 else NAN


def expm1(x: Decimal) -> Decimal:
    """exp(x) - 1; for small x by its series, for the difference would lose what is sought."""
    if abs(x) < HALF:
        return _series(x, lambda term, k: term * x / (k + 1)) if x else x
    return x.exp() - 1


def tanh(x: Decimal) -> Decimal:
    grown = expm1(2 * abs(x))
    value = grown / (grown + 2) if grown.is_finite() else ONE
    return value.copy_sign(x)


def sinh(x: Decimal) -> Decimal:
    grown = expm1(abs(x))
    return ((grown + grown / (grown + 1)) / 2).copy_sign(x)


def cosh(x: Decimal) -> Decimal:
    return (x.exp() + (-x).exp()) / 2


def sigmoid(x: Decimal) -> Decimal:
    small = (-abs(x)).exp()
    return (ONE if x >= 0 else small) / (ONE + small)


def log1p(x: Decimal) -> Decimal:
    """ln(1 + x) = 2 artanh(x / (2 + x)), by its series for small x."""
    if not abs(x) < Decimal("0.1"):
        return ln(ONE + x)
    y = x / (2 + x)
    total, power, count = y, y, 1
    tiny = Decimal(10) ** (-getcontext().prec - 3)
    while abs(power) > tiny * abs(y):
        power *= y * y
        count += 2
        total += power / count
    return 2 * total


def softplus(x: Decimal) -> Decimal:
    return max(x, ZERO) + log1p((-abs(x)).exp())


def erf(x: Decimal) -> Decimal:
    """2/√π exp(-x²) Σ 2^k x^(2k+1) / (2k+1)!!, all terms of one sign (Abramowitz and Stegun 7.1.6)."""
    if x.is_nan() or x == 0:
        return x
    if abs(x) > 30:
        return ONE.copy_sign(x)
    square = 2 * x * x
    total = _series(x, lambda term, k: term * square / (2 * k + 1))
    return 2 / pi().sqrt() * (-x * x).exp() * total


@cache
def bernoulli(n: int) -> Fraction:
    """The Bernoulli number B_n, B_1 = -1/2."""
    if n == 0:
        return Fraction(1)
    if n > 1 and n % 2:
        return Fraction(0)
    return -sum((comb(n + 1, k) * bernoulli(k) for k in range(n)), Fraction(0)) / (n + 1)


def _shifted(x: Decimal) -> tuple[Decimal, list[Decimal]]:
    """x raised until Stirling's series is good to the precision, and the numbers passed on the way."""
    passed = []
    while x < getcontext().prec:
        passed.append(x)
        x += 1
    return x, passed


def _is_pole(x: Decimal) -> bool:
    return x <= 0 and x == x.to_integral_value()


def lgamma(x: Decimal) -> Decimal:
    """ln |Γ(x)|: Stirling's series (Abramowitz and Stegun 6.1.40), reflection for x < 0."""
    if not x.is_finite():
        return NAN
    if _is_pole(x):
        return INFINITE
    if x < 0:
        return ln(pi() / abs(sin(pi() * x))) - lgamma(ONE - x)
    far, passed = _shifted(x)
    total = (far - HALF) * far.ln() - far + (2 * pi()).ln() / 2
    for k in range(1, getcontext().prec // 2):
        total += exact(bernoulli(2 * k) / (2 * k * (2 * k - 1))) / far ** (2 * k - 1)
    for number in passed:
        total -= number.ln()
    return total


def digamma(x: Decimal) -> Decimal:
    """Abramowitz and Stegun 6.3.18, 6.3.7."""
    if not x.is_finite() or _is_pole(x):
        return NAN
    if x < 0:
        return digamma(ONE - x) - pi() * cos(pi() * x) / sin(pi() * x)
    far, passed = _shifted(x)
    total = far.ln() - HALF / far
    for k in range(1, getcontext().prec // 2):
        total -= exact(bernoulli(2 * k) / (2 * k)) / far ** (2 * k)
    for number in passed:
        total -= ONE / number
    return total


def trigamma(x: Decimal) -> Decimal:
    """Abramowitz and Stegun 6.4.11, 6.4.7."""
    if not x.is_finite():
        return NAN
    if _is_pole(x):
        return INFINITE
    if x < 0:
        return (pi() / sin(pi() * x)) ** 2 - trigamma(ONE - x)
    far, passed = _shifted(x)
    total = ONE / far + HALF / (far * far)
    for k in range(1, getcontext().prec // 2):
        total += exact(bernoulli(2 * k)) / far ** (2 * k + 1)
    for number in passed:
        total += ONE / (number * number)
    return total


def power(x: Decimal, exponent: Decimal | Fraction | float) -> Decimal:
    """x ** exponent; NaN for a negative number with an exponent that is no whole number."""
    if isinstance(exponent, Fraction) and exponent == Fraction(1, 2):
        return x.sqrt() if x >= 0 else NAN
    number = exponent if isinstance(exponent, Decimal) else exact(exponent)
    if x == 0:
        return ONE if number == 0 else ZERO if number > 0 else INFINITE
    if number == number.to_integral_value():
        return x ** int(number)
    return (number * x.ln()).exp() if x > 0 else NAN


def sign(x: Decimal) -> Decimal:
    return x if x.is_nan() else Decimal((x > 0) - (x < 0))


def _or_nan(value: Decimal, x: Decimal) -> Decimal:
    return x if x.is_nan() else value


FUNCTIONS: dict[str, Callable[..., Decimal]] = {
    "exp": exp,
    "ln": ln,
    "log10": lambda x: ln(x) / Decimal(10).ln(),
    "log1p": log1p,
    "expm1": expm1,
    "abs": abs,
    "sign": sign,
    "step": lambda x: _or_nan(ONE if x > 0 else ZERO, x),
    "sin": sin,
    "cos": cos,
    "tan": lambda x: sin(x) / cos(x),
    "asin": asin,
    "acos": lambda x: pi() / 2 - asin(x),
    "atan": atan,
    "sinh": sinh,
    "cosh": cosh,
    "tanh": tanh,
    "sigmoid": sigmoid,
    "softplus": softplus,
    "relu": lambda x: _or_nan(max(x, ZERO), x),
    "erf": erf,
    "lgamma": lgamma,
    "digamma": digamma,
    "trigamma": trigamma,
    "stop": lambda x: x,
    "max": lambda x, y: x if x.is_nan() else _or_nan(max(x, y), y),
    "min": lambda x, y: x if x.is_nan() else _or_nan(min(x, y), y),
    "pow": power,
}
"""By the names of :data:`bracketc.ir.functions.FUNCTIONS`."""
