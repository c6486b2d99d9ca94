"""The rates of all models under the peaks of the machine, as a picture."""

from __future__ import annotations

import statistics
from pathlib import Path

from bracketc.bench.figure import Point, draw_roofline
from tables import REFERENCE, Record, best_peer, combination, ours, sizes_text


def draw(path: Path, records: list[Record]) -> None:
    """One point a row for bracketc, one for its best peer; the slopes are the bandwidths at the smallest and at the largest
    arguments, all of them measured beside the rows."""
    rows = [record for record in records if "peaks" in record]
    dtype, threads = combination(rows[0])
    flops = statistics.median(record["peaks"]["flops"] for record in rows)
    by_size = sorted(rows, key=lambda record: record["bytes"])
    bandwidths = {}
    for record in (by_size[0], by_size[-1]):
        bandwidths[f"reads of {record['bytes'] / 1e6:.2g} MB"] = record["peaks"]["bytes"]
    points = []
    for record in rows:
        intensity = record["flops"] / record["bytes"]
        points.append(Point(intensity, record["flops"] / best_peer(record)[1], ours=False))
        points.append(Point(intensity, record["flops"] / ours(record)["median"], label(record)))
    threads_text = "one thread" if threads == 1 else f"{threads} threads"
    title = f"Value and gradients of every model: {dtype}, {threads_text}"
    draw_roofline(str(path), title, points, flops, bandwidths, "filled: bracketc C     open: the best peer of the same row")


def label(record: Record) -> str:
    """The name of a workload by which compilers are compared; nothing for the others."""
    named = any(record["model"] == model and record["sizes"] == sizes for model, sizes in REFERENCE.values())
    return f"{record['model'].removeprefix('deep_')}, {sizes_text(record)}" if named else ""
