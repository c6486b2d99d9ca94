"""The picture of the demonstration: how training went, what the network sees, how long a step takes."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import numpy as np

from training import History

INK, GREY, FAINT = "#1f2933", "#7b8794", "#e4e7eb"
BLUE, PALE, RED, GREEN = "#2563eb", "#93b4f5", "#dc2626", "#0d9488"
PEER = "#cbd2d9"
ROWS, COLUMNS = 6, 9

STYLE = {
    "font.family": "DejaVu Sans",
    "font.size": 9.5,
    "axes.edgecolor": GREY,
    "axes.labelcolor": INK,
    "axes.titlecolor": INK,
    "axes.titlesize": 11,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.titlepad": 12,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "grid.color": FAINT,
    "grid.linewidth": 0.8,
    "xtick.color": GREY,
    "ytick.color": GREY,
    "text.color": INK,
}


def smooth(values: list[float], window: int) -> np.ndarray:
    """Mean over the last `window` values, fewer at the start.

    >>> smooth([1.0, 3.0, 5.0], 2)
    array([1., 2., 4.])
    """
    total = np.concatenate([[0.0], np.cumsum(values)])
    end = np.arange(1, len(values) + 1)
    start = np.maximum(0, end - window)
    means: np.ndarray = (total[end] - total[start]) / (end - start)
    return means


def shown(predicted: np.ndarray, labels: np.ndarray, count: int) -> np.ndarray:
    """Which digits to show: right ones first, in their order, then every wrong one that finds room.

    >>> shown(np.array([1, 2, 3, 4]), np.array([1, 2, 9, 4]), 3)
    array([0, 1, 2])
    """
    wrong = np.flatnonzero(predicted != labels)[:count]
    right = np.flatnonzero(predicted == labels)[: count - len(wrong)]
    return np.concatenate([right, wrong])


def duration(seconds: float) -> str:
    """A step time for a label: microseconds with three figures.

    >>> duration(0.00001234)
    '12.3 µs'
    """
    return f"{seconds * 1e6:.3g} µs" if seconds < 1e-3 else f"{seconds * 1e3:.3g} ms"


def draw(
    file: Path,
    history: History,
    images: np.ndarray,
    labels: np.ndarray,
    predicted: np.ndarray,
    medians: Mapping[str, float],
) -> None:
    """Write the figure; `images` are the test digits as rows, `medians` the seconds of a training step."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    with plt.rc_context(cast("Any", STYLE)):
        canvas = plt.figure(figsize=(14, 5.2), dpi=160, facecolor="white")
        top, bottom = 0.80, 0.11
        left = canvas.add_gridspec(2, 1, left=0.05, right=0.30, top=top, bottom=bottom, hspace=0.24, height_ratios=(3, 2))
        loss = canvas.add_subplot(left[0])
        _loss(loss, history)
        _accuracy(canvas.add_subplot(left[1], sharex=loss), history)
        middle = canvas.add_gridspec(1, 1, left=0.355, right=0.655, top=top, bottom=bottom)
        _samples(canvas, middle[0], images, labels, predicted)
        if medians:
            right = canvas.add_gridspec(1, 1, left=0.77, right=0.98, top=top, bottom=bottom)
            _steps(canvas.add_subplot(right[0]), medians)
        canvas.text(0.05, 0.95, "Handwritten digits, by a network of 64-64-10 units", fontsize=14, weight="bold", va="center")
        canvas.text(0.05, 0.905, "written in models/digits.brk; bracketc derived its gradients and compiled them", color=GREY)
        file.parent.mkdir(parents=True, exist_ok=True)
        canvas.savefig(file)
        plt.close(canvas)


