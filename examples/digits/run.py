"""From a model to a trained network: handwritten digits, classified by kernels that bracketc wrote.

    python examples/digits/run.py [--output FOLDER] [--epochs 25] [--no-compare]

The parts, in order: show the model, its derived gradients and their check, build the kernels ahead of time, train,
compare one training step with other libraries, draw a figure.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.markup import escape

from data import Digits, augment, load, one_hot, scaling, split
from figure import draw
from loading import backends, load_generated
from training import History, Recipe, accuracy, train

HERE = Path(__file__).resolve().parent
MODEL = HERE.parent.parent / "models" / "digits.brk"
TOOLCHAIN = 3  # the status of bracketc when a compiler is missing


@dataclass(frozen=True, slots=True)
class Data:
    """Scaled arrays for training, and the test digits as they were."""

    train: tuple[np.ndarray, np.ndarray]
    test: tuple[np.ndarray, np.ndarray]
    shown: Digits


def prepare() -> Data:
    """Load, split, add shifted copies to the training digits, scale."""
    train_digits, test_digits = split(load())
    more = augment(train_digits)
    scale = scaling(more)
    return Data(
        (scale(more.images), one_hot(more.labels)),
        (scale(test_digits.images), one_hot(test_digits.labels)),
        test_digits,
    )


def bracketc(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the command line of bracketc with this Python."""
    command = [sys.executable, "-m", "bracketc", *arguments]
    return subprocess.run(command, capture_output=True, text=True, encoding="utf-8", check=False)


def typed(word: str, folder: Path) -> str:
    """An argument as a person in `folder` would type it.

    >>> typed("/home/ada/models/mlp.brk", Path("/home/ada"))
    'models/mlp.brk'
    """
    return str(Path(word).relative_to(folder)) if Path(word).is_relative_to(folder) else word


def show(console: Console, *arguments: str, accept: tuple[int, ...] = (0,)) -> int:
    """Print a command, and what it answers; a status that is not accepted ends the demonstration."""
    words = " ".join(typed(word, Path.cwd()) for word in arguments)
    console.print(f"[bold green]$[/] [bold]bracketc {escape(words)}[/]")
    done = bracketc(*arguments)
    if done.returncode not in accept:
        raise SystemExit(done.stdout + done.stderr or f"bracketc {arguments[0]} failed with status {done.returncode}")
    print(done.stdout.rstrip(), flush=True)
    if done.stderr.strip():
        console.print(f"[yellow]{escape(done.stderr.rstrip())}[/]")
    console.print()
    return done.returncode


def build(console: Console, output: Path) -> None:
    """Compile the kernels into `output/c` and `output/numpy`; without a C compiler, into `output/numpy` alone."""
    for backend, accept in (("numpy", (0,)), ("c", (0, TOOLCHAIN))):
        folder = output / backend
        shutil.rmtree(folder, ignore_errors=True)
        show(
            console, "build", str(MODEL), "-o", str(folder), "--backend", backend, "--dtype", "float32", accept=accept
        )


def predict(module: Any, params: Mapping[str, np.ndarray], test: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
    """The scores of the test digits, a row each."""
    images, targets = (array.astype("float32") for array in test)
    return np.asarray(module.evaluate(X=images, Y=targets, **params).A2)


def fit(console: Console, module: Any, data: Data, recipe: Recipe) -> tuple[dict[str, np.ndarray], History]:
    """Train and tell how it goes."""

    def evaluate(params: Mapping[str, np.ndarray]) -> float:
        return accuracy(predict(module, params, data.test), data.shown.labels)

    def report(epoch: int, history: History) -> None:
        if epoch in (1, 2, 5) or epoch % 5 == 0:
            recent = np.mean(history.losses[-len(history.losses) // epoch :])
            accurate = history.accuracies[-1]
            console.print(f"epoch {epoch:3d}   loss {recent:7.4f}   accuracy on the test digits {accurate:7.2%}")

    started = time.perf_counter()
    params, history = train(module, data.train, evaluate, recipe, report=report)
    seconds = time.perf_counter() - started
    console.print(
        f"[dim]{len(history.losses):,} steps of {recipe.batch} digits in {seconds:.2f} s, "
        f"{1e6 * seconds / len(history.losses):.0f} µs a step with everything around it[/]\n"
    )
    return params, history


def compare(output: Path) -> dict[str, float]:
    """Time one training step in a process of its own, pinned to one core; seconds by contender."""
    record = output / "steps.json"
    command = [sys.executable, str(HERE / "compare.py"), str(output), "--json", str(record)]
    subprocess.run(command, check=True)
    return dict(json.loads(record.read_text(encoding="utf-8")))


def main() -> None:
    """The whole demonstration."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--output", type=Path, default=HERE / "output", help="where kernels and the figure go")
    parser.add_argument("--epochs", type=int, default=Recipe().epochs)
    parser.add_argument("--no-compare", action="store_true", help="leave out the comparison with other libraries")
    arguments = parser.parse_args()
    console = Console(highlight=False)
    output = arguments.output.resolve()

    console.rule("[bold]The model", align="left")
    console.print(escape(MODEL.read_text(encoding="utf-8")))
    console.rule("[bold]Its gradients, derived and checked", align="left")
    show(console, "derive", str(MODEL))
    show(console, "check", str(MODEL))
    console.rule("[bold]Kernels, ahead of time", align="left")
    build(console, output)
    console.rule("[bold]Training", align="left")
    data = prepare()
    backend, label = next(iter(backends(output).items()))
    module = load_generated(output / backend)
    console.print(f"[dim]generated {label}, {output / backend / 'digits.py'}[/]")
    params, history = fit(console, module, data, Recipe(epochs=arguments.epochs))
    predicted = predict(module, params, data.test).argmax(1)

    medians: dict[str, float] = {}
    if not arguments.no_compare:
        console.rule("[bold]One training step, here and elsewhere", align="left")
        medians = compare(output)
    figure = output / "digits.png"
    draw(figure, history, data.shown.images, data.shown.labels, predicted, medians)
    right = int((predicted == data.shown.labels).sum())
    console.print(f"\n[bold]{right} of {len(predicted)} test digits right ({right / len(predicted):.2%})[/]")
    console.print(f"figure: {typed(str(figure), Path.cwd())}")


if __name__ == "__main__":
    main()
