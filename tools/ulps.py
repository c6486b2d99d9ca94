"""Errors of the emitted elementary functions in units in the last place, at every level of the machine.

    python tools/ulps.py --function exp tanh            every float32, 2^32 of them; minutes a function
    python tools/ulps.py --dtype float64 --count 10000000

The functions are compiled once a level, as in a module; a driver in C walks over all bit patterns (of float64 over a sample of them
and of the places where functions bend) and compares with the C library in a wider type: double for float32, the 64 bits of
`long double` for float64.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache, partial
from itertools import pairwise
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests"))

from ckernels import COMPILER, host_levels

from bracketc.emit.kernels import kernel_view
from bracketc.emit.resources import render
from bracketc.emit.vectormath import functions_text
from bracketc.target import BASE_CFLAGS, Target

ALL = 2**32

OWN = ("exp", "expm1", "log", "log1p", "tanh", "sigmoid", "softplus", "sin", "cos", "erf", "sqrt", "digamma", "trigamma")
"""Written here; the others are the C library's, one lane at a time."""
LIBRARY = ("tan", "asin", "acos", "atan", "sinh", "cosh", "log10", "lgamma")
FUNCTIONS = (*OWN, *LIBRARY)

BOUNDS: dict[str, float] = {
    "exp": 1, "expm1": 2.5, "log": 1, "log1p": 1, "tanh": 3, "sigmoid": 3, "softplus": 2, "sin": 2, "cos": 2, "erf": 2, "sqrt": 0.501,
    "digamma": 64, "trigamma": 8, **dict.fromkeys(LIBRARY, 2.0), "log10": 2.5, "lgamma": 8,
}  # fmt: skip
"""Units in the last place that no level exceeds, in either type; of digamma, which has a zero between any two whole numbers below 0
and one above, units of the larger of 1 and the answer."""

KERNEL = """
void run_{f}(int64_t n, const {real} *x, {real} *y)
{{
    for (int64_t i = 0; i < n; i += {width}) {{
        const mask_{s} mask = mask_first_{s}(brk_min(n - i, {width}));
        store_masked_{s}(y + i, mask, v{f}_{s}(load_masked_{s}(x + i, mask)));
    }}
}}
"""

DRIVER = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef {real} real;
typedef {wide} wide;
typedef {bits} bits;
#define W(name) name{paste}
#define BLOCK 4096

static wide ref_sigmoid(wide x) {{ wide e = W(exp)(-W(fabs)(x)); return (x < 0 ? e : 1) / (1 + e); }}
static wide ref_softplus(wide x) {{ return W(log1p)(W(exp)(-W(fabs)(x))) + (x < 0 ? 0 : x); }}

/* Recurrence up to {shift}, asymptotic series (Abramowitz and Stegun 6.3.18, 6.4.12), in long double. */
static long double psi(long double x)
{{
    long double t = 0;
    if (x != x || x == -INFINITY || (x <= 0 && x == floorl(x))) return NAN;
    if (x == INFINITY) return x;
    if (x <= 0) {{
        const long double r = x - roundl(x); /* exact: tan has period pi */
        return psi(1 - x) - M_PIl / tanl(M_PIl * r);
    }}
    for (; x < 30; x += 1) t += 1 / x;
    const long double z = 1 / (x * x);
    return logl(x) - 0.5L / x - z * (1.L / 12 - z * (1.L / 120 - z * (1.L / 252 - z * (1.L / 240 - z * (1.L / 132 - z * (691.L / 32760 - z / 12)))))) - t;
}}
static long double psi1(long double x)
{{
    long double t = 0;
    if (x != x || x == -INFINITY) return NAN;
    if (x <= 0) {{
        if (x == floorl(x)) return INFINITY;
        const long double s = M_PIl / sinl(M_PIl * (x - roundl(x)));
        return s * s - psi1(1 - x);
    }}
    if (x == INFINITY) return 0;
    for (; x < 30; x += 1) t += 1 / (x * x);
    const long double z = 1 / (x * x);
    return t + (1 + 0.5L / x + z * (1.L / 6 - z * (1.L / 30 - z * (1.L / 42 - z * (1.L / 30 - z * (5.L / 66 - z * (691.L / 2730 - z * 7 / 6))))))) / x;
}}
static wide ref_digamma(wide x) {{ return (wide)psi(x); }}
static wide ref_trigamma(wide x) {{ return (wide)psi1(x); }}
static wide ref_lgamma(wide x) {{ return x == -INFINITY ? INFINITY : W(lgamma)(x); }}

