"""What a peer's text needs of JAX."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy import special

Function = Callable[..., Any]


def setup(dtype: str, threads: int) -> None:
    """Numbers of 64 bits are off by default; the threads are those of the process."""
    if dtype == "float64":
        jax.config.update("jax_enable_x64", True)


def helpers(dtype: str) -> dict[str, Any]:
    """The names that the text uses."""

    def loop(
        step: Callable[..., Any], length: int, carries: Any, xs: Any, consts: Any, reverse: bool
    ) -> tuple[Any, ...]:
        count = len(carries)

        def body(state: Any, slices: Any) -> Any:
            results = step(*state, *(slices or ()), *consts)
            return tuple(results[:count]), tuple(results[count:])

        final, stacks = jax.lax.scan(body, tuple(carries), tuple(xs) or None, length=length, reverse=reverse)
        return (*final, *stacks)

    return {
        "xp": jnp,
        "full": lambda shape, value: jnp.full(shape, value, dtype),
        "broadcast_to": jnp.broadcast_to,
        "permute": jnp.transpose,
        "total": lambda a, axes: jnp.sum(a, axis=axes),
        "arange": jnp.arange,
        "eye": lambda n: jnp.eye(n, dtype=dtype),
        "ln_": jnp.log,
        "abs_": jnp.abs,
        "sigmoid_": jax.nn.sigmoid,
        "softplus_": jax.nn.softplus,
        "relu_": jax.nn.relu,
        "step_": lambda a: jnp.where(a > 0, 1.0, 0.0).astype(dtype),
        "asin_": jnp.arcsin,
        "acos_": jnp.arccos,
        "atan_": jnp.arctan,
        "erf_": special.erf,
        "lgamma_": special.gammaln,
        "max_": jnp.maximum,
        "min_": jnp.minimum,
        "pow_": jnp.power,
        "reduce_max": lambda a, axes: jnp.max(a, axis=axes),
        "reduce_min": lambda a, axes: jnp.min(a, axis=axes),
        "reduce_prod": lambda a, axes: jnp.prod(a, axis=axes),
        "reduce_logsumexp": lambda a, axes: special.logsumexp(a, axis=axes),
        "linalg_inv": jnp.linalg.inv,
        "linalg_det": jnp.linalg.det,
        "linalg_logdet": lambda a: jnp.linalg.slogdet(a)[1],
        "linalg_cholesky": jnp.linalg.cholesky,
        "linalg_solve": jnp.linalg.solve,
        "loop": loop,
        "inf": math.inf,
        "nan": math.nan,
    }


def array(value: np.ndarray[Any, Any]) -> Any:
    return jnp.asarray(value)


def evaluate(function: Function, arguments: Sequence[Any]) -> Callable[[], Any]:
    """A compiled call, which waits for its result."""
    compiled = jax.jit(function)
    return lambda: _finished(compiled(*arguments))


def derivative(
    kind: str,
    function: Function,
    arguments: Sequence[Any],
    wrt: Sequence[int],
    pairs: Sequence[tuple[int, int]],
    extras: Sequence[Any],
) -> Callable[[], Any]:
    """The same of a derivative of the first result by the arguments numbered ``wrt``: ``extras`` are tangents or a cotangent,
    ``pairs`` the blocks of a Hessian."""
    chosen = tuple(wrt)

    def value(*given: Any) -> Any:
        return function(*given)[0]

    def at(*parts: Any) -> Any:
        given = list(arguments)
        for number, part in zip(chosen, parts, strict=True):
            given[number] = part
        return value(*given)

    points = tuple(arguments[number] for number in chosen)
    every = tuple(range(len(chosen)))
    calls: dict[str, Callable[..., Any]] = {
        "jacobian": lambda parts, _: jax.jacrev(at, every)(*parts),
        "jvp": lambda parts, given: tuple(
            jax.jvp(lambda part, k=k: at(*parts[:k], part, *parts[k + 1 :]), (parts[k],), (given[k],))[1] for k in every
        ),
        "vjp": lambda parts, given: jax.vjp(at, *parts)[1](given[0]),
        "hvp": lambda parts, given: jax.jvp(jax.grad(at, every), parts, tuple(given))[1],
    }
    if kind == "gradient":
        compiled = jax.jit(jax.value_and_grad(value, argnums=chosen))
        return lambda: _finished(compiled(*arguments))
    if kind == "hessian":
        blocks = jax.jit(lambda *given: tuple(jax.jacfwd(jax.grad(value, a), b)(*given) for a, b in pairs))
        return lambda: _finished(blocks(*arguments))
    step = jax.jit(calls[kind])
    return lambda: _finished(step(points, tuple(extras)))


def _finished(result: Any) -> Any:
    """JAX answers before it has computed."""
    return jax.block_until_ready(result)


def numpy(value: Any) -> np.ndarray[Any, Any]:
    return np.asarray(value)
