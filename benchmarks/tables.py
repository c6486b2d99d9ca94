"""The page of results: what was measured of every model, as tables, against the peers and against the machine."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from math import exp, log
from typing import Any

from bracketc.bench.report import human

OURS = ("bracketc C, bound", "bracketc C", "bracketc NumPy")
PEERS = ("NumPy by hand", "PyTorch", "torch.compile", "JAX jit")
LEAST, MEAN = 1.15, 2.2
"""Times as fast as the best peer: in every row, and as the geometric mean of the reference workloads."""

Record = Mapping[str, Any]

REFERENCE = {
    "classifier, batch 32, 64-64-10": ("classifier", {"N": 32, "D": 64, "H": 64, "K": 10}),
    "classifier, batch 128, 784-256-128-10": ("deep_classifier", {"N": 128, "D": 784, "H": 256, "P": 128, "K": 10}),
    "classifier, batch 1024, 1024-1024-1024-10": ("deep_classifier", {"N": 1024, "D": 1024, "H": 1024, "P": 1024, "K": 10}),
    "recurrent, T 10, batch 8, 16-32-10": ("recurrent", {"T": 10, "N": 8, "D": 16, "H": 32, "K": 10}),
    "recurrent, T 20, batch 32, 64-128-10": ("recurrent", {"T": 20, "N": 32, "D": 64, "H": 128, "K": 10}),
    "recurrent, T 35, batch 20, 200-200-1000": ("recurrent", {"T": 35, "N": 20, "D": 200, "H": 200, "K": 1000}),
    "logistic regression, 200 × 20": ("logistic", {"N": 200, "D": 20}),
    "logistic regression, 100,000 × 50": ("logistic", {"N": 100_000, "D": 50}),
    "logistic regression, 20,000 × 1,000": ("logistic", {"N": 20_000, "D": 1000}),
}
"""The nine workloads by which other compilers are compared, as model and sizes."""


INTRODUCTION = """\
Written by `make bench`: value and gradients of each model, medians of interleaved rounds. Contenders of a row were timed in
turns in one run, rows of different models in runs of their own. Results of all contenders were compared with float64 before
anything was timed. *bound* calls reuse checked arguments and preallocated results; every other call takes its arguments and
returns new arrays. Every library had as many threads, and the process as many cores, as the heading says.

