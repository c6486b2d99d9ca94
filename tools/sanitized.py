"""One program under a sanitizer, at all sizes of a covering and for one, two and three threads: run by `tools/sanitize.py`.

    python tools/sanitized.py SOURCE.brk DTYPE LEVEL MOST EVERY

Results are compared with those of the NumPy module, and for every number of threads to the bit. A sanitizer ends the process by
itself. Prints how many calls there were.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from types import ModuleType
from typing import Any

import numpy as np
from coverings import below, coverings

import bracketc as bc
from bracketc.cli.differences import disagreement
from bracketc.ir.program import Program
from bracketc.proof.samples import draw_arguments, settle, tempered

THREADS = (1, 2, 3)
TOLERANCE = {"float32": 2e-3, "float64": 1e-9}
NOISE = {"float32": 1e-5, "float64": 1e-13}
MOST_WORK = 2_000_000
"""Product of all sizes, above which the largest are cut down."""

Array = np.ndarray[Any, Any]


def sizes_of(program: Program, most: int) -> Iterator[dict[str, int]]:
    """The covering, as far as the sizes of the program are free and its constraints can be met."""
    fixed = {spec.name: spec.value for spec in program.sizes if spec.value is not None}
    free = [spec.name for spec in program.sizes if spec.value is None]
    seen = set()
    for sizes in coverings(free, most):
        sizes = below(sizes, int(np.prod([float(size) for size in sizes.values()])), MOST_WORK) | fixed
        if settle(sizes, program, set(free)) and tuple(sizes.items()) not in seen:
            seen.add(tuple(sizes.items()))
            yield sizes


def calls(module: ModuleType, arrays: Mapping[str, Array]) -> list[Array]:
    """Every result of every function."""
    functions: Sequence[str] = list(module.SIGNATURE["functions"])
    found: list[Array] = []
    for name in functions:
        if name in ("forward", "backward"):
            continue
        found += flat(getattr(module, name)(*(arrays[a] for a in module.SIGNATURE["functions"][name]["arguments"])))
    if "backward" in functions:
        outputs, residuals = module.forward(*(arrays[a] for a in module.SIGNATURE["functions"]["forward"]["arguments"]))
        found += flat(outputs) + flat(module.backward(residuals))
    return found


def flat(result: Any) -> list[Array]:
    """The arrays of a result, in order."""
    return [array for part in result for array in flat(part)] if isinstance(result, tuple) else [np.array(result)]


def check(wanted: Sequence[Array], found: Sequence[Array], dtype: str) -> None:
    """What differs from float64 by more than rounding ends the process; what cancels to nothing has no digits to compare."""
    for one, other in zip(wanted, found, strict=True):
        noise = NOISE[dtype] * max(1.0, float(np.max(np.abs(one), initial=0.0)))
        apart = disagreement(one, other)
        if one.shape != other.shape or not (apart < TOLERANCE[dtype] or np.allclose(one, other, rtol=0, atol=noise)):
            raise SystemExit(f"{apart:.1e} apart")


def main(source: str, dtype: str, level: str, most: int, every: int) -> None:
    program = bc.load(source)
    compiled = bc.compile(program, backend="c", dtype=dtype, threads=max(THREADS), march=level, lapack=False)
    module = bc.compile(program, backend="numpy", dtype="float64", threads=1)
    choose = getattr(compiled._lib, f"{compiled.SIGNATURE['name']}_call_threads")
    rng = np.random.default_rng(0)
    count = 0
    for sizes in islice(sizes_of(program, most), 0, None, every):
        drawn = tempered(program, draw_arguments(program, sizes, rng))
        arrays = {key: array if array.dtype.kind == "i" else array.astype(dtype) for key, array in drawn.items()}
        exact = {key: array if array.dtype.kind == "i" else array.astype("float64") for key, array in arrays.items()}
        first: list[bytes] = []
        try:
            for number in THREADS:
                choose(number)
                found = calls(compiled, arrays)
                count += 1
                bits = [array.tobytes() for array in found]
                if not first:
                    first = bits
                    check(calls(module, exact), found, dtype)
                elif bits != first:
                    raise SystemExit(f"other bits with {number} threads")
        except (SystemExit, Exception) as error:
            print(f"at {sizes}", file=sys.stderr)
            raise error
    print(f"{count} calls")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4]), int(sys.argv[5]))
