"""What a peer's text needs of JAX."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy import special


def setup(dtype: str) -> None:
    """Numbers of 64 bits are off by default."""
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


def evaluate(function: Callable[..., Any], arguments: list[Any]) -> Callable[[], Any]:
    """A compiled call, which waits for its result."""
    compiled = jax.jit(function)
    return lambda: _finished(compiled(*arguments))


def value_and_grad(function: Callable[..., Any], arguments: list[Any], wrt: list[int]) -> Callable[[], Any]:
    """The same with gradients by the arguments numbered ``wrt``."""
    compiled = jax.jit(jax.value_and_grad(lambda *given: function(*given)[0], argnums=tuple(wrt)))
    return lambda: _finished(compiled(*arguments))


def _finished(result: Any) -> Any:
    """JAX answers before it has computed."""
    return jax.block_until_ready(result)


def numpy(value: Any) -> np.ndarray[Any, Any]:
    return np.asarray(value)