def _loss(axes: Any, history: History) -> None:
    """Loss of every step on a logarithmic scale, and its mean over an epoch."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

    per_epoch = len(history.losses) / max(1, len(history.accuracies))
    epochs = np.arange(len(history.losses)) / per_epoch
    axes.set_title("Loss of a training step")
    axes.plot(epochs, history.losses, color=BLUE, alpha=0.18, linewidth=0.5)
    axes.plot(epochs, smooth(history.losses, max(1, int(per_epoch))), color=BLUE, linewidth=1.8)
    axes.set_yscale("log")
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.grid(axis="y")
    axes.tick_params(axis="x", labelbottom=False)
    axes.annotate(
        "mean of an epoch", (0.97, 0.9), xycoords="axes fraction", ha="right", color=BLUE, fontsize=8.5
    )


def _accuracy(axes: Any, history: History) -> None:
    """Share of the test digits that are right after each epoch."""
    epochs = len(history.accuracies)
    percent = 100 * np.array(history.accuracies)
    axes.set_title("Test digits that are right, %", pad=6)
    axes.plot(np.arange(1, epochs + 1), percent, color=GREEN, linewidth=1.8, marker="o", markersize=3)
    axes.set_xlim(0, epochs + 0.3)
    axes.set_ylim(min(96.0, np.floor(percent.min())), 100)
    axes.grid(axis="y")
    axes.set_xlabel("epoch")
    end = {"xytext": (0, 7), "textcoords": "offset points", "ha": "right", "color": GREEN, "fontweight": "bold"}
    axes.annotate(f"{percent[-1]:.1f} %", (epochs, percent[-1]), **end)


def _samples(canvas: Any, cell: Any, images: np.ndarray, labels: np.ndarray, predicted: np.ndarray) -> None:
    """A sheet of test digits with the answers below them; wrong answers in red, with the truth."""
    frame = canvas.add_subplot(cell)
    errors = int((predicted != labels).sum())
    frame.set_title(f"Test digits: {len(labels) - errors} of {len(labels)} right, the wrong ones in red")
    frame.axis("off")
    sheet = cell.subgridspec(ROWS, COLUMNS, wspace=0.14, hspace=0.42)
    for place, index in enumerate(shown(predicted, labels, ROWS * COLUMNS)):
        axes = canvas.add_subplot(sheet[place // COLUMNS, place % COLUMNS])
        axes.imshow(images[index].reshape(8, 8), cmap="gray_r", vmin=0, vmax=16, interpolation="nearest")
        wrong = predicted[index] != labels[index]
        axes.set_xticks([])
        axes.set_yticks([])
        for spine in axes.spines.values():
            spine.set_visible(True)
            spine.set_color(RED if wrong else FAINT)
            spine.set_linewidth(1.4 if wrong else 0.8)
        text = f"{predicted[index]}, not {labels[index]}" if wrong else str(predicted[index])
        axes.set_xlabel(text, color=RED if wrong else GREY, fontsize=7.5 if wrong else 8, labelpad=2)


def colour(name: str) -> str:
    """bracketc's C stands out, its NumPy belongs to it, the others are grey."""
    return {"bracketc C": BLUE, "bracketc NumPy": PALE}.get(name, PEER)


def _steps(axes: Any, medians: Mapping[str, float]) -> None:
    """A bar for each contender, the fastest on top."""
    names = sorted(medians, key=lambda name: medians[name], reverse=True)
    values = [medians[name] * 1e6 for name in names]
    axes.set_title("One training step, one core")
    bars = axes.barh(names, values, color=[colour(name) for name in names], height=0.62)
    best = min(values)
    for bar, name, value in zip(bars, names, values, strict=True):
        factor = "" if value == best else f"  ({value / best:.1f}×)"
        axes.annotate(
            duration(medians[name]) + factor,
            (value, bar.get_y() + bar.get_height() / 2),
            xytext=(5, 0),
            textcoords="offset points",
            va="center",
            fontsize=9,
            fontweight="bold" if value == best else "normal",
        )
    axes.set_xlim(0, 1.5 * max(values))
    axes.set_xlabel("microseconds, less is better")
    axes.tick_params(axis="y", length=0, labelcolor=INK)
    axes.spines["left"].set_visible(False)
    axes.grid(axis="x")
