"""The rates of all models under the peaks of the machine, as a picture."""

from __future__ import annotations

import statistics
from pathlib import Path

from bracketc.bench.figure import Point, draw_roofline
from tables import REFERENCE, Record, best_peer, combination, ours


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
        rates = [record["flops"] / seconds for seconds in (ours(record)["median"], best_peer(record)[1])]
        points.append(Point(intensity, rates[0], label(record), rival=rates[1]))
    threads_text = "one thread" if threads == 1 else f"{threads} threads"
    title = f"Value and gradients of every model: {dtype}, {threads_text}"
    named = [f"{number}  {name}" for number, name in enumerate(REFERENCE, 1)]
    note = "\n".join(["filled: bracketc C     open: the best peer", *named])
    draw_roofline(str(path), title, points, flops, bandwidths, note)


def label(record: Record) -> str:
    """The number of a workload by which compilers are compared; nothing for the others."""
    for number, (model, sizes) in enumerate(REFERENCE.values(), 1):
        if record["model"] == model and record["sizes"] == sizes:
            return str(number)
    return ""
