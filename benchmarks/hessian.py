"""Hessians against `jax.jit(jax.hessian)` and the closed form in NumPy: one core, float64, results checked first.

    python benchmarks/hessian.py [--only factorisation] [--against numpy,jax] [--rounds 21] [--json FILE] [--markdown FILE]

Ratios are a contender's median over that of the bracketc C kernel called with arguments and returning a new dense array; where the
Hessian has a structure, the kernels that return it stand beside.

The last column is the memory that a call takes at its peak, what it returns included, over the size of what it returns. Of NumPy
code it is what the allocator of NumPy was asked for; a kernel in C takes its workspace on top, of which it says the size; JAX says
how much its compiled program takes.
"""

from __future__ import annotations

import argparse
import ctypes
import importlib.util
import json
import tracemalloc
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

import bracketc as bc
from bracketc.bench.pinning import restart_on_one_core
from bracketc.bench.report import human, timing_table
from bracketc.bench.timing import Timing, interleave
from harness import OURS, Array, Arrays, Contender, check, one_hot

JAX = "JAX jit"
NUMPY = "bracketc NumPy"
CLOSED = "closed form"
BOUND = f"{OURS}, bound"
COLUMNS = (BOUND, OURS, f"{OURS}, structured", NUMPY, f"{NUMPY}, structured", CLOSED, JAX)
LAYERS = 10
CLASSES = 10
RANK = 5

QUADRATIC = "dim n\ninput A : n, n\nparam x : n\nJ = x · (A @ x)\nhessian J wrt x as H\n"
LOGISTIC = """dim m, n
input X : m, n
input y : m
param w : n
J = softplus(-y ⊙ (X @ w)) · 𝟏
hessian J wrt w as H
"""
FACTORISATION = f"""dim n, k = {RANK}
input T : n, n
input M : n, n
param U : n, k
param V : n, k
J = norm2((T - U @ V^T) ⊙ M)
hessian J wrt U as H
"""
NETWORK = "\n".join(
    [
        "dim n ~ 32, m ~ 32",
        "input X : m, n",
        f"input Y : m, {CLASSES} onehot rows",
        *(f"param W{k} : n, {'n' if k < LAYERS else CLASSES}" for k in range(1, LAYERS + 1)),
        "Z1 = relu(X @ W1)",
        *(f"Z{k} = relu(Z{k - 1} @ W{k})" for k in range(2, LAYERS)),
        f"J = -(ln(softmax^1(Z{LAYERS - 1} @ W{LAYERS})) · Y)",
        "hessian J wrt W1 as H",
    ]
)


@dataclass(frozen=True, slots=True)
class Case:
    """A function, its sizes, data in the order of the declarations, the closed form, and the loss in JAX by `wrt`."""

    source: str
    wrt: str
    sizes: tuple[int, ...]
    data: Callable[[np.random.Generator, int], Arrays]
    closed: Callable[..., Array]
    jax_loss: Callable[..., Any]
    jax_most: int = 800
    """The largest size that JAX gets: its Hessians need memory that the result does not."""


def _quadratic_data(rng: np.random.Generator, n: int) -> Arrays:
    return {"A": rng.standard_normal((n, n)), "x": rng.standard_normal(n)}


def _logistic_data(rng: np.random.Generator, n: int) -> Arrays:
    y = np.sign(rng.standard_normal(2 * n))
    return {"X": rng.standard_normal((2 * n, n)), "y": y, "w": 0.1 * rng.standard_normal(n)}


def _logistic(X: Array, y: Array, w: Array) -> Array:
    p = 1 / (1 + np.exp(-y * (X @ w)))
    return np.asarray(X.T @ ((p * (1 - p))[:, None] * X))


def _factorisation_data(rng: np.random.Generator, n: int) -> Arrays:
    mask = (rng.random((n, n)) < 0.5).astype(float)
    factors = {name: rng.standard_normal((n, RANK)) for name in "UV"}
    return {"T": rng.standard_normal((n, n)), "M": mask, **factors}


def _factorisation(T: Array, M: Array, U: Array, V: Array) -> Array:
    n, k = U.shape
    blocks = 2 * np.einsum("im,mp,mq->ipq", M * M, V, V, optimize=True)
    result = np.zeros((n, k, n, k))
    diagonal = np.arange(n)
    result[diagonal, :, diagonal, :] = blocks
    return result


def _network_data(rng: np.random.Generator, n: int) -> Arrays:
    widths = [n] * LAYERS + [CLASSES]
    weights = {f"W{k}": rng.standard_normal((widths[k - 1], widths[k])) * np.sqrt(2 / n) for k in range(1, LAYERS + 1)}
    return {"X": rng.standard_normal((n, n)), "Y": one_hot(rng, n, CLASSES), **weights}


