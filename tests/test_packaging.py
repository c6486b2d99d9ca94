"""The wheel works on its own: no checkout, no other packages than those it asks for."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

MODEL = """\
dim N, D
input X : N, D
input y : N
param w : D
J = (1/(2 N)) norm2(X @ w - y)
gradient J wrt w
"""

USE = """\
import sys, pathlib
import numpy as np
import bracketc as bc
assert "site-packages" in bc.__file__, bc.__file__
rng = np.random.default_rng(0)
X, y, w = rng.standard_normal((7, 3)), rng.standard_normal(7), rng.standard_normal(3)
backend = sys.argv[1]
module = bc.compile(bc.load("model.brk"), backend=backend, dtype="float64")
value, gradients = module.value_and_grad(X, y, w)
r = X @ w - y
np.testing.assert_allclose(value, r @ r / 14, rtol=1e-12)
np.testing.assert_allclose(gradients.w, X.T @ r / 7, rtol=1e-12)
print("right", backend)
"""


def run(*command: str | Path, cwd: Path) -> str:
    """Run a command, and show what it said when it fails."""
    around = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run([str(word) for word in command], cwd=cwd, env=around, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A wheel, built from a copy so that the checkout stays as it is; what was compiled there is copied, too."""
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    hidden = shutil.ignore_patterns(".*", "build", "dist", "output", "*.so")
    shutil.copytree(ROOT, source, ignore=hidden)
    pip = (sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation")
    run(*pip, "--wheel-dir", folder, ".", cwd=source)
    (built,) = folder.glob("bracketc-*.whl")
    return built


def test_the_wheel_holds_the_package_the_templates_and_nothing_else(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    tops = {name.split("/")[0] for name in names}
    assert all(top == "bracketc" or top.endswith(".dist-info") for top in tops), tops
    shipped = {name.removeprefix("bracketc/templates/") for name in names if name.startswith("bracketc/templates/")}
    there = [path for path in (ROOT / "templates").rglob("*") if path.is_file() and path.parent.name != "__pycache__"]
    ours = {str(path.relative_to(ROOT / "templates")) for path in there}
    assert shipped == ours
    assert "bracketc/py.typed" in names
    assert any(name.endswith("licenses/LICENSE") for name in names)


def test_an_installed_wheel_compiles_a_model_outside_the_checkout(wheel: Path, tmp_path: Path) -> None:
    home = tmp_path / "empty"
    venv.create(home, with_pip=True)
    python = home / "bin" / "python"
    run(python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", wheel, cwd=tmp_path)
    work = tmp_path / "work"
    work.mkdir()
    (work / "model.brk").write_text(MODEL, encoding="utf-8")
    (work / "use.py").write_text(USE, encoding="utf-8")
    backends = ["numpy"] + (["c"] if any(map(shutil.which, ("cc", "gcc", "clang"))) else [])
    for backend in backends:
        assert run(python, "use.py", backend, cwd=work) == f"right {backend}\n"
        run(home / "bin" / "bracketc", "build", "model.brk", "-o", f"out/{backend}", "--backend", backend, cwd=work)
        assert (work / "out" / backend / "model.py").exists()
