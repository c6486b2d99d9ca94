"""The table of instruction sets is consistent, and detection reads it."""

from __future__ import annotations

import pytest

from bracketc.target import (
    BASE_CFLAGS,
    GENERIC128,
    LEVELS,
    X86_64_V3,
    X86_64_V4,
    Target,
    detect_host,
    find_target,
    supported_levels,
)


@pytest.mark.parametrize("target", LEVELS, ids=lambda target: target.name)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_tiles_are_whole_vectors_and_blocks_are_whole_tiles(target: Target, dtype: str) -> None:
    tiling = target.tiling(dtype)
    width = tiling.vector_bytes // (8 if dtype == "float64" else 4)
    assert tiling.nr % width == 0
    assert tiling.mc % tiling.mr == 0
    assert tiling.nc % tiling.nr == 0
    assert tiling.kc % 4 == 0
    assert min(tiling.mr, tiling.nr) >= 4  # block transposition while packing


def test_no_level_is_compiled_with_fast_math() -> None:
    flags = [*BASE_CFLAGS, *(flag for target in LEVELS for flag in target.cflags)]
    assert not [flag for flag in flags if "fast-math" in flag or "unsafe" in flag or flag == "-Ofast"]


def test_levels_follow_features() -> None:
    assert supported_levels(frozenset(X86_64_V4.features), "x86_64")[-1] is X86_64_V4
    assert supported_levels(frozenset(X86_64_V3.features), "x86_64")[-1] is X86_64_V3
    assert supported_levels(frozenset(), "x86_64") == (GENERIC128,)
    assert supported_levels(frozenset(X86_64_V4.features), "aarch64") == (GENERIC128,)


def test_host_is_a_known_level() -> None:
    assert detect_host() in LEVELS
    assert find_target(detect_host().name) is detect_host()
    assert find_target("v3") is X86_64_V3
    assert find_target("native") is None
