"""What a peer's text needs of PyTorch, run eagerly or compiled."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch

Function = Callable[..., Any]


def setup(dtype: str, threads: int) -> None:
    """As many threads as the others."""
    torch.set_num_threads(threads)


def helpers(dtype: str) -> dict[str, Any]:
    """The names that the text uses."""
    real = getattr(torch, dtype)

    def scalar(value: Any) -> Any:
        return value if isinstance(value, torch.Tensor) else torch.tensor(value, dtype=real)

    def several(reduce: Callable[[Any, int], Any]) -> Callable[[Any, tuple[int, ...]], Any]:
        def apply(a: Any, axes: tuple[int, ...]) -> Any:
            for axis in sorted(axes, reverse=True):
                a = reduce(a, axis)
            return a

        return apply

    def loop(
        step: Callable[..., Any], length: int, carries: Any, xs: Any, consts: Any, reverse: bool
    ) -> tuple[Any, ...]:
        count = len(carries)
        state = tuple(carries)
        outputs: list[Any] = []
        for t in range(length - 1, -1, -1) if reverse else range(length):
            results = step(*state, *(x[t] for x in xs), *consts)
            state = results[:count]
            outputs.append(results[count:])
        if reverse:
            outputs.reverse()
        return (*state, *(torch.stack(stack) for stack in zip(*outputs, strict=True)))

    return {
        "xp": torch,
        "full": lambda shape, value: scalar(value).expand(shape),
        "broadcast_to": torch.broadcast_to,
        "permute": torch.permute,
        "total": lambda a, axes: a.sum(axes) if axes else a,
        "arange": torch.arange,
        "eye": lambda n: torch.eye(n, dtype=real),
        "ln_": lambda a: torch.log(scalar(a)),
        "abs_": torch.abs,
        "sigmoid_": torch.sigmoid,
        "softplus_": torch.nn.functional.softplus,
        "relu_": torch.relu,
        "step_": lambda a: (a > 0).to(real),
        "asin_": torch.asin,
        "acos_": torch.acos,
        "atan_": torch.atan,
        "erf_": torch.erf,
        "lgamma_": torch.lgamma,
        "max_": torch.maximum,
        "min_": torch.minimum,
        "pow_": torch.pow,
        "reduce_max": torch.amax,
        "reduce_min": torch.amin,
        "reduce_prod": several(torch.prod),
        "reduce_logsumexp": torch.logsumexp,
        "linalg_inv": torch.linalg.inv,
        "linalg_det": torch.linalg.det,
        "linalg_logdet": lambda a: torch.linalg.slogdet(a)[1],
        "linalg_cholesky": torch.linalg.cholesky,
        "linalg_solve": torch.linalg.solve,
        "loop": loop,
        "inf": math.inf,
        "nan": math.nan,
    }


def array(value: np.ndarray[Any, Any]) -> Any:
    return torch.tensor(value)


def evaluate(function: Function, arguments: Sequence[Any]) -> Callable[[], Any]:
    """A call that keeps no graph."""

    def call() -> Any:
        with torch.no_grad():
            return function(*arguments)

    return call


def derivative(
    kind: str,
    function: Function,
    arguments: Sequence[Any],
    wrt: Sequence[int],
    pairs: Sequence[tuple[int, int]],
    extras: Sequence[Any],
) -> Callable[[], Any]:
    """A call with a derivative of the first result by the arguments numbered ``wrt``: ``extras`` are tangents or a cotangent,
    ``pairs`` the blocks of a Hessian."""
    if kind == "gradient":
        return _gradient(function, arguments, wrt)

    def at(*parts: Any) -> Any:
        given = list(arguments)
        for number, part in zip(wrt, parts, strict=True):
            given[number] = part
        return function(*given)[0]

    points = tuple(arguments[number] for number in wrt)
    every = tuple(range(len(wrt)))

    def jvp() -> Any:
        return tuple(
            torch.func.jvp(lambda part, k=k: at(*points[:k], part, *points[k + 1 :]), (points[k],), (extras[k],))[1] for k in every
        )

    def blocks() -> Any:
        # As torch.func.hessian does, for two different arguments.
        def value(*given: Any) -> Any:
            return function(*given)[0]

        return tuple(torch.func.jacfwd(torch.func.jacrev(value, a), b)(*arguments) for a, b in pairs)

    calls: dict[str, Callable[[], Any]] = {
        "jacobian": lambda: torch.func.jacrev(at, every)(*points),
        "hessian": blocks,
        "jvp": jvp,
        "vjp": lambda: torch.func.vjp(at, *points)[1](extras[0]),
        "hvp": lambda: torch.func.jvp(torch.func.grad(at, every), points, tuple(extras))[1],
    }
    return calls[kind]


def _gradient(function: Function, arguments: Sequence[Any], wrt: Sequence[int]) -> Callable[[], Any]:
    leaves = [arguments[number].requires_grad_() for number in wrt]

    def call() -> Any:
        (value, *_) = function(*arguments)
        return value.detach(), torch.autograd.grad(value, leaves)

    return call


def compiled(function: Function) -> Function:
    """``torch.compile``: it compiles at the first call."""
    return torch.compile(function)  # type: ignore[no-any-return]


def numpy(value: Any) -> np.ndarray[Any, Any]:
    return np.asarray(value.detach().numpy())
