"""The picture of the demonstration: how training went, what the network sees, how long a step takes."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from training import History

INK, GREY, FAINT = "#1f2933", "#7b8794", "#e4e7eb"
BLUE, RED, GREEN = "#2563eb", "#dc2626", "#0d9488"
ROWS, COLUMNS = 6, 9


def smooth(values: list[float], window: int) -> np.ndarray:
    """Mean over the last `window` values, fewer at the start.

    >>> smooth([1.0, 3.0, 5.0], 2)
    array([1., 2., 4.])
    """
    total = np.concatenate([[0.0], np.cumsum(values)])
    end = np.arange(1, len(values) + 1)
    start = np.maximum(0, end - window)
    return (total[end] - total[start]) / (end - start)


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

    style = {
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
        "xtick.color": GREY,
        "ytick.color": GREY,
        "text.color": INK,
    }
    with plt.rc_context(style):
        canvas = plt.figure(figsize=(14, 4.6), dpi=160, facecolor="white")
        edges = {"top": 0.87, "bottom": 0.13}
        _training(canvas.add_subplot(canvas.add_gridspec(1, 1, left=0.05, right=0.31, **edges)[0]), history)
        _samples(canvas, canvas.add_gridspec(1, 1, left=0.385, right=0.665, **edges)[0], images, labels, predicted)
        if medians:
            _steps(canvas.add_subplot(canvas.add_gridspec(1, 1, left=0.775, right=0.975, **edges)[0]), medians)
        file.parent.mkdir(parents=True, exist_ok=True)
        canvas.savefig(file)
        plt.close(canvas)


def _training(axes, history: History) -> None:
    """Loss of every step on a logarithmic scale, and the share of errors on the test digits."""
    steps = len(history.losses)
    epochs = len(history.accuracies)
    per_epoch = steps / max(1, epochs)
    axes.set_title("Training")
    axes.plot(np.arange(steps) / per_epoch, history.losses, color=BLUE, alpha=0.15, linewidth=0.5)
    window = max(1, int(per_epoch))
    axes.plot(np.arange(steps) / per_epoch, smooth(history.losses, window), color=BLUE, linewidth=1.8)
    axes.set_yscale("log")
    axes.set_xlabel("epoch")
    axes.set_ylabel("loss J", color=BLUE)
    axes.grid(axis="y", color=FAINT, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.set_xlim(0, epochs)
    right = axes.twinx()
    right.plot(np.arange(1, epochs + 1), 100 * np.array(history.accuracies), color=GREEN, linewidth=1.8)
    right.set_ylabel("accuracy on the test digits, %", color=GREEN)
    right.set_ylim(min(90.0, 100 * min(history.accuracies) - 0.5), 100)
    right.spines["right"].set_visible(False)
    right.annotate(
        f"{100 * history.accuracies[-1]:.1f} %",
        (epochs, 100 * history.accuracies[-1]),
        xytext=(-4, 8),
        textcoords="offset points",
        ha="right",
        color=GREEN,
        fontweight="bold",
    )


def _samples(canvas, cell, images: np.ndarray, labels: np.ndarray, predicted: np.ndarray) -> None:
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
        axes.set_xlabel(text, color=RED if wrong else GREY, fontsize=7 if wrong else 8, labelpad=2)


def _steps(axes, medians: Mapping[str, float]) -> None:
    """A bar for each contender, the fastest on top."""
    names = sorted(medians, key=lambda name: medians[name], reverse=True)
    values = [medians[name] * 1e6 for name in names]
    colours = [BLUE if name.startswith("bracketc") else "#cbd2d9" for name in names]
    axes.set_title("One training step, one core")
    bars = axes.barh(names, values, color=colours, height=0.62)
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
        )
    axes.set_xlim(0, 1.55 * max(values))
    axes.set_xlabel("microseconds, less is better")
    axes.tick_params(axis="y", length=0, labelcolor=INK)
    axes.spines["left"].set_visible(False)
    axes.grid(axis="x", color=FAINT, linewidth=0.8)
    axes.set_axisbelow(True)
