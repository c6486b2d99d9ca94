from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

SIGNATURE: dict[str, Any]

class ArgumentError(ValueError): ...

class Outputs(NamedTuple):
    J: np.float32

class Gradients(NamedTuple):
    g: NDArray[np.float32]
    s: NDArray[np.float32]
    W1: NDArray[np.float32]
    b1: NDArray[np.float32]
    W2: NDArray[np.float32]
    b2: NDArray[np.float32]

class ValueAndGradients(NamedTuple):
    value: np.float32
    gradients: Gradients

class Residuals: ...

class _evaluate(Protocol):
    def __call__(
        self,
        X: ArrayLike,
        Y: ArrayLike,
        g: ArrayLike,
        s: ArrayLike,
        W1: ArrayLike,
        b1: ArrayLike,
        W2: ArrayLike,
        b2: ArrayLike,
        *,
        out: tuple[Any, ...] | list[Any] | Mapping[str, Any] | NDArray[Any] | None = None,
        strict: bool = False,
    ) -> Outputs: ...
    def bind(
        self,
        X: ArrayLike,
        Y: ArrayLike,
        g: ArrayLike,
        s: ArrayLike,
        W1: ArrayLike,
        b1: ArrayLike,
        W2: ArrayLike,
        b2: ArrayLike,
        *,
        out: tuple[Any, ...] | list[Any] | Mapping[str, Any] | NDArray[Any] | None = None,
        strict: bool = False,
    ) -> Callable[[], Outputs]: ...

class _forward(Protocol):
    def __call__(
        self,
        X: ArrayLike,
        Y: ArrayLike,
        g: ArrayLike,
        s: ArrayLike,
        W1: ArrayLike,
        b1: ArrayLike,
        W2: ArrayLike,
        b2: ArrayLike,
        *,
        out: tuple[Any, ...] | list[Any] | Mapping[str, Any] | NDArray[Any] | None = None,
        strict: bool = False,
    ) -> tuple[Outputs, Residuals]: ...
    def bind(
        self,
        X: ArrayLike,
        Y: ArrayLike,
        g: ArrayLike,
        s: ArrayLike,
        W1: ArrayLike,
        b1: ArrayLike,
        W2: ArrayLike,
        b2: ArrayLike,
        *,
        out: tuple[Any, ...] | list[Any] | Mapping[str, Any] | NDArray[Any] | None = None,
        strict: bool = False,
    ) -> Callable[[], tuple[Outputs, Residuals]]: ...

class _backward(Protocol):
    def __call__(
        self,
        residuals: Residuals,
        J: ArrayLike | None = None,
        *,
        out: tuple[Any, ...] | list[Any] | Mapping[str, Any] | NDArray[Any] | None = None,
        strict: bool = False,
    ) -> Gradients: ...
    def bind(
        self,
        residuals: Residuals,
        J: ArrayLike | None = None,
        *,
        out: tuple[Any, ...] | list[Any] | Mapping[str, Any] | NDArray[Any] | None = None,
        strict: bool = False,
    ) -> Callable[[], Gradients]: ...

class _value_and_grad(Protocol):
    def __call__(
        self,
        X: ArrayLike,
        Y: ArrayLike,
        g: ArrayLike,
        s: ArrayLike,
        W1: ArrayLike,
        b1: ArrayLike,
        W2: ArrayLike,
        b2: ArrayLike,
        *,
        out: tuple[Any, ...] | list[Any] | Mapping[str, Any] | NDArray[Any] | None = None,
        strict: bool = False,
    ) -> ValueAndGradients: ...
    def bind(
        self,
        X: ArrayLike,
        Y: ArrayLike,
        g: ArrayLike,
        s: ArrayLike,
        W1: ArrayLike,
        b1: ArrayLike,
        W2: ArrayLike,
        b2: ArrayLike,
        *,
        out: tuple[Any, ...] | list[Any] | Mapping[str, Any] | NDArray[Any] | None = None,
        strict: bool = False,
    ) -> Callable[[], ValueAndGradients]: ...

evaluate: _evaluate
forward: _forward
backward: _backward
value_and_grad: _value_and_grad

class ScipyProblem(Mapping[str, Any]):
    names: tuple[str, ...]
    x0: NDArray[np.float64]
    def __getitem__(self, key: str) -> Any: ...
    def __iter__(self) -> Iterator[str]: ...
    def __len__(self) -> int: ...
    def unpack(self, x: ArrayLike) -> dict[str, NDArray[Any]]: ...
    def fun(self, x: NDArray[np.float64]) -> float: ...
    def jac(self, x: NDArray[np.float64]) -> NDArray[np.float64]: ...
    @property
    def hess(self) -> Callable[[NDArray[np.float64]], NDArray[np.float64]]: ...
    @property
    def hessp(self) -> Callable[[NDArray[np.float64], NDArray[np.float64]], NDArray[np.float64]]: ...

def scipy(*names: str, **arrays: ArrayLike) -> ScipyProblem: ...
