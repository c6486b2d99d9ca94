"""Views of the contraction kernels: one text for all instruction sets, whose numbers the preprocessor chooses.

A view holds finished names for one real type, and a table of levels that becomes ``#if .. #elif .. #else``:

    kernel_view("float32").s  ->  "f32"
    [l.directive for l in kernel_view("float32").levels]  ->  ["#if defined(__AVX512F__) && ..", "#elif ..", "#else"]
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from bracketc.target import LEVELS, Target


@dataclass(frozen=True, slots=True)
class Shuffle:
    """One ``target = shufflevector(x, y, indices)`` of the block transposition."""

    target: str
    x: str
    y: str
    indices: str


@dataclass(frozen=True, slots=True)
class LevelView:
    """A row of the level table: sizes in elements, ``bytes`` of a vector, lists of lanes of two vectors.

    ``far`` says whether a vector has more than 16 bytes.
    """

    name: str
    directive: str
    masking: str
    bytes: int
    width: int
    mr: int
    nr: int
    mc: int
    kc: int
    nc: int
    panel: int
    vectors: int
    small_rows: int
    dot_rows: int
    narrow: int
    short: int
    halves: tuple[str, ...]
    """Lanes that meet when a vector is folded in halves, quarters, …"""
    even_near: str
    odd_near: str
    far: int
    even_far: str
    odd_far: str


@dataclass(frozen=True, slots=True)
class RowCounts:
    """Cases of a tile that exist when the level has at least ``least`` rows."""

    least: int
    counts: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Masking:
    """Masked loads and stores for one real type, and stores of a ``vector`` past the caches: as intrinsics, and as builtins of GCC.
    ``type`` is that of a mask, or of its lanes."""

    type: str
    load: str
    store: str
    vector: str
    stream: str
    get: str
    put: str
    past: str


@dataclass(frozen=True, slots=True)
class Streaming:
    """What stores a ``vector`` past the caches: an intrinsic, and a builtin of GCC."""

    vector: str
    stream: str
    past: str


@dataclass(frozen=True, slots=True)
class KernelView:
    """What the kernel templates know of a real type."""

    s: str
    real: str
    bits: str
    libm: str
    double: bool
    levels: tuple[LevelView, ...]
    avx512: Masking
    avx: Masking
    avx_window: str
    sse: Streaming
    quad: int
    quad_rows: tuple[int, ...]
    quad_transpose: tuple[Shuffle, ...]
    row_counts: tuple[RowCounts, ...]
    packed_counts: tuple[RowCounts, ...]
    vector_counts: tuple[int, ...]
    narrow_counts: tuple[int, ...]
    least_narrow: int
    short_counts: tuple[int, ...]
    least_short: int
    lane_stages: tuple[int, ...]


_TRANSPOSE_4 = (
    Shuffle("u0", "q0", "q1", "0, 4, 1, 5"),
    Shuffle("u1", "q2", "q3", "0, 4, 1, 5"),
    Shuffle("u2", "q0", "q1", "2, 6, 3, 7"),
    Shuffle("u3", "q2", "q3", "2, 6, 3, 7"),
    Shuffle("t0", "u0", "u1", "0, 1, 4, 5"),
    Shuffle("t1", "u0", "u1", "2, 3, 6, 7"),
    Shuffle("t2", "u2", "u3", "0, 1, 4, 5"),
    Shuffle("t3", "u2", "u3", "2, 3, 6, 7"),
)
_TRANSPOSE_2 = (Shuffle("t0", "q0", "q1", "0, 2"), Shuffle("t1", "q0", "q1", "1, 3"))

def _masking(type: str, prefix: str, masked: tuple[str, str], vector: str, end: str, builtins: tuple[str, str, str]) -> Masking:
    get, put, past = (f"__builtin_ia32_{name}" for name in builtins)
    load, store = (f"{prefix}_{name}_{end}" for name in masked)
    return Masking(type, load, store, vector, f"{prefix}_stream_{end}", get, put, past)


_UNDER_PREDICATES = ("maskz_loadu", "mask_storeu")
_UNDER_VECTORS = ("maskload", "maskstore")
_AVX512 = {
    "float32": _masking(
        "uint16_t", "_mm512", _UNDER_PREDICATES, "__m512", "ps", ("loadups512_mask", "storeups512_mask", "movntps512")
    ),
    "float64": _masking(
        "uint8_t", "_mm512", _UNDER_PREDICATES, "__m512d", "pd", ("loadupd512_mask", "storeupd512_mask", "movntpd512")
    ),
}
_AVX = {
    "float32": _masking(
        "int", "_mm256", _UNDER_VECTORS, "__m256", "ps", ("maskloadps256", "maskstoreps256", "movntps256")
    ),
    "float64": _masking(
        "long long", "_mm256", _UNDER_VECTORS, "__m256d", "pd", ("maskloadpd256", "maskstorepd256", "movntpd256")
    ),
}
_SSE = {
    "float32": Streaming("__m128", "_mm_stream_ps", "__builtin_ia32_movntps"),
    "float64": Streaming("__m128d", "_mm_stream_pd", "__builtin_ia32_movntpd"),
}
_MASKING = {"avx512": "BRK_PREDICATES", "avx": "BRK_MASK_VECTORS", "lanes": "BRK_SINGLE_LANES"}


def _halves(width: int) -> Iterator[int]:
    """8, 4, 2, 1 for 16 lanes."""
    while width > 1:
        width //= 2
        yield width


def _level(target: Target, dtype: str, directive: str) -> LevelView:
    tiling = target.tiling(dtype)
    width = tiling.vector_bytes // (8 if dtype == "float64" else 4)
    # Four chains a vector beside the operands must fit the vector registers.
    registers = 32 if target.masking == "avx512" else 16
    quad = 16 // (8 if dtype == "float64" else 4)
    return LevelView(
        name=target.name,
        directive=directive,
        masking=_MASKING[target.masking],
        bytes=tiling.vector_bytes,
        width=width,
        mr=tiling.mr,
        nr=tiling.nr,
        mc=tiling.mc,
        kc=tiling.kc,
        nc=tiling.nc,
        panel=max(tiling.mr, tiling.nr),
        vectors=tiling.nr // width,
        small_rows=tiling.small_rows,
        dot_rows=min(4, width),
        narrow=4 if registers == 32 else 3,
        short=8 if registers == 32 else 6,
        halves=tuple(", ".join(str(lane ^ half) for lane in range(width)) for half in _halves(width)),
        even_near=_every_other(0, 1, quad, width),
        odd_near=_every_other(1, 1, quad, width),
        far=int(width > quad),
        even_far=_every_other(0, quad, width, width),
        odd_far=_every_other(1, quad, width, width),
    )


def _every_other(first: int, run: int, part: int, width: int) -> str:
    """Every other ``run`` of lanes of two vectors x and y of ``width`` lanes, from number ``first`` on: from the first ``part``
    lanes of x, of y, the next of x, and so on.

    >>> _every_other(0, 1, 4, 8), _every_other(1, 4, 8, 8)
    ('0, 2, 8, 10, 4, 6, 12, 14', '4, 5, 6, 7, 12, 13, 14, 15')
    """
    lanes = (
        vector * width + start + at + lane
        for start in range(0, width, part)
        for vector in range(2)
        for at in range(first * run, part, 2 * run)
        for lane in range(run)
    )
    return ", ".join(map(str, lanes))


def _levels(dtype: str) -> tuple[LevelView, ...]:
    """Levels from the highest to the generic one; those with the numbers of the next lower one are left to it."""
    distinct: list[Target] = []
    for target in LEVELS:
        lower = distinct[-1] if distinct else None
        if lower is None or (target.masking, target.tiling(dtype)) != (lower.masking, lower.tiling(dtype)):
            distinct.append(target)
    distinct.reverse()
    last = len(distinct) - 1
    return tuple(
        _level(target, dtype, "#else" if k == last else f"#{'if' if k == 0 else 'elif'} {target.guard}")
        for k, target in enumerate(distinct)
    )


def _row_counts(most: set[int]) -> tuple[RowCounts, ...]:
    """Counts 1 .. n for every n of ``most``, grouped by the n that have them: 4, 6 -> (0: 1-4) (6: 5, 6)."""
    steps = sorted(most)
    return tuple(
        RowCounts(0 if low == 0 else high, tuple(range(low + 1, high + 1)))
        for low, high in zip([0, *steps], steps, strict=False)
    )


def _pair_counts(most: set[int]) -> tuple[RowCounts, ...]:
    """The same for pairs of rows: 6, 14 -> (0: 1-3) (14: 4-7)."""
    return tuple(RowCounts(2 * group.least, group.counts) for group in _row_counts({n // 2 for n in most}))


def kernel_view(dtype: str) -> KernelView:
    """The view of ``dtype``: ``"float32"`` or ``"float64"``."""
    double = dtype == "float64"
    size = 8 if double else 4
    quad = 16 // size
    levels = _levels(dtype)
    narrow = [level.narrow for level in levels]
    short = [level.short for level in levels]
    return KernelView(
        s=f"f{size * 8}",
        real="double" if double else "float",
        bits=f"int{size * 8}_t",
        libm="" if double else "f",
        double=double,
        levels=levels,
        avx512=_AVX512[dtype],
        avx=_AVX[dtype],
        avx_window=", ".join(["-1"] * (32 // size)),
        sse=_SSE[dtype],
        quad=quad,
        quad_rows=tuple(range(quad)),
        quad_transpose=_TRANSPOSE_2 if double else _TRANSPOSE_4,
        row_counts=_row_counts({level.small_rows for level in levels}),
        packed_counts=_pair_counts({level.mr for level in levels}),
        vector_counts=tuple(range(1, max(level.vectors for level in levels) + 1)),
        narrow_counts=tuple(range(1, max(narrow) + 1)),
        least_narrow=min(narrow),
        short_counts=tuple(range(1, max(short) + 1)),
        least_short=min(short),
        lane_stages=tuple(w for w in (16, 8, 4, 2) if w <= max(level.width for level in levels)),
    )
