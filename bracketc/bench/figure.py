"""Medians as bars, and rates under the roofs that the machine sets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from bracketc.bench.peaks import Rates
from bracketc.bench.report import human
from bracketc.errors import OutputError, SourceError, ToolchainError, printable

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

FORMATS = (".svg", ".png", ".pdf")
WIDE = 50
"""Times the fastest that the slowest takes, from where bars need a logarithmic axis."""
OURS, OTHERS, ROOF = "#c44e52", "#8c8c8c", "#4c72b0"


@dataclass(frozen=True, slots=True)
class Point:
    """A call under the roofs: operations a byte, operations a second, and its name where that is written; ``rival`` is the rate of
    the one that it is compared with, if any."""

    intensity: float
    rate: float
    label: str = ""
    ours: bool = True
    rival: float | None = None


def draw_medians(path: str, title: str, medians: Mapping[str, float]) -> None:
    """One bar a contender, the fastest on top, each with its time. Needs matplotlib."""
    figure = _figure(path, 7, 1.2 + 0.45 * len(medians))
    _bars(figure.add_subplot(), title, medians)
    _save(figure, path)


def draw_comparison(path: str, title: str, medians: Mapping[str, float], flops: float, bytes: float, peaks: Rates) -> None:
    """Bars beside a roofline: how fast the contenders are, and how fast one could be. Needs matplotlib."""
    figure = _figure(path, 12, max(3.8, 1.2 + 0.45 * len(medians)))
    left, right = figure.subplots(1, 2, width_ratios=(3, 2))
    _bars(left, title, medians)
    best = min(medians, key=lambda name: medians[name])
    points = [
        Point(flops / bytes, flops / seconds, name if name == best else "", name.startswith("bracketc C"))
        for name, seconds in medians.items()
    ]
    _roofline(right, points, peaks.flops, {"reads": peaks.bytes})
    _save(figure, path)


def draw_roofline(
    path: str, title: str, points: Sequence[Point], flops: float, bandwidths: Mapping[str, float], note: str = ""
) -> None:
    """Points under the peak of multiply-adds and one slope for each bandwidth (bytes a second by name), ``note`` in the lower right
    corner. Needs matplotlib."""
    figure = _figure(path, 9, 6)
    axes = figure.add_subplot()
    _roofline(axes, points, flops, bandwidths)
    _set_title(axes, title)
    axes.text(0.99, 0.02, note, transform=axes.transAxes, ha="right", fontsize=8, color="#555555", linespacing=1.4)
    _save(figure, path)


def _set_title(axes: Axes, title: str) -> None:
    """A title with the name of a file: no formula between its dollars, and no control characters, which no SVG may have."""
    axes.set_title(printable(title), loc="left", fontsize=11, parse_math=False)


def _bars(axes: Axes, title: str, medians: Mapping[str, float]) -> None:
    order = sorted(medians, key=lambda name: -medians[name])
    colours = [OURS if name.startswith("bracketc C") else OTHERS for name in order]
    if max(medians.values()) > WIDE * min(medians.values()):
        axes.set_xscale("log")
    bars = axes.barh(order, [medians[name] * 1e6 for name in order], color=colours)
    axes.bar_label(bars, [f" {human(medians[name])}" for name in order], fontsize=9)
    axes.set_xlabel("µs a call, median")
    _set_title(axes, title)
    axes.spines[["top", "right"]].set_visible(False)
    axes.margins(x=0.15)


def _roofline(axes: Axes, points: Sequence[Point], flops: float, bandwidths: Mapping[str, float]) -> None:
    """Logarithmic axes: a bandwidth is a line of slope one, which ends where it meets the peak."""
    knees = [flops / bytes for bytes in bandwidths.values()]
    low = min([point.intensity for point in points] + knees) / 3
    high = max([point.intensity for point in points] + knees) * 5
    rates = [rate for point in points for rate in (point.rate, point.rival) if rate is not None]
    bottom = min(rates) / 2
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlim(low, high)
    axes.set_ylim(bottom / 1e9, max([flops, *rates]) / 1e9 * 2)
    for number, (name, bytes) in enumerate(sorted(bandwidths.items(), key=lambda each: -each[1])):
        knee = flops / bytes
        axes.plot([low, knee], [low * bytes / 1e9, flops / 1e9], color=ROOF, linewidth=1.2)
        start = max(low, bottom / bytes)  # where the line enters the picture, from the left or from below
        axes.annotate(
            f"{name}: {bytes / 1e9:.3g} GB/s", (start, start * bytes / 1e9), xytext=(8, 12) if number == 0 else (14, 1),
            textcoords="offset points", fontsize=8, color=ROOF, rotation=45, rotation_mode="anchor", transform_rotates_text=True,
            va="bottom" if number == 0 else "top",
        )  # fmt: skip
    axes.plot([min(knees), high], [flops / 1e9] * 2, color=ROOF, linewidth=1.2)
    axes.annotate(
        f"multiply-adds: {flops / 1e9:.3g} Gflop/s", (high, flops / 1e9), xytext=(-2, 4), textcoords="offset points",
        ha="right", fontsize=8, color=ROOF,
    )  # fmt: skip
    for point in sorted(points, key=lambda point: point.ours):
        if point.rival is not None:
            between = [point.rival / 1e9, point.rate / 1e9]
            axes.plot([point.intensity] * 2, between, "-", color=OTHERS, linewidth=0.6, zorder=1)
            axes.plot(point.intensity, between[0], "o", markersize=5, markerfacecolor="white", markeredgecolor=OTHERS)
        face, edge = (OURS, OURS) if point.ours else ("white", OTHERS)
        size = 6 if point.ours else 5
        axes.plot(point.intensity, point.rate / 1e9, "o", markersize=size, markerfacecolor=face, markeredgecolor=edge)
        if point.label:
            axes.annotate(
                point.label, (point.intensity, point.rate / 1e9), xytext=(-6, -3), textcoords="offset points",
                fontsize=8, ha="right",
            )  # fmt: skip
    axes.set_xlabel("operations a byte of arguments and results")
    axes.set_ylabel("Gflop/s")
    axes.spines[["top", "right"]].set_visible(False)


def check_place(path: str) -> None:
    """Whether a figure may be called that: to be asked before anything is timed."""
    if Path(path).suffix not in FORMATS:
        raise SourceError(f"cannot draw {path}: the name must end in {', '.join(FORMATS)}")
    if not Path(path).parent.is_dir():
        raise OutputError(f"cannot write {path}: there is no folder {Path(path).parent}")
    if Path(path).is_dir():
        raise OutputError(f"cannot write {path}: it is a folder")


def _figure(path: str, width: float, height: float) -> Figure:
    check_place(path)
    try:
        from matplotlib import rcParams
        from matplotlib.figure import Figure
    except ImportError:
        raise ToolchainError("a plot needs matplotlib: pip install matplotlib") from None
    rcParams["svg.hashsalt"] = "bracketc"  # the same picture is the same file
    return Figure(figsize=(width, height), layout="constrained")


def _save(figure: Figure, path: str) -> None:
    try:
        figure.savefig(path, metadata={"Date": None} if path.endswith(".svg") else None)
    except OSError as error:
        raise ToolchainError(f"cannot write {path}: {error.strerror}") from None
