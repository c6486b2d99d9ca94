"""generated/ holds what the compiler writes for models/, byte for byte.

    pytest tests/test_generated.py --update-golden      rewrites it; review the diff
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


def read(folder: Path) -> dict[str, str]:
    """Texts of a folder by file name."""
    return {path.name: path.read_text(encoding="utf-8") for path in sorted(folder.glob("*")) if path.suffix in TEXT}


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("model", MODELS, ids=lambda path: path.stem)
def test_the_committed_text_is_what_the_compiler_writes(
    model: Path, backend: str, tmp_path: Path, update_golden: bool
) -> None:
    golden = ROOT / "generated" / backend / model.stem
    written = emit(model, tmp_path, backend)
    assert written
    if update_golden:
        golden.mkdir(parents=True, exist_ok=True)
        for old in golden.glob("*"):
            if old.suffix in TEXT and old.name not in written:
                old.unlink()
        for name, text in written.items():
            (golden / name).write_text(text, encoding="utf-8")
    assert sorted(written) == sorted(read(golden)), "run pytest tests/test_generated.py --update-golden"
    for name, text in read(golden).items():
        assert written[name] == text, f"{name}: run pytest tests/test_generated.py --update-golden, review the diff"


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
