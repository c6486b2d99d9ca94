"""Minimise two models with SciPy: one line from a compiled module to ``scipy.optimize.minimize``.

    python examples/optimise/run.py [--backend c|numpy]
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from scipy.optimize import minimize

import bracketc as bc

FOLDER = Path(__file__).resolve().parent


def logistic(backend: str) -> Iterator[tuple[str, Any]]:
    """Logistic regression on two overlapping clouds of points: by gradients, by Hessians, by products with them."""
    module: Any = bc.compile(bc.load(FOLDER / "logistic.brk"), backend=backend)
    rng = np.random.default_rng(0)
    y = rng.integers(0, 2, size=400).astype(float)
    X = rng.normal(size=(400, 8)) + np.outer(y, rng.normal(size=8))
    problem = module.scipy(X=X, y=y, w=np.zeros(8))
    yield "BFGS", minimize(**problem, method="BFGS")
    yield "trust-exact", minimize(**problem, hess=problem.hess, method="trust-exact")
    yield "trust-ncg", minimize(**problem, hessp=problem.hessp, method="trust-ncg")
    yield "Newton-CG", minimize(**problem, hessp=problem.hessp, method="Newton-CG", options={"xtol": 1e-10})


def process(backend: str) -> Iterator[tuple[str, Any]]:
    """Hyperparameters of a Gaussian process from noisy values of a sine: one flat vector for several arguments."""
    module: Any = bc.compile(bc.load(FOLDER / "process.brk"), backend=backend)
    rng = np.random.default_rng(1)
    x = np.sort(rng.uniform(0, 6, size=60))
    y = np.sin(x) + 0.2 * rng.normal(size=60)
    problem = module.scipy(x=x, y=y, l=0.0, e=-1.0)
    yield "BFGS", minimize(**problem, method="BFGS")
    yield "trust-exact", minimize(**problem, hess=problem.hess, method="trust-exact")
    yield "trust-ncg", minimize(**problem, hessp=problem.hessp, method="trust-ncg")
    yield "BFGS, noise alone", minimize(**module.scipy("e", x=x, y=y, l=0.0, e=-1.0), method="BFGS")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--backend", choices=("c", "numpy"), default="c")
    backend = parser.parse_args().backend
    for model in (logistic, process):
        print(f"{model.__name__}.brk")
        for method, found in model(backend):
            slope = np.abs(found.jac).max()
            print(f"  {method:18} J = {found.fun:.10f}   |gradient| = {slope:.1e}   {found.nit} iterations, {found.nfev} values")


if __name__ == "__main__":
    main()