/* The references, each over a block. */
typedef void all(int n, const real *x, wide *exact);
{references}
static const struct {{ const char *name; all *reference; }} known[] = {{ {table} }};

static double of_double(uint64_t b) {{ double x; memcpy(&x, &b, sizeof x); return x; }}
static bits pattern(real x) {{ bits b; memcpy(&b, &x, sizeof b); return b; }}

/* One over the distance of two neighbours at the rounded answer: a power of two. */
static wide units(real want)
{{
    const int64_t field = pattern(want) >> {mantissa} & {exponents};
    const int64_t e = field < 1 ? 1 : field >= {exponents} ? {exponents} - 1 : field;
    const int64_t one = {bias} + {mantissa} - e; /* exponent of the inverse */
    return {scaled};
}}

static real of(bits b) {{ real x; memcpy(&x, &b, sizeof x); return x; }}

/* SplitMix64 (Steele, Lea, Flood, 2014). */
static uint64_t mixed(uint64_t k)
{{
    uint64_t z = (k + 1) * 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}}

/* Argument k: for float32 bit pattern k; for float64 any bits, or numbers evenly in ranges where functions bend. */
static real argument(uint64_t k)
{{
    if (sizeof(real) == 4)
        return of((bits)k);
    static const double range[] = {{1, 2, 8, 40, 760}};
    const uint64_t bitsof = mixed(k);
    const double even = (double)(int64_t)mixed(~k) * 0x1p-63;
    switch (k % 8) {{
    case 0: case 1: return of((bits)bitsof);
    case 2: return (real)(1 + even * 0x1p-8);
    default: return (real)(even * range[k % 8 - 3]);
    }}
}}

