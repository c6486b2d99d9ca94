"""The same source and the same compiler give the same bytes: in any folder, under any locale, encoding, time zone and hash seed."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path

import pytest
from modelcases import ROOT, needs_compiler

BUILD = """\
import locale, sys
from pathlib import Path
import bracketc as bc
try:
    locale.setlocale(locale.LC_ALL, "")
except locale.Error:
    pass
for model in sys.argv[2:]:
    for backend, dtype in (("numpy", "float64"), ("c", "float32")):
        bc.build(bc.load(model), Path(sys.argv[1]) / backend, backend=backend, dtype=dtype, cflags=FLAGS, threads=2)
"""
MODEL = ROOT / "models" / "logistic.brk"
PLACE = "Ordner mit Ümläuten, ığİ und 中文"

AROUND: dict[str, dict[str, str]] = {
    "C": {"LC_ALL": "C", "PYTHONHASHSEED": "1"},
    "C without UTF-8": {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "PYTHONHASHSEED": "2"},
    "Latin-1": {"PYTHONIOENCODING": "latin-1", "PYTHONUTF8": "0", "LC_ALL": "POSIX", "PYTHONCOERCECLOCALE": "0"},
    "Turkish": {"LC_ALL": "tr_TR.UTF-8", "LANG": "tr_TR.UTF-8", "LANGUAGE": "tr", "TZ": "Asia/Istanbul"},
    "German": {"LC_ALL": "de_DE.UTF-8", "LANG": "de_DE.UTF-8", "LC_NUMERIC": "de_DE.UTF-8", "TZ": "Pacific/Auckland"},
    "another year": {"SOURCE_DATE_EPOCH": "1", "COLUMNS": "20", "NO_COLOR": "", "PYTHONOPTIMIZE": "1"},
}


def built(folder: Path, models: list[Path], around: Mapping[str, str], flags: tuple[str, ...] = ("-O1",)) -> dict[str, str]:
    """Digests of every file that a process of its own builds in ``folder``."""
    folder.mkdir(parents=True)
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "BRACKETC_CACHE_DIR": str(folder.parent / "cache"), **around}
    command = [sys.executable, "-B", "-c", BUILD.replace("FLAGS", repr(flags)), str(folder), *map(str, models)]
    done = subprocess.run(command, env=environment, cwd=folder, capture_output=True, text=True, check=False, errors="replace")
    assert done.returncode == 0, done.stderr
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): sha256(path.read_bytes()).hexdigest() for path in files}


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    return built(tmp_path_factory.mktemp("first") / "out", [MODEL], {"PYTHONHASHSEED": "0"})


def elsewhere(model: Path, folder: Path, around: str) -> dict[str, str]:
    """Digests of what another user builds from a copy of a model in another folder."""
    place = folder / PLACE / "source"
    place.mkdir(parents=True)
    copy = place / model.name
    copy.write_bytes(model.read_bytes())
    return built(place.parent / "out", [copy], AROUND[around])


@needs_compiler
@pytest.mark.parametrize("around", ["C without UTF-8", "Turkish"])
def test_the_same_text_and_the_same_binary(around: str, first: dict[str, str], tmp_path: Path) -> None:
    again = elsewhere(MODEL, tmp_path, around)
    assert [name for name in first if again.get(name) != first[name]] == [] and len(again) == len(first)
    assert any(name.endswith(".so") for name in first)


@needs_compiler
def test_debugging_information_has_no_folder_either(tmp_path: Path) -> None:
    once, again = (built(tmp_path / place / "out", [MODEL], {}, ("-O0", "-g")) for place in ("one", "another place"))
    assert once == again