def _network(X: Array, Y: Array, **weights: Array) -> Array:
    """X_ni X_nj (G_npk P_nk G_nqk - (G P)_np (G P)_nq), G the Jacobian of the scores by the first layer."""
    first, *inner, last = weights.values()
    Z, masks = X, []
    for weight in (first, *inner):
        Z = Z @ weight
        masks.append((Z > 0).astype(float))
        Z = Z * masks[-1]
    scores = Z @ last
    P = np.exp(scores - scores.max(1, keepdims=True))
    P /= P.sum(1, keepdims=True)
    G = masks[-1][:, :, None] * last
    for weight, mask in zip(inner[::-1], masks[-2::-1], strict=True):
        G = mask[:, :, None] * (weight @ G)
    GP = G * P[:, None, :]
    mean = GP.sum(2)
    M = GP @ G.transpose(0, 2, 1) - mean[:, :, None] * mean[:, None, :]
    samples, n = X.shape
    outer = (X[:, :, None] * X[:, None, :]).reshape(samples, -1)
    whole = (outer.T @ M.reshape(samples, -1)).reshape(n, n, n, n)
    return np.ascontiguousarray(whole.transpose(0, 2, 1, 3))


def _network_loss(jax: Any, X: Any, Y: Any, **weights: Any) -> Any:
    *hidden, last = weights.values()
    for weight in hidden:
        X = jax.nn.relu(X @ weight)
    return -(jax.nn.log_softmax(X @ last) * Y).sum()


CASES = {
    "quadratic": Case(
        QUADRATIC, "x", (50, 200, 800), _quadratic_data, lambda A, x: A + A.T, lambda jax, A, x: x @ A @ x
    ),
    "logistic": Case(
        LOGISTIC,
        "w",
        (50, 200, 800),
        _logistic_data,
        _logistic,
        lambda jax, X, y, w: jax.numpy.logaddexp(0, -y * (X @ w)).sum(),
    ),
    "factorisation": Case(
        FACTORISATION,
        "U",
        (50, 200, 800),
        _factorisation_data,
        _factorisation,
        lambda jax, T, M, U, V: (((T - U @ V.T) * M) ** 2).sum(),
        200,
    ),
    "network": Case(NETWORK, "W1", (10, 20, 50), _network_data, _network, _network_loss, 20),
}


# ------------------------------------------------------------------------------------------------- memory
@dataclass(frozen=True, slots=True)
class Measured:
    """A contender, and the bytes that a call of it takes at its peak and returns."""

    contender: Contender
    memory: Callable[[], tuple[int, int]]


def allocated(call: Callable[[], Any]) -> tuple[int, int]:
    """What NumPy allocates for a call at its peak, and what of it is returned."""
    call()
    tracemalloc.start()
    try:
        result = call()
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    return peak, int(result.nbytes)


def workspace(module: ModuleType, arrays: Arrays) -> int:
    """Bytes of workspace that the C kernel `H` says it needs for these arguments."""
    (library,) = Path(str(module.__file__)).parent.glob(f"_{module.__name__}.*so")
    sizes = [name for name, known in module.SIGNATURE["dims"].items() if known is None]
    shapes = {name: entry["shape"] for name, entry in module.SIGNATURE["inputs"].items()}
    found: dict[str, int] = {}
    for name, array in arrays.items():
        found |= {extent: length for extent, length in zip(shapes[name], array.shape, strict=True) if isinstance(extent, str)}
    count = 1 + len(sizes)
    fields = (ctypes.c_int64 * count)(8 * count, *(found[name] for name in sizes))
    function = getattr(ctypes.CDLL(str(library)), f"{module.__name__}_H_workspace")
    function.restype = ctypes.c_size_t
    return int(function(fields))