int main(int count, char **given)
{{
    /* driver FUNCTION FIRST LAST library... */
    const uint64_t first = strtoull(given[2], 0, 10), last = strtoull(given[3], 0, 10);
    const int levels = count - 4;
    void (*run[8])(int64_t, const real *, real *);
    all *reference = 0;
    for (size_t f = 0; f < sizeof known / sizeof *known; ++f)
        if (!strcmp(known[f].name, given[1])) reference = known[f].reference;
    const int zeros = !strcmp(given[1], "digamma");
    char name[64];
    snprintf(name, sizeof name, "run_%s", given[1]);
    for (int l = 0; l < levels; ++l) {{
        void *library = dlopen(given[4 + l], RTLD_NOW | RTLD_LOCAL);
        if (!library || !(*(void **)&run[l] = dlsym(library, name))) {{ fprintf(stderr, "%s\n", dlerror()); return 2; }}
    }}
    static real x[BLOCK], y[BLOCK];
    static wide exact[BLOCK];
    static wide one[BLOCK];
    static real want[BLOCK];
    wide worst[8] = {{0}};
    real at[8] = {{0}};
    uint64_t edges[8] = {{0}};
    real edge_at[8] = {{0}};
    for (uint64_t k = first; k < last; k += BLOCK) {{
        const int n = last - k < BLOCK ? (int)(last - k) : BLOCK;
        for (int i = 0; i < n; ++i) x[i] = argument(k + i);
        reference(n, x, exact);
        int plain = 1;
        for (int i = 0; i < n; ++i) {{
            want[i] = (real)exact[i];
            one[i] = units(zeros && W(fabs)(exact[i]) < 1 ? 1 : want[i]);
            plain &= isfinite(want[i]) != 0;
        }}
        for (int l = 0; l < levels; ++l) {{
            run[l](n, x, y);
            wide most = 0;
            int odd = !plain;
            for (int i = 0; i < n; ++i) {{
                const wide e = W(fabs)((wide)y[i] - exact[i]) * one[i];
                most = e > most ? e : most;
                odd |= !isfinite(y[i]) | (y[i] == 0);
            }}
            if (!odd && !(most > worst[l])) continue;
            for (int i = 0; i < n; ++i) {{
                if (want[i] != want[i] && y[i] != y[i]) continue;
                if (want[i] != want[i] || y[i] != y[i] || (want[i] == 0 && y[i] == 0 && signbit(want[i]) != signbit(y[i]))) {{
                    ++edges[l];
                    edge_at[l] = x[i];
                    continue;
                }}
                if (y[i] == want[i] && isinf(y[i])) continue;
                /* The largest finite numbers may round to infinity, and the other way round. */
                const wide limit = sizeof(real) == 4 ? (wide)0x1.fffffep127 : (wide)0x1.fffffffffffffp1023;
                const wide found = isinf(y[i]) ? (y[i] > 0 ? limit : -limit) : (wide)y[i];
                const wide aim = isinf(want[i]) ? (want[i] > 0 ? limit : -limit) : exact[i];
                const wide e = W(fabs)(found - aim) * one[i];
                if (e > worst[l]) {{ worst[l] = e; at[l] = x[i]; }}
            }}
        }}
    }}
    for (int l = 0; l < levels; ++l)
        printf("%.17g %.17g %llu %.17g\n", (double)worst[l], (double)at[l], (unsigned long long)edges[l], (double)edge_at[l]);
    return 0;
}}
"""

REFERENCES = {name: f"ref_{name}" for name in ("sigmoid", "softplus", "digamma", "trigamma", "lgamma")}


@dataclass(frozen=True, slots=True)
class Worst:
    """Of one level: the largest error in units in the last place and where, how many answers are no rounding of the true one at
    all (another class of number, another sign of zero), and one of those."""

    level: str
    units: float
    at: float
    edges: int
    edge_at: float


@cache
def libraries(dtype: str, folder: Path) -> tuple[tuple[Target, Path], ...]:
    """Every function as a shared library for each level of the machine."""
    assert COMPILER is not None
    view = kernel_view(dtype)
    parts = [render(f"c/{name}.h.j2", v=view) for name in ("prelude", "levels", "vector")]
    parts.append(functions_text(view, dtype, FUNCTIONS))
    parts += [KERNEL.format(f=f, real=view.real, width=f"WIDTH_{view.s}", s=view.s) for f in FUNCTIONS]
    source = folder / f"{dtype}.c"
    source.write_text("\n".join(parts), encoding="utf-8")
    found = []
    for level in host_levels():
        library = folder / f"{dtype}_{level.suffix}.so"
        command = [COMPILER, *BASE_CFLAGS, *level.cflags, "-Wno-psabi", "-fPIC", "-shared", str(source), "-o", str(library), "-lm"]
        subprocess.run(command, check=True)
        found.append((level, library))
    return tuple(found)


REFERENCE = """
static void all_{name}(int n, const real *x, wide *exact)
{{
#pragma GCC ivdep
    for (int i = 0; i < n; ++i) exact[i] = {call}((wide)x[i]);
}}"""


@cache
def driver(dtype: str, folder: Path) -> Path:
    """The program that measures."""
    assert COMPILER is not None
    single = dtype == "float32"
    references = {name: REFERENCES.get(name, name + ("" if single else "l")) for name in FUNCTIONS}
    text = DRIVER.format(
        real="float" if single else "double", wide="double" if single else "long double", bits="uint32_t" if single else "uint64_t",
        paste="" if single else "##l", shift=30, mantissa=23 if single else 52,
        exponents=255 if single else 2047, bias=127 if single else 1023,
        scaled="of_double((uint64_t)(one + 1023) << 52)" if single else "ldexpl(1, (int)one)",
        references="".join(REFERENCE.format(name=name, call=call) for name, call in references.items()),
        table=", ".join(f'{{"{name}", all_{name}}}' for name in FUNCTIONS),
    )  # fmt: skip
    source, program = folder / f"driver_{dtype}.c", folder / f"driver_{dtype}"
    source.write_text(text, encoding="utf-8")
    # The C library declares vector versions of its functions only under this macro.
    flags = ("-O3", "-march=native", "-fno-math-errno", "-fno-trapping-math", "-w", "-D__FAST_MATH__")
    subprocess.run([COMPILER, *flags, str(source), "-o", str(program), "-ldl", "-lm"], check=True)
    return program


def measure(dtype: str, function: str, first: int, last: int, folder: Path) -> list[Worst]:
    """The worst of arguments ``first`` to ``last`` at each level."""
    built = libraries(dtype, folder)
    command = [str(driver(dtype, folder)), function, str(first), str(last), *(str(path) for _, path in built)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    lines = [line.split() for line in done.stdout.splitlines()]
    return [Worst(level.suffix, float(u), float(a), int(e), float(b)) for (level, _), (u, a, e, b) in zip(built, lines, strict=True)]


def merged(parts: Sequence[Sequence[Worst]]) -> list[Worst]:
    """The worst of several measurements, level by level."""
    found = []
    for own in zip(*parts, strict=True):
        top = max(own, key=lambda worst: worst.units)
        odd = max(own, key=lambda worst: worst.edges > 0)
        found.append(Worst(top.level, top.units, top.at, sum(worst.edges for worst in own), odd.edge_at))
    return found


def breach(dtype: str, function: str, found: Sequence[Worst]) -> str | None:
    """What exceeds the stated bound."""
    bound = BOUNDS[function]
    for worst in found:
        if worst.units > bound:
            return f"{function} of {dtype} at {worst.level}: {worst.units:.3g} ulp at {worst.at!r}, more than {bound:g}"
        if worst.edges:
            return f"{function} of {dtype} at {worst.level}: {worst.edges} answers of another kind, such as at {worst.edge_at!r}"
    return None


def pieces(dtype: str, count: int) -> list[tuple[int, int]]:
    """Ranges of arguments: all together, or evenly spread over the bit patterns of float32."""
    if dtype == "float32" and count < ALL:
        return [(k * (ALL // 256), k * (ALL // 256) + count // 256) for k in range(256)]
    return list(pairwise(count * k // 64 for k in range(65)))


def main(arguments: list[str] | None = None) -> int:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--function", nargs="+", choices=FUNCTIONS, default=list(FUNCTIONS), metavar="NAME")
    options.add_argument("--dtype", choices=("float32", "float64"), default="float32")
    options.add_argument("--count", type=int, help="arguments (default: all float32, 10^7 float64)")
    options.add_argument("--jobs", type=int, default=1, help="processes that measure at the same time")
    given = options.parse_args(arguments)
    count = given.count or (ALL if given.dtype == "float32" else 10**7)
    worst = 0
    with tempfile.TemporaryDirectory() as place, ThreadPoolExecutor(given.jobs) as pool:
        folder = Path(place)
        libraries(given.dtype, folder)
        driver(given.dtype, folder)
        for function in given.function:
            ranges = pieces(given.dtype, count)
            found = merged([*pool.map(partial(_part, given.dtype, function, folder), ranges)])
            levels = " ".join(f"{w.level} {w.units:.2f} at {w.at!r}" + f" ({w.edges} odd: {w.edge_at!r})" * (w.edges > 0) for w in found)
            problem = breach(given.dtype, function, found)
            print(f"{given.dtype} {function}: {levels}{f'; {problem}' if problem else ''}", flush=True)
            worst |= problem is not None
    return worst


def _part(dtype: str, function: str, folder: Path, piece: tuple[int, int]) -> list[Worst]:
    return measure(dtype, function, *piece, folder)


if __name__ == "__main__":
    sys.exit(main())
