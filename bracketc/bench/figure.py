"""Medians as a bar chart."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from bracketc.bench.report import human
from bracketc.errors import SourceError, ToolchainError

FORMATS = (".svg", ".png", ".pdf")


def draw_medians(path: str, title: str, medians: Mapping[str, float]) -> None:
    """One bar a contender, the fastest on top, each with its time. Needs matplotlib."""
    if Path(path).suffix not in FORMATS:
        raise SourceError(f"cannot draw {path}: the name must end in {', '.join(FORMATS)}")
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise ToolchainError("a plot needs matplotlib: pip install matplotlib") from None
    order = sorted(medians, key=lambda name: -medians[name])
    figure = Figure(figsize=(7, 1.2 + 0.45 * len(order)), layout="constrained")
    axes = figure.add_subplot()
    colours = ["#c44e52" if name.startswith("bracketc C") else "#8c8c8c" for name in order]
    bars = axes.barh(order, [medians[name] * 1e6 for name in order], color=colours)
    axes.bar_label(bars, [f" {human(medians[name])}" for name in order], fontsize=9)
    axes.set_xlabel("µs a call, median")
    axes.set_title(title, loc="left", fontsize=11)
    axes.spines[["top", "right"]].set_visible(False)
    axes.margins(x=0.15)
    try:
        figure.savefig(path, metadata={"Date": None} if path.endswith(".svg") else None)
    except OSError as error:
        raise ToolchainError(f"cannot write {path}: {error.strerror}") from None
