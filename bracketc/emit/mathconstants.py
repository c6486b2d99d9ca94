"""Constants of the emitted vector mathematics, as C literals.

Polynomials are Chebyshev interpolants of the functions named in :class:`MathConstants`, computed with 50 digits and
rounded once, highest degree first (as Horner's rule takes them).  Relative errors of the fits lie below a tenth of a
unit in the last place; the rounding of their evaluation decides the accuracy that tests/test_c_math.py measures.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class MathConstants:
    """Constants for one real type.

    ``exp``: (e^r - 1 - r) / r^2 on |r| <= log(2)/2.  ``log``: (atanh(s)/s - 1) * 2 / s^2 as a function of s^2, for
    mantissas from sqrt(1/2) to sqrt(2).  ``sin``: (sin(x)/x - 1) / x^2 and ``cos``: (cos(x) - 1 + x^2/2) / x^4 as
    functions of x^2 on |x| <= pi/4.  ``erf``: erf(x)/x - 1 as a function of x^2 on |x| <= 1.  ``erfc``: e^(a^2) erfc(a)
    as a function of (2/(2 + a) - erfc_middle) * erfc_scale for 1 <= a <= erf_limit.  ``half_pi_1..3`` sum to pi/2,
    the first two with 33 bits; with them and ``two_over_pi`` angles are reduced in double precision.
    """

    mantissa: str
    bias: str
    sign_bit: str
    mantissa_bits: str
    round_magic: str
    log2_e: str
    ln2_high: str
    ln2_low: str
    exp_low: str
    exp_high: str
    expm1_low: str
    sqrt_half_bits: str
    smallest_normal: str
    denormal_scale: str
    denormal_shift: str
    two_over_pi: str
    half_pi_1: str
    half_pi_2: str
    half_pi_3: str
    trig_limit: str
    reduction: str
    half: str
    infinity: str
    nan: str
    erf_limit: str
    erfc_middle: str
    erfc_scale: str
    exp: tuple[str, ...]
    log: tuple[str, ...]
    sin: tuple[str, ...]
    cos: tuple[str, ...]
    erf: tuple[str, ...]
    erfc: tuple[str, ...]


FLOAT32 = MathConstants(
    mantissa="23",
    bias="127",
    sign_bit="INT32_MIN",
    mantissa_bits="0x7fffff",
    round_magic="0x1.800000p+23f",
    log2_e="0x1.715476p+0f",
    ln2_high="0x1.62e400p-1f",
    ln2_low="0x1.7f7d1cp-20f",
    exp_low="-0x1.a2p+6f",
    exp_high="0x1.64p+6f",
    expm1_low="-0x1.4p+4f",
    sqrt_half_bits="0x3f3504f3",
    smallest_normal="0x1.000000p-126f",
    denormal_scale="0x1.000000p+25f",
    denormal_shift="25",
    two_over_pi="0x1.45f306p-1f",
    half_pi_1="0x1.921fb54400000p+0",
    half_pi_2="0x1.0b4611a600000p-34",
    half_pi_3="0x1.3198a2e037073p-69",
    trig_limit="0x1p+19f",
    reduction="wide",
    half="0.5f",
    infinity="INFINITY",
    nan="NAN",
    erf_limit="0x1p+2f",
    erfc_middle="0x1.000000p-1f",
    erfc_scale="0x1.800000p+2f",
    exp=(
        "0x1.a124f2p-13f",
        "0x1.6d4324p-10f",
        "0x1.1110e0p-7f",
        "0x1.5554eap-5f",
        "0x1.555556p-3f",
        "0x1.000000p-1f",
    ),
    log=(
        "0x1.ddcf72p-3f",
        "0x1.245c40p-2f",
        "0x1.9999ecp-2f",
        "0x1.555556p-1f",
    ),
    sin=(
        "0x1.6dbcfcp-19f",
        "-0x1.a013a4p-13f",
        "0x1.11110ep-7f",
        "-0x1.555556p-3f",
    ),
    cos=(
        "0x1.9bd786p-16f",
        "-0x1.6c12d0p-10f",
        "0x1.555554p-5f",
    ),
    erf=(
        "0x1.4a5690p-14f",
        "-0x1.a45088p-11f",
        "0x1.541270p-8f",
        "-0x1.b7fabap-6f",
        "0x1.ce2d10p-4f",
        "-0x1.81273ep-2f",
        "0x1.06eba8p-3f",
    ),
    erfc=(
        "0x1.cf8cc8p-22f",
        "-0x1.340d7ep-20f",
        "-0x1.e2f068p-16f",
        "0x1.828312p-15f",
        "0x1.7f6718p-9f",
        "0x1.b7ece4p-6f",
        "0x1.23a024p-3f",
        "0x1.058672p-2f",
    ),
)

FLOAT64 = MathConstants(
    mantissa="52",
    bias="1023",
    sign_bit="INT64_MIN",
    mantissa_bits="0xfffffffffffff",
    round_magic="0x1.8000000000000p+52",
    log2_e="0x1.71547652b82fep+0",
    ln2_high="0x1.62e42fefa3800p-1",
    ln2_low="0x1.ef35793c76730p-45",
    exp_low="-0x1.75p+9",
    exp_high="0x1.63p+9",
    expm1_low="-0x1.4p+5",
    sqrt_half_bits="0x3fe6a09e667f3bcd",
    smallest_normal="0x1.0000000000000p-1022",
    denormal_scale="0x1.0000000000000p+54",
    denormal_shift="54",
    two_over_pi="0x1.45f306dc9c883p-1",
    half_pi_1="0x1.921fb54400000p+0",
    half_pi_2="0x1.0b4611a600000p-34",
    half_pi_3="0x1.3198a2e037073p-69",
    trig_limit="0x1p+19",
    reduction="same",
    half="0.5",
    infinity="(double)INFINITY",
    nan="(double)NAN",
    erf_limit="0x1.8p+2",
    erfc_middle="0x1.d555555555555p-2",
    erfc_scale="0x1.3333333333333p+2",
    exp=(
        "0x1.1f730349868cep-29",
        "0x1.af4de97ca4194p-26",
        "0x1.27e4db646b17ep-22",
        "0x1.71de0231960ebp-19",
        "0x1.a01a01a6d889cp-16",
        "0x1.a01a01abe7fe1p-13",
        "0x1.6c16c16c162d4p-10",
        "0x1.11111111100dcp-7",
        "0x1.5555555555556p-5",
        "0x1.5555555555557p-3",
        "0x1.0000000000000p-1",
    ),
    log=(
        "0x1.0c04595972ab8p-3",
        "0x1.0fbe83c2cbcf3p-3",
        "0x1.3b1c360763b8ap-3",
        "0x1.745cf901605f7p-3",
        "0x1.c71c720160b47p-3",
        "0x1.2492492476c87p-2",
        "0x1.9999999999a38p-2",
        "0x1.5555555555555p-1",
    ),
    sin=(
        "-0x1.ab16f5caa198ap-41",
        "0x1.61217d9252c03p-33",
        "-0x1.ae645410e937bp-26",
        "0x1.71de3a545f836p-19",
        "-0x1.a01a01a01992fp-13",
        "0x1.1111111111110p-7",
        "-0x1.5555555555555p-3",
    ),
    cos=(
        "0x1.ab779550c8d9bp-45",
        "-0x1.9394b8bd50ae1p-37",
        "0x1.1eed8deac3dfep-29",
        "-0x1.27e4fb77125c5p-22",
        "0x1.a01a01a019d06p-16",
        "-0x1.6c16c16c16c16p-10",
        "0x1.5555555555555p-5",
    ),
    erf=(
        "0x1.05ffd737fb32ep-34",
        "-0x1.389d4f2641625p-30",
        "0x1.f7b4bf3b13964p-27",
        "-0x1.5f1ecb6f0764cp-23",
        "0x1.b9df224ca4b97p-20",
        "-0x1.f4d1e3183f7aep-17",
        "0x1.f9a321d5b8e1ep-14",
        "-0x1.c02db3dac435fp-11",
        "0x1.565bcd0dbaa38p-8",
        "-0x1.b82ce31284e00p-6",
        "0x1.ce2f21a042b30p-4",
        "-0x1.812746b0379e6p-2",
        "0x1.06eba8214db69p-3",
    ),
    erfc=(
        "-0x1.07ba0bc13c02bp-40",
        "0x1.0cda2fef0caa2p-41",
        "0x1.856a7ec37fe58p-36",
        "-0x1.487a382ab6ffap-34",
        "-0x1.276fe8c0f5f6fp-32",
        "0x1.68c73d873f374p-29",
        "-0x1.4396d5f4bf6b5p-31",
        "-0x1.2ce0e09ffa765p-24",
        "0x1.5f1cbb3898510p-23",
        "0x1.09b13b489279dp-19",
        "-0x1.ec9d234ee5232p-18",
        "-0x1.52ddf80316e77p-14",
        "0x1.9d6e4a467785ep-13",
        "0x1.6e44c7276371ap-8",
        "0x1.3be3609c853abp-5",
        "0x1.4b8edae15a040p-3",
        "0x1.c57cd9cd3f3a9p-3",
    ),
)

MATH_CONSTANTS: dict[str, MathConstants] = {"float32": FLOAT32, "float64": FLOAT64}
"""Constants by dtype."""
