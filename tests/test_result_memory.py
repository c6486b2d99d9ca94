"""Large results of a C module lie in memory that it uses again, but never while anybody can see them."""

from __future__ import annotations

import gc
import os
import pickle
import threading
from types import ModuleType

import numpy as np
import pytest
from modelcases import needs_compiler

import bracketc as bc
from bracketc.emit.memory import LEAST, MOST

pytestmark = needs_compiler
needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")

SCALED = """
dim N
input x : N
input c : scalar
y = c x
"""
LARGE = LEAST // 8
HEAD = 64


@pytest.fixture
def scaled() -> ModuleType:
    return bc.compile(SCALED, backend="c", dtype="float64")


def address(array: np.ndarray) -> int:
    return array.__array_interface__["data"][0]  # type: ignore[no-any-return]


def result(module: ModuleType, size: int, factor: float) -> np.ndarray:
    return module.evaluate(np.arange(size, dtype=float), np.float64(factor)).y  # type: ignore[no-any-return]


def test_a_result_takes_the_memory_of_one_that_nobody_refers_to(scaled: ModuleType) -> None:
    first = result(scaled, LARGE, 2.0)
    place = address(first)
    del first
    again = result(scaled, LARGE, 3.0)
    assert address(again) == place
    np.testing.assert_array_equal(again, 3.0 * np.arange(LARGE))


@pytest.mark.parametrize("keep", [lambda y: y[5:9], lambda y: y.T[::-1], memoryview, lambda y: y.view(np.int64), lambda y: [y]])
def test_memory_that_anybody_can_see_is_not_used_again(scaled: ModuleType, keep: object) -> None:
    first = result(scaled, LARGE, 2.0)
    kept, place, expected = keep(first), address(first), 2.0 * np.arange(LARGE)  # type: ignore[operator]
    del first
    gc.collect()
    others = [result(scaled, LARGE, float(k)) for k in range(3)]
    assert place not in map(address, others)
    np.testing.assert_array_equal(np.asarray(kept), np.asarray(keep(expected)))  # type: ignore[operator]


def test_results_that_live_together_share_nothing(scaled: ModuleType) -> None:
    results = [result(scaled, LARGE + 100 * k, float(k)) for k in range(12)]
    del results[::3]
    results += [result(scaled, LARGE + 10 * k, 20.0 + k) for k in range(8)]
    for k, left in enumerate(results):
        np.testing.assert_array_equal(left, left[1] * np.arange(len(left)))
        assert not any(np.shares_memory(left, right) for right in results[:k])


def test_small_results_own_their_memory(scaled: ModuleType) -> None:
    assert result(scaled, LARGE - 1, 2.0).flags.owndata
    assert not result(scaled, LARGE, 2.0).flags.owndata


def test_a_large_result_is_an_array_like_any_other(scaled: ModuleType) -> None:
    y = result(scaled, LARGE, 2.0)
    assert type(y) is np.ndarray and y.flags.c_contiguous and y.flags.aligned and y.flags.writeable
    assert y.dtype is np.dtype(float)
    y += 1.0
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(y)), y)
    np.testing.assert_array_equal(scaled.evaluate(y, np.float64(2.0)).y, 2.0 * y)
    assert scaled.evaluate(np.arange(LARGE, dtype=float), np.float64(3.0), out=(y,)).y is y


def test_a_result_outlives_its_module() -> None:
    module: ModuleType | None = bc.compile(SCALED, backend="c", dtype="float64")
    assert module is not None
    y = result(module, LARGE, 2.0)
    module = None
    gc.collect()
    np.testing.assert_array_equal(y, 2.0 * np.arange(LARGE))
    del y


def test_what_lies_idle_is_bounded(scaled: ModuleType) -> None:
    """The pieces that came back last stay, the others go."""
    take, back = (getattr(scaled._lib, name) for name in sorted(dir(scaled._lib)) if "_call_memory" in name)
    pieces = [take(1000 + k) for k in range(40)]
    places = [int(scaled._ffi.cast("uintptr_t", piece)) for piece in pieces]
    assert all(place % HEAD == 0 for place in places) and len(set(places)) == 40
    for piece in pieces:
        back(piece)
    again = [int(scaled._ffi.cast("uintptr_t", take(1000))) for _ in range(32)]
    assert again == places[:7:-1]
    largest = take(MOST)
    assert largest
    back(largest)
    assert not take(2**63 + 1)


def test_a_piece_is_not_used_for_much_less(scaled: ModuleType) -> None:
    large = result(scaled, 2 * LARGE, 2.0)
    place = address(large)
    del large
    assert address(result(scaled, LARGE, 2.0)) != place


def test_threads_take_and_leave_memory_at_once(scaled: ModuleType) -> None:
    wrong: list[tuple[int, int]] = []

    def work(mine: int) -> None:
        kept: list[tuple[float, np.ndarray]] = []
        for k in range(30):
            factor = float(100 * mine + k)
            kept.append((factor, result(scaled, LARGE + 64 * (k % 3), factor)))
            if len(kept) > 3:
                factor, y = kept.pop(k % 3)
                if not np.array_equal(y, factor * np.arange(len(y))):
                    wrong.append((mine, k))

    workers = [threading.Thread(target=work, args=(k,)) for k in range(6)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert not wrong


@needs_fork
def test_memory_after_a_fork(scaled: ModuleType) -> None:
    """Parent and child each have the pieces that lay idle."""
    kept = result(scaled, LARGE, 2.0)
    spare = result(scaled, LARGE, 5.0)
    del spare
    child = os.fork()
    if child == 0:
        mine = [result(scaled, LARGE, float(k)) for k in range(4)]
        right = all(np.array_equal(y, float(k) * np.arange(LARGE)) for k, y in enumerate(mine))
        os._exit(0 if right and np.array_equal(kept, 2.0 * np.arange(LARGE)) else 1)
    ours = result(scaled, LARGE, 7.0)
    assert os.waitpid(child, 0)[1] == 0
    np.testing.assert_array_equal(ours, 7.0 * np.arange(LARGE))
    np.testing.assert_array_equal(kept, 2.0 * np.arange(LARGE))
