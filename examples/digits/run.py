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
from rich.text import Text

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


def shown(path: Path) -> str:
    """A path as a person who stands in this folder would type it.

    >>> shown(Path.cwd() / "models" / "mlp.brk")
    'models/mlp.brk'
    """
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)


def say(console: Console, text: str | Text = "") -> None:
    """Print a line that is never broken."""
    console.print(text, soft_wrap=True)


def command(console: Console, *arguments: str, accept: tuple[int, ...] = (0,)) -> int:
    """Print a command of bracketc, and let it answer; a status that is not accepted ends the demonstration."""
    say(console, Text.assemble(("$ ", "bold green"), (" ".join(["bracketc", *arguments]), "bold")))
    sys.stdout.flush()
    status = subprocess.run([sys.executable, "-m", "bracketc", *arguments], check=False).returncode
    if status not in accept:
        raise SystemExit(f"bracketc {arguments[0]} failed with status {status}")
    say(console)
    return status


def coloured(source: str) -> Text:
    """Source text with dim comments and bold keywords."""
    text = Text(source.rstrip())
    text.highlight_regex(r"(?m)^(dim|input|param|const|output|gradient)\b|\bwrt\b", "bold cyan")
    text.highlight_regex(r"#.*", "green dim not bold")
    return text


def build(console: Console, output: Path) -> None:
    """Compile the kernels into `output/c` and `output/numpy`; without a C compiler, into `output/numpy` alone."""
    for backend in ("c", "numpy"):
        folder = output / backend
        shutil.rmtree(folder, ignore_errors=True)
        target = ("-o", shown(folder), "--backend", backend, "--dtype", "float32")
        status = command(console, "build", shown(MODEL), *target, accept=(0, TOOLCHAIN) if backend == "c" else (0,))
        if status == TOOLCHAIN:
            say(console, Text("No C compiler here, so the NumPy kernels do the work.\n", style="yellow"))


def title(console: Console, text: str) -> None:
    """Begin a part."""
    console.print()
    console.rule(f"[bold]{text}", align="left")


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
            say(console, f"epoch {epoch:3d}   loss {recent:7.4f}   accuracy on the test digits {accurate:7.2%}")

    started = time.perf_counter()
    params, history = train(module, data.train, evaluate, recipe, report=report)
    seconds = time.perf_counter() - started
    say(
        console,
        f"[dim]{len(history.losses):,} steps of {recipe.batch} digits in {seconds:.2f} s, "
        f"{1e6 * seconds / len(history.losses):.0f} µs a step with everything around it[/]",
    )
    return params, history


def compare(output: Path) -> dict[str, float]:
    """Time one training step in a process of its own, pinned to one core; seconds by contender."""
    record = output / "steps.json"
    sys.stdout.flush()
    subprocess.run([sys.executable, str(HERE / "compare.py"), str(output), "--json", str(record)], check=True)
    return dict(json.loads(record.read_text(encoding="utf-8")))


def main() -> None:
    """The whole demonstration."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--output", type=Path, default=HERE / "output", help="where kernels and the figure go")
    parser.add_argument("--epochs", type=int, default=Recipe().epochs)
    parser.add_argument("--no-compare", action="store_true", help="leave out the comparison with other libraries")
    arguments = parser.parse_args()
    console = Console(highlight=False, width=min(100, shutil.get_terminal_size((100, 24)).columns))
    output = arguments.output.resolve()

    title(console, "The model")
    say(console, coloured(MODEL.read_text(encoding="utf-8")))
    title(console, "Its gradients, derived and checked")
    command(console, "derive", shown(MODEL))
    command(console, "check", shown(MODEL))
    title(console, "Kernels, ahead of time")
    build(console, output)
    title(console, "Training")
    data = prepare()
    backend, label = next(iter(backends(output).items()))
    module = load_generated(output / backend)
    say(console, f"[dim]with the generated {label}, {shown(output / backend / 'digits.py')}[/]")
    params, history = fit(console, module, data, Recipe(epochs=arguments.epochs))
    predicted = predict(module, params, data.test).argmax(1)

    medians: dict[str, float] = {}
    if not arguments.no_compare:
        title(console, "One training step, here and elsewhere")
        medians = compare(output)
    figure = output / "digits.png"
    draw(figure, history, data.shown.images, data.shown.labels, predicted, medians)
    right = int((predicted == data.shown.labels).sum())
    say(console, f"\n[bold]{right} of {len(predicted)} test digits right ({right / len(predicted):.2%})[/]")
    say(console, f"figure: {shown(figure)}")


if __name__ == "__main__":
    main()
