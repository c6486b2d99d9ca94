"""One training step (gradients, then SGD with momentum) of the same network in several libraries.

    python examples/digits/compare.py FOLDER [--json FILE]

FOLDER holds what `bracketc build` wrote, in `c/` and `numpy/`.  Everything runs in float32 on one core.  All contenders
start from the same parameters and see the same batch; after five steps each is compared with the hand-written program
in float64, and a contender that went elsewhere ends the run.  Then they are timed in turns.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from bracketc.bench.pinning import restart_on_one_core
from bracketc.bench.report import timing_table
from bracketc.bench.timing import interleave
from data import augment, load, one_hot, scaling, split
from loading import backends, load_generated
from training import SHAPES, flat, initialise, momentum_step

BATCH, RATE, MOMENTUM, DECAY = 32, 0.1, 0.9, 1e-3
CHECKED_STEPS = 5
TOLERANCE = 1e-4

Params = Mapping[str, np.ndarray]


@dataclass(frozen=True, slots=True)
class Contender:
    """A name, one training step, and the parameters after the steps so far."""

    name: str
    step: Callable[[], object]
    params: Callable[[], Params]


def batch() -> tuple[np.ndarray, np.ndarray]:
    """The first images of the training set, scaled, with their labels."""
    train, _ = split(load())
    scale = scaling(augment(train))
    return scale(train.images[:BATCH]), one_hot(train.labels[:BATCH])


def start(dtype: str) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """The parameters that everyone begins with."""
    vector, params = flat(SHAPES, dtype)
    initialise(params, np.random.default_rng(0))
    return vector, params


def gradients_by_hand(X: np.ndarray, Y: np.ndarray, params: Params, out: Params) -> float:
    """The loss of models/digits.brk; its gradients go to `out`."""
    z = X @ params["W1"]
    z += params["b1"]
    np.tanh(z, out=z)
    a = z @ params["W2"]
    a += params["b2"]
    a -= a.max(1, keepdims=True)
    e = np.exp(a)
    total = e.sum(1, keepdims=True)
    decay = np.vdot(params["W1"], params["W1"]) + np.vdot(params["W2"], params["W2"])
    loss = (np.log(total).sum() - np.vdot(Y, a)) / len(X) + DECAY / 2 * decay
    e /= total
    e -= Y
    e /= len(X)
    np.matmul(z.T, e, out=out["W2"])
    e.sum(0, out=out["b2"])
    s = e @ params["W2"].T
    s *= 1 - z * z
    np.matmul(X.T, s, out=out["W1"])
    s.sum(0, out=out["b1"])
    for name in ("W1", "W2"):
        out[name] += DECAY * params[name]
    return float(loss)


def by_hand(X: np.ndarray, Y: np.ndarray, dtype: str) -> Contender:
    """NumPy as a careful person writes it: in place where it can be, parameters in one vector."""
    X, Y = X.astype(dtype), Y.astype(dtype)
    vector, params = start(dtype)
    gradient, gradients = flat(SHAPES, dtype)
    velocity = np.zeros_like(vector)

    def step() -> None:
        gradients_by_hand(X, Y, params, gradients)
        momentum_step(vector, velocity, gradient, RATE, MOMENTUM)

    return Contender("NumPy by hand", step, lambda: params)


def bracketc_contender(name: str, module: Any, X: np.ndarray, Y: np.ndarray) -> Contender:
    """A generated module, bound to its arrays, with the same optimiser as `by_hand`."""
    X, Y = X.astype("float32"), Y.astype("float32")
    vector, params = start("float32")
    gradient, gradients = flat(SHAPES, "float32")
    velocity = np.zeros_like(vector)
    value = np.zeros((), "float32")
    kernel = module.value_and_grad.bind(X=X, Y=Y, **params, out=(value, tuple(gradients.values())))

    def step() -> None:
        kernel()
        momentum_step(vector, velocity, gradient, RATE, MOMENTUM)

    return Contender(name, step, lambda: params)


def torch_contenders(X: np.ndarray, Y: np.ndarray) -> Iterator[Contender]:
    """PyTorch with its own optimiser, eager and compiled."""
    import torch

    torch.set_num_threads(1)
    images, targets = (torch.from_numpy(array.astype("float32")) for array in (X, Y))

    def loss(W1: Any, b1: Any, W2: Any, b2: Any) -> Any:
        a = torch.addmm(b2, torch.tanh(torch.addmm(b1, images, W1)), W2)
        fit = -(targets * torch.log_softmax(a, 1)).sum() / len(images)
        return fit + DECAY / 2 * ((W1 * W1).sum() + (W2 * W2).sum())

    def parameters() -> dict[str, Any]:
        return {key: torch.from_numpy(view.copy()).requires_grad_(True) for key, view in start("float32")[1].items()}

    def contender(name: str, loss: Callable[..., Any]) -> Contender:
        params = parameters()
        optimiser = torch.optim.SGD(params.values(), lr=RATE, momentum=MOMENTUM)

        def step() -> None:
            optimiser.zero_grad()
            loss(**params).backward()
            optimiser.step()

        return Contender(name, step, lambda: {key: tensor.detach().numpy() for key, tensor in params.items()})

    yield contender("PyTorch", loss)
    compiled = torch.compile(loss)
    try:
        compiled(**parameters()).backward()
    except Exception as error:  # whatever its toolchain lacks: the reason is printed, the others go on
        print(f"no torch.compile here: {str(error).splitlines()[0][:100]}", file=sys.stderr)
        return
    yield contender("torch.compile", compiled)


def jax_contender(X: np.ndarray, Y: np.ndarray) -> Contender:
    """JAX with the whole step in one compiled function."""
    import jax

    images, targets = (jax.numpy.asarray(array.astype("float32")) for array in (X, Y))
    params = {name: jax.numpy.asarray(view) for name, view in start("float32")[1].items()}
    state = [params, {name: jax.numpy.zeros_like(param) for name, param in params.items()}]

    def loss(params: Any) -> Any:
        a = jax.numpy.tanh(images @ params["W1"] + params["b1"]) @ params["W2"] + params["b2"]
        fit = -(targets * jax.nn.log_softmax(a, 1)).sum() / len(images)
        return fit + DECAY / 2 * ((params["W1"] ** 2).sum() + (params["W2"] ** 2).sum())

    def update(params: Any, velocity: Any) -> Any:
        gradients = jax.grad(loss)(params)
        velocity = jax.tree.map(lambda v, g: MOMENTUM * v - RATE * g, velocity, gradients)
        return jax.tree.map(lambda p, v: p + v, params, velocity), velocity

    compiled = jax.jit(update)

    def step() -> None:
        state[:] = jax.block_until_ready(compiled(*state))

    return Contender("JAX jit", step, lambda: {name: np.asarray(param) for name, param in state[0].items()})


def contenders(folder: Path) -> list[Contender]:
    """Everything that can run here, bracketc first."""
    X, Y = batch()
    found = [
        bracketc_contender(f"bracketc {label}", load_generated(folder / backend), X, Y)
        for backend, label in backends(folder).items()
    ]
    found.append(by_hand(X, Y, "float32"))
    if importlib.util.find_spec("torch"):
        found.extend(torch_contenders(X, Y))
    if importlib.util.find_spec("jax"):
        found.append(jax_contender(X, Y))
    return found


def difference(got: Params, want: Params) -> float:
    """The largest difference of two sets of parameters, relative to the largest entry of its array."""
    found = [np.abs(got[name].astype(float) - want[name]).max() / (np.abs(want[name]).max() or 1.0) for name in want]
    return float(np.max(found))  # NaN wins, which the built-in max would drop


def check(found: list[Contender]) -> float:
    """Take a few steps with everyone, and compare with float64; returns the largest difference."""
    reference = by_hand(*batch(), "float64")
    worst = 0.0
    for contender in [reference, *found]:
        for _ in range(CHECKED_STEPS):
            contender.step()
        off = difference(contender.params(), reference.params())
        if not off <= TOLERANCE:
            raise SystemExit(f"{contender.name} is wrong: off by {off:.2g} (relative) after {CHECKED_STEPS} steps")
        worst = max(worst, off)
    return worst


def main() -> None:
    """Check, time, print."""
    parser = argparse.ArgumentParser(description="one training step on the digits, one core, float32")
    parser.add_argument("folder", type=Path, help="where `bracketc build` wrote c/ and numpy/")
    parser.add_argument("--json", type=Path, help="write the medians (seconds) there, too")
    parser.add_argument("--rounds", type=int, default=25)
    arguments = parser.parse_args()
    restart_on_one_core()
    found = contenders(arguments.folder)
    worst = check(found)
    timings = interleave({each.name: each.step for each in found}, rounds=arguments.rounds)
    console = Console(highlight=False, soft_wrap=True)
    title = f"batch {BATCH}, 64-64-10, float32, one core"
    console.print(timing_table(title, timings, found[0].name))
    console.print()
    console.print(f"[dim]after {CHECKED_STEPS} steps all agree with float64 NumPy to {worst:.0e}; timed in turns[/]")
    if arguments.json:
        medians = {name: timing.median for name, timing in timings.items()}
        arguments.json.write_text(json.dumps(medians, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