# ------------------------------------------------------------------------------------------------- contenders
def contenders(case: Case, arrays: Arrays, size: int, against: tuple[str, ...]) -> Iterator[Measured]:
    """The kernels of bracketc, then those of others."""

    def one(name: str, call: Callable[[], Any], beside: int = 0) -> Measured:
        def memory() -> tuple[int, int]:
            peak, result = allocated(call)
            return peak + beside, result

        return Measured(Contender(name, call, lambda: (np.array(call()),)), memory)

    compiled, module = (bc.compile(case.source, backend=backend) for backend in ("c", "numpy"))
    room = workspace(compiled, arrays)
    yield one(OURS, lambda: compiled.H(**arrays, dense=True), room)
    yield one(BOUND, compiled.H.bind(**arrays, dense=True), room)
    (told,) = compiled.SIGNATURE["functions"]["H"]["results"].values()
    if told["structure"]:
        yield one(f"{OURS}, {told['structure'][0]}", lambda: compiled.H(**arrays), room)
        yield one(f"{NUMPY}, {told['structure'][0]}", lambda: module.H(**arrays))
    yield one(NUMPY, lambda: module.H(**arrays, dense=True))
    if "numpy" in against:
        yield one(CLOSED, lambda: case.closed(**arrays))
    if "jax" in against and size <= case.jax_most and importlib.util.find_spec("jax"):
        import jax

        jax.config.update("jax_enable_x64", True)
        placed = {name: jax.numpy.asarray(array) for name, array in arrays.items()}
        names = list(placed)
        hessian = jax.jit(
            jax.hessian(lambda *given: case.jax_loss(jax, **dict(zip(names, given, strict=True))), names.index(case.wrt))
        )

        def memory() -> tuple[int, int]:
            analysis = hessian.lower(*placed.values()).compile().memory_analysis()
            result = int(analysis.output_size_in_bytes)
            return int(analysis.temp_size_in_bytes) + result, result

        def call() -> Any:
            return jax.block_until_ready(hessian(*placed.values()))

        yield Measured(Contender(JAX, call, lambda: (np.array(call()),)), memory)


# ------------------------------------------------------------------------------------------------- tables
@dataclass(frozen=True, slots=True)
class Row:
    """A case at one size: medians in seconds, and of each contender bytes at the peak and of the result."""

    case: str
    n: int
    medians: Mapping[str, float]
    memory: Mapping[str, tuple[int, int]]


def memory_table(row: Row) -> Table:
    """What each contender takes at its peak, and how many times its result that is."""
    table = Table(box=None, header_style="dim", padding=(0, 2, 0, 0))
    table.add_column("", no_wrap=True)
    for name in ("peak memory", "result", "× result"):
        table.add_column(name, justify="right", no_wrap=True)
    for name, (peak, result) in row.memory.items():
        table.add_row(name, f"{peak / 1e3:,.0f} kB", f"{result / 1e3:,.0f} kB", f"{peak / result:.2f}")
    return table


def markdown(rows: list[Row]) -> Iterator[str]:
    """All rows in one table: times, and peak memory over the result."""
    columns = [name for name in COLUMNS if any(_found(row.medians, name) for row in rows)]
    yield f"| Hessian | n | {' | '.join(columns)} |"
    yield f"|---|---:|{'---:|' * len(columns)}"
    for row in rows:
        cells = []
        for name in columns:
            key = _found(row.medians, name)
            if key is None:
                cells.append("")
                continue
            peak, result = row.memory[key]
            cells.append(f"{human(row.medians[key])} ({peak / result:.1f})")
        yield f"| {row.case} | {row.n} | {' | '.join(cells)} |"


def _found(medians: Mapping[str, float], column: str) -> str | None:
    """The contender of a column; a structured one goes by the name of its structure."""
    kind = column.removesuffix(", structured")
    if kind == column:
        return column if column in medians else None
    return next((name for name in medians if name.startswith(f"{kind}, ") and name != BOUND), None)


def main() -> None:
    """Check and time every case, pinned to one core."""
    parser = argparse.ArgumentParser(description="Hessians, one core, float64")
    parser.add_argument("--only", choices=tuple(CASES))
    parser.add_argument("--against", default="numpy,jax")
    parser.add_argument("--rounds", type=int, default=21)
    parser.add_argument("--json", metavar="FILE", help="write the medians (seconds) and the memory (bytes) there, too")
    parser.add_argument("--markdown", metavar="FILE", help="write all rows as a table there, too")
    arguments = parser.parse_args()
    restart_on_one_core()
    console = Console(highlight=False)
    rows: list[Row] = []
    for name, case in CASES.items():
        if arguments.only not in (None, name):
            continue
        for size in case.sizes:
            arrays = case.data(np.random.default_rng(0), size)
            found = list(contenders(case, arrays, size, tuple(arguments.against.split(","))))
            check([each.contender for each in found], (case.closed(**arrays),), "float64")
            # JAX frees its memory after it has returned: in turns with it, whoever comes next would pay for that.
            timings: dict[str, Timing] = {}
            for peers in (False, True):
                calls = {each.contender.name: each.contender.call for each in found if (each.contender.name == JAX) == peers}
                timings |= interleave(calls, rounds=arguments.rounds, seconds=0.01)
            medians = {contender: timing.median for contender, timing in timings.items()}
            rows.append(Row(name, size, medians, {each.contender.name: each.memory() for each in found}))
            console.print(timing_table(f"Hessian, {name}: n={size}, float64", timings, OURS))
            console.print(memory_table(rows[-1]))
    if arguments.json:
        Path(arguments.json).write_text(json.dumps([asdict(row) for row in rows], indent=1) + "\n", encoding="utf-8")
    if arguments.markdown:
        Path(arguments.markdown).write_text("\n".join(markdown(rows)) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