*Best peer / bracketc C* compares calls with arguments. The last columns set operations (as bracketc plans them) and bytes
(every argument read once, every gradient written once) of bracketc C against what this machine did in the same rounds:
multiply-adds in registers, and reads of as many bytes as the arguments have.
"""


def combination(record: Record) -> tuple[str, int]:
    """Type and threads."""
    return record["dtype"], record["threads"]


def best_peer(record: Record) -> tuple[str, float]:
    """The fastest of the others, and its median in seconds."""
    medians = {name: record["contenders"][name]["median"] for name in PEERS if name in record["contenders"]}
    name = min(medians, key=lambda name: medians[name])
    return name, medians[name]


def ours(record: Record) -> Mapping[str, float]:
    """Median and quartiles of bracketc, called as the peers are."""
    name = next(name for name in ("bracketc C", "bracketc NumPy") if name in record["contenders"])
    return dict(record["contenders"][name])


def factor(record: Record) -> float:
    """How many times as fast as the best peer bracketc is, called as the peers are."""
    return best_peer(record)[1] / ours(record)["median"]


def mean(ratios: list[float]) -> float:
    """The geometric mean.

    >>> mean([1.0, 4.0])
    2.0
    """
    return exp(sum(map(log, ratios)) / len(ratios))


def sizes_text(record: Record) -> str:
    """The sizes in words: ``N 1,024, D 50``."""
    return ", ".join(f"{name} {size:,}" for name, size in record["sizes"].items())


def spread_text(timing: Mapping[str, float]) -> str:
    """A median with half the distance of its quartiles.

    >>> spread_text({"median": 2e-6, "lower": 1.9e-6, "upper": 2.1e-6})
    '2 µs ± 5 %'
    """
    return f"{human(timing['median'])} ± {50 * (timing['upper'] - timing['lower']) / timing['median']:.0f} %"


def shares(record: Record, seconds: float) -> tuple[str, str]:
    """Percent of the multiply-adds and of the reads that the machine did in the same run."""
    if "peaks" not in record:
        return "", ""
    return tuple(f"{record[kind] / seconds / record['peaks'][kind]:.0%}" for kind in ("flops", "bytes"))  # type: ignore[return-value]


def reference_table(records: list[Record]) -> Iterator[str]:
    """The reference workloads, as far as they are among the records."""
    yield "| workload | best peer | bracketc C | times as fast | of FMA peak | of read bandwidth |"
    yield "|---|---|---:|---:|---:|---:|"
    for name, record in references(records):
        peer, seconds = best_peer(record)
        flops, bytes = shares(record, ours(record)["median"])
        yield f"| {name} | {human(seconds)} ({peer}) | {spread_text(ours(record))} | **{factor(record):.2f}** | {flops} | {bytes} |"


def references(records: list[Record]) -> list[tuple[str, Record]]:
    """Name and record of each reference workload."""
    found = [
        (name, record)
        for name, (model, sizes) in REFERENCE.items()
        for record in records
        if record["model"] == model and record["sizes"] == sizes
    ]
    return found


def table(records: list[Record]) -> Iterator[str]:
    """The records as lines of Markdown."""
    columns = [name for name in (*OURS, *PEERS) if any(name in record["contenders"] for record in records)]
    yield f"| model | sizes | {' | '.join(columns)} | best peer / bracketc C | of FMA peak | of read bandwidth |"
    yield f"|---|---|{'---:|' * len(columns)}---|---:|---:|"
    for record in records:
        medians = [record["contenders"].get(name) for name in columns]
        cells = [human(found["median"]) if found else "" for found in medians]
        end = f"**{factor(record):.2f}** ({best_peer(record)[0]}) | {' | '.join(shares(record, ours(record)['median']))}"
        yield f"| {record['model']} | {sizes_text(record)} | {' | '.join(cells)} | {end} |"


def summary(records: list[Record]) -> Iterator[str]:
    """Geometric means, the worst row, and every row below what each should reach."""
    named = [record for _, record in references(records)]
    if named:
        yield f"Geometric mean of the {len(named)} workloads: {mean(list(map(factor, named))):.2f} (goal {MEAN})."
    worst = min(records, key=factor)
    yield (
        f"Geometric mean of all {len(records)} rows: {mean(list(map(factor, records))):.2f}; the worst, {worst['model']} with"
        f" {sizes_text(worst)}: {factor(worst):.2f} (goal {LEAST})."
    )
    for record in records:
        if factor(record) < LEAST:
            yield f"* below {LEAST}: {record['model']}, {sizes_text(record)}: {factor(record):.2f} ({best_peer(record)[0]})"


def short_table(records: list[Record]) -> Iterator[str]:
    """The smallest and the largest sizes of each model against its best peer, in float32 on one core."""
    yield "| model | sizes | bracketc C | NumPy by hand | best peer | times as fast as it |"
    yield "|---|---|---:|---:|---|---:|"
    records = [record for record in records if combination(record) == ("float32", 1)]
    for name in dict.fromkeys(record["model"] for record in records):
        rows = [record for record in records if record["model"] == name]
        for record in (rows[0], rows[-1]):
            mine, by_hand = (human(record["contenders"][key]["median"]) for key in ("bracketc C", "NumPy by hand"))
            peer, seconds = best_peer(record)
            yield f"| {name} | {sizes_text(record)} | {mine} | {by_hand} | {peer}, {human(seconds)} | {factor(record):.1f} |"


def page(records: list[Record], described: Mapping[str, str]) -> str:
    """The page of results."""
    lines = [
        "# The last run of each model",
        "",
        INTRODUCTION,
        "| | |",
        "|---|---|",
        *(f"| {key} | {value} |" for key, value in described.items()),
    ]
    for dtype, threads in dict.fromkeys(map(combination, records)):
        rows = [record for record in records if combination(record) == (dtype, threads)]
        lines += ["", f"## {dtype}, {'one thread' if threads == 1 else f'{threads} threads'}", ""]
        if references(rows):
            lines += [*reference_table(rows), ""]
        lines += [*table(rows), "", *summary(rows)]
        if any("peaks" in record for record in rows):
            lines += ["", f"![Rates of all models against the peaks of the machine](roofline-{dtype}-{threads}.svg)"]
    return "\n".join(lines) + "\n"
