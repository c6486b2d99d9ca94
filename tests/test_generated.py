"""generated/ holds what the compiler writes for models/, byte for byte.

    make goldens      (pytest --update-golden) rewrites it; review the diff
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
MODELS = sorted((ROOT / "models").glob("*.brk"))
BACKENDS = ("c", "numpy")
TEXT = {".py", ".pyi", ".c", ".h"}

EMIT = """\
import sys
import bracketc as bc
model, folder, backend = sys.argv[1:]
bc.build(bc.load(model), folder, backend=backend, dtype="float32", compile=False)
"""


def emit(model: Path, folder: Path, backend: str, seed: str = "0") -> dict[str, str]:
    """Texts that the compiler writes for a model, by file name, from a process with the given hash seed."""
    command = [sys.executable, "-c", EMIT, str(model), str(folder), backend]
    environment = os.environ | {"PYTHONHASHSEED": seed}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return read(folder)


def read(folder: Path, stem: str = "*") -> dict[str, str]:
    """Texts of a folder by file name, of one model or of all."""
    files = [path for path in sorted(folder.glob(f"{stem}.*")) if path.suffix in TEXT]
    return {path.name: path.read_text(encoding="utf-8") for path in files}


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("model", MODELS, ids=lambda path: path.stem)
def test_the_committed_text_is_what_the_compiler_writes(
    model: Path, backend: str, tmp_path: Path, update_golden: bool
) -> None:
    golden = ROOT / "generated" / backend
    written = emit(model, tmp_path, backend)
    assert {Path(name).stem for name in written} == {model.stem}
    if update_golden:
        golden.mkdir(parents=True, exist_ok=True)
        for name in read(golden, model.stem).keys() - written.keys():
            (golden / name).unlink()
        for name, text in written.items():
            (golden / name).write_text(text, encoding="utf-8")
    committed = read(golden, model.stem)
    assert sorted(written) == sorted(committed), "run make goldens"
    for name, text in committed.items():
        assert written[name] == text, f"{name}: run make goldens, review the diff"


def test_no_text_is_left_of_models_that_are_gone() -> None:
    for backend in BACKENDS:
        assert {Path(name).stem for name in read(ROOT / "generated" / backend)} == {path.stem for path in MODELS}


@pytest.mark.parametrize("model", MODELS, ids=lambda path: path.stem)
def test_an_unbuilt_module_names_the_command_that_builds_it(model: Path, tmp_path: Path) -> None:
    for name, text in read(ROOT / "generated" / "c", model.stem).items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    command = [sys.executable, "-c", f"import {model.stem}"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith(f"ImportError: {model.stem} is not built")
    assert f"bracketc build {model.name} --backend c --dtype float32 -o" in last


@pytest.mark.parametrize("model", MODELS, ids=lambda path: path.stem)
def test_the_committed_numpy_module_imports_as_it_is(model: Path) -> None:
    code = f"import sys, {model.stem}; assert 'bracketc' not in sys.modules"
    folder = ROOT / "generated" / "numpy"
    command = [sys.executable, "-B", "-c", code]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("backend", BACKENDS)
def test_the_text_does_not_depend_on_the_hash_seed(backend: str, tmp_path: Path) -> None:
    model = ROOT / "models" / "recurrent.brk"
    texts = [emit(model, tmp_path / seed, backend, seed) for seed in ("1", "2")]
    assert texts[0] == texts[1]


@pytest.mark.parametrize("backend", BACKENDS)
def test_nothing_in_the_text_tells_the_machine_or_the_time(backend: str) -> None:
    for path in (ROOT / "generated" / backend).rglob("*"):
        if path.suffix in TEXT:
            text = path.read_text(encoding="utf-8")
            assert str(ROOT) not in text and "/tmp" not in text and "/home/" not in text, path
