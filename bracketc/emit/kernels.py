"""Views of the contraction kernels, and the text of their templates.

A view holds finished names and numbers for one real type at one level; the templates only place them:

    kernel_view(TARGETS["v4"], "float32").s  ->  "f32_v4"
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import jinja2

from bracketc.target import Target


@dataclass(frozen=True, slots=True)
class Shuffle:
    """One ``target = shufflevector(x, y, indices)`` of the block transposition."""

    target: str
    x: str
    y: str
    indices: str


@dataclass(frozen=True, slots=True)
class HalfSum:
    """``x[target] = pairs of x[left] then pairs of x[right]``, one step of summing the lanes of several vectors."""

    target: int
    left: int
    right: int


@dataclass(frozen=True, slots=True)
class KernelView:
    """What the kernel templates know of a real type at a level; fields as their headers describe them."""

    s: str
    real: str
    bits: str
    unsigned_bits: str
    width: int
    bytes: int
    lanes: tuple[int, ...]
    masking: str
    load_masked: str
    store_masked: str
    mask_type: str
    mr: int
    nr: int
    panel_max: int
    vectors: int
    mc: int
    kc: int
    nc: int
    quad: int
    quad_rows: tuple[int, ...]
    quad_transpose: tuple[Shuffle, ...]
    small_rows: int
    small_row_counts: tuple[int, ...]
    vector_counts: tuple[int, ...]
    pack_tails: int
    dot_rows: int
    narrow_vectors: int
    narrow_counts: tuple[int, ...]
    half_sums: tuple[HalfSum, ...]
    even_lanes: str
    odd_lanes: str
    libm: str
    double: bool


@dataclass(frozen=True, slots=True)
class DriverView:
    """One instance of the packed or small driver; ``epilogue`` is empty where the contraction has none."""

    name: str
    epilogue: str = ""
    epilogue_type: str = ""


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

_MASKED = {
    ("avx512", "float32"): ("_mm512_maskz_loadu_ps", "_mm512_mask_storeu_ps", "__mmask16"),
    ("avx512", "float64"): ("_mm512_maskz_loadu_pd", "_mm512_mask_storeu_pd", "__mmask8"),
    ("avx", "float32"): ("_mm256_maskload_ps", "_mm256_maskstore_ps", "__m256i"),
    ("avx", "float64"): ("_mm256_maskload_pd", "_mm256_maskstore_pd", "__m256i"),
    ("lanes", "float32"): ("", "", "int64_t"),
    ("lanes", "float64"): ("", "", "int64_t"),
}


def _half_sums(width: int) -> tuple[HalfSum, ...]:
    """Steps that leave in vector 0 the lane sums of ``width`` vectors: 4 -> (0,0,1) (1,2,3) (0,0,1)."""
    steps: list[HalfSum] = []
    count = width
    while count > 1:
        count //= 2
        steps.extend(HalfSum(i, 2 * i, 2 * i + 1) for i in range(count))
    return tuple(steps)


def kernel_view(target: Target, dtype: str) -> KernelView:
    """The view of ``dtype`` (``"float32"`` or ``"float64"``) at the level ``target``."""
    tiling = target.tiling(dtype)
    double = dtype == "float64"
    size = 8 if double else 4
    width = tiling.vector_bytes // size
    quad = 16 // size
    # Four chains a vector beside the operands must fit the vector registers.
    registers = 32 if target.masking == "avx512" else 16
    narrow = 4 if registers == 32 else 3
    load_masked, store_masked, mask_type = _MASKED[target.masking, dtype]
    return KernelView(
        s=f"f{size * 8}_{target.suffix}",
        real="double" if double else "float",
        bits=f"int{size * 8}_t",
        unsigned_bits=f"uint{size * 8}_t",
        width=width,
        bytes=tiling.vector_bytes,
        lanes=tuple(range(width)),
        masking=target.masking,
        load_masked=load_masked,
        store_masked=store_masked,
        mask_type=mask_type,
        mr=tiling.mr,
        nr=tiling.nr,
        panel_max=max(tiling.mr, tiling.nr),
        vectors=tiling.nr // width,
        mc=tiling.mc,
        kc=tiling.kc,
        nc=tiling.nc,
        quad=quad,
        quad_rows=tuple(range(quad)),
        quad_transpose=_TRANSPOSE_2 if double else _TRANSPOSE_4,
        small_rows=tiling.small_rows,
        small_row_counts=tuple(range(1, tiling.small_rows + 1)),
        vector_counts=tuple(range(1, tiling.nr // width + 1)),
        pack_tails=int(target.masking == "lanes"),
        dot_rows=min(8 if registers == 32 else 4, width),
        narrow_vectors=narrow,
        narrow_counts=tuple(range(1, narrow + 1)),
        half_sums=_half_sums(width),
        even_lanes=", ".join(str(lane) for lane in range(0, 2 * width, 2)),
        odd_lanes=", ".join(str(lane) for lane in range(1, 2 * width, 2)),
        libm="" if double else "f",
        double=double,
    )


def template_directory() -> Path:
    """``templates/c`` beside the package in a checkout, inside it in an installed wheel."""
    package = Path(__file__).resolve().parent.parent
    inside = package / "templates" / "c"
    return inside if inside.is_dir() else package.parent / "templates" / "c"


@cache
def _environment() -> jinja2.Environment:
    return jinja2.Environment(
        loader=jinja2.FileSystemLoader(template_directory()),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,
    )


def render(template: str, **views: object) -> str:
    """Text of ``templates/c/<template>`` with the given views."""
    return _environment().get_template(template).render(**views)
