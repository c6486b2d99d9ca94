"""Products with Hessians against value and gradients, every model, C on one core, float64.

    python benchmarks/hvp.py [--only lstm,gru] [--rounds 41] [--markdown]

`hvp J wrt P` by the first parameter P of the model, beside `value_and_grad`, both bound, at the smallest and the largest sizes of
its benchmark. The product is first compared with differences of gradients along the same direction. The ratio of planned operations
stands beside that of the medians.
"""

from __future__ import annotations

import argparse
import importlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

import bracketc as bc
from bracketc.bench.pinning import restart_on_one_core
from bracketc.bench.report import human
from bracketc.bench.timing import interleave
from bracketc.ir.program import Request
from harness import MODELS, Arrays, Workload

STEP = 1e-4
TOLERANCE = 1e-5
ONLY_HERE = {"digits": {"N": 64}}
"""Models without a benchmark of their own."""


@dataclass(frozen=True, slots=True)
class Row:
    """One model at one set of sizes: medians in seconds, operations a call."""

    model: str
    name: str
    sizes: Mapping[str, int]
    medians: tuple[float, float]
    flops: tuple[int, int]

    @property
    def time(self) -> float:
        return self.medians[1] / self.medians[0]

    @property
    def work(self) -> float:
        return self.flops[1] / self.flops[0]


def workload(model: str) -> Workload | None:
    """The data and sizes that the benchmark of a model has."""
    try:
        return next(w for w in vars(importlib.import_module(f"bench_{model}")).values() if isinstance(w, Workload))
    except ModuleNotFoundError:
        return None


def arrays_of(program: bc.Program, sizes: Mapping[str, int]) -> Arrays:
    """Random arguments of a model without a benchmark."""
    from bracketc.proof.samples import draw_arguments, tempered

    return dict(tempered(program, draw_arguments(program, dict(sizes), np.random.default_rng(0))))


def checked(module: Any, arrays: Arrays, name: str, direction: np.ndarray, function: str, target: str) -> None:
    """End the program where the product is no difference of gradients."""
    found = getattr(module, function)(**arrays, **{f"d_{name}": direction})

    def slope(shift: float) -> np.ndarray:
        moved = arrays | {name: arrays[name] + shift * direction}
        return np.array(getattr(module.value_and_grad(**moved).gradients, name))

    around = [slope(k * STEP) for k in (-2, -1, 1, 2)]
    expected = (around[0] - 8 * around[1] + 8 * around[2] - around[3]) / (12 * STEP)
    error = float(np.linalg.norm(found - expected)) / max(float(np.linalg.norm(expected)), 1e-300)
    if not error < TOLERANCE:
        raise SystemExit(f"{target}: the product differs from differences of gradients by {error:.1e}; nothing is timed")


def rows(model: str, rounds: int) -> Iterator[Row]:
    """The smallest and the largest sizes of the benchmark of a model."""
    program = bc.load(MODELS / f"{model}.brk")
    gradient = next(request for request in program.requests if request.kind == "gradient")
    name = gradient.wrt[0]
    wanted = Request("hvp", gradient.output, (name,))
    module: Any = bc.compile(replace(program, requests=(gradient, wanted)), backend="c", dtype="float64")
    function = f"hvp_{gradient.output}_{name}"
    known = workload(model)
    every = (ONLY_HERE[model],) if known is None else known.sizes
    for sizes in dict.fromkeys((0, len(every) - 1)):
        at = {spec.name: spec.value for spec in program.sizes if spec.value is not None} | dict(every[sizes])
        rng = np.random.default_rng(0)
        arrays = arrays_of(program, at) if known is None else known.data(rng, every[sizes])
        arrays = {key: array if array.dtype.kind == "i" else np.array(array, np.float64) for key, array in arrays.items()}
        direction = rng.standard_normal(arrays[name].shape)
        checked(module, arrays, name, direction, function, model)
        calls = {
            "value_and_grad": module.value_and_grad.bind(**arrays),
            function: getattr(module, function).bind(**arrays, **{f"d_{name}": direction}),
        }
        timings = interleave(calls, rounds=rounds, seconds=0.01)
        named = {key: size for key, size in at.items() if key in module.SIGNATURE["dims"]}
        flops = [module.SIGNATURE["count"](each, **named)["flops"] for each in calls]
        medians = [timings[each].median for each in calls]
        yield Row(model, name, dict(every[sizes]), (medians[0], medians[1]), (flops[0], flops[1]))


def cells(row: Row) -> tuple[str, ...]:
    sizes = ", ".join(f"{key} {size:,}" for key, size in row.sizes.items())
    return row.model, row.name, sizes, human(row.medians[0]), human(row.medians[1]), f"{row.work:.2f}", f"{row.time:.2f}"


def main() -> None:
    """Check and time every model, pinned to one core."""
    parser = argparse.ArgumentParser(description="products with Hessians against value and gradients, one core, float64")
    names = sorted(path.stem for path in MODELS.glob("*.brk"))
    parser.add_argument("--only", default="", metavar="NAMES", help=f"some of {', '.join(names)}")
    parser.add_argument("--rounds", type=int, default=41)
    parser.add_argument("--markdown", action="store_true", help="print the table as Markdown")
    arguments = parser.parse_args()
    restart_on_one_core()
    chosen = arguments.only.split(",") if arguments.only else names
    if unknown := sorted(set(chosen) - set(names)):
        parser.error(f"no such model: {', '.join(unknown)}; there are {', '.join(names)}")
    found = [row for model in chosen for row in rows(model, arguments.rounds)]
    heads = ("model", "by", "sizes", "value and gradients", "product", "operations", "time")
    if arguments.markdown:
        print(f"| {' | '.join(heads)} |\n|---|---|---|---:|---:|---:|---:|")
        for row in found:
            print(f"| {' | '.join(cells(row))} |")
        return
    table = Table(*heads, title="products with Hessians, float64, one core")
    for row in found:
        table.add_row(*cells(row))
    Console(highlight=False).print(table)


if __name__ == "__main__":
    main()
