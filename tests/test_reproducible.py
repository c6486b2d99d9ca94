"""The same source and the same compiler give the same bytes: in any folder, under any locale, encoding, time zone and hash seed."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from functools import cache
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
    sys.exit(NO_LOCALE)
for model in sys.argv[2:]:
    for backend, dtype in (("numpy", "float64"), ("c", "float32")):
        bc.build(bc.load(model), Path(sys.argv[1]) / backend, backend=backend, dtype=dtype, cflags=FLAGS, threads=2)
"""
MODEL = ROOT / "models" / "logistic.brk"
PLACE = "Ordner mit Ümläuten, ığİ und 中文"

NO_LOCALE = 77
"""Status of a process whose locale is not on this machine."""


class Unavailable(Exception):
    """What this machine does not have."""


LOCALES = {"Turkish": "tr_TR", "German": "de_DE"}
"""Of the users below; made here where the machine does not have them."""

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
    text = BUILD.replace("FLAGS", repr(flags)).replace("NO_LOCALE", str(NO_LOCALE))
    command = [sys.executable, "-B", "-c", text, str(folder), *map(str, models)]
    done = subprocess.run(command, env=environment, cwd=folder, capture_output=True, text=True, check=False, errors="replace")
    if done.returncode == NO_LOCALE:
        raise Unavailable(f"no locale {around['LC_ALL']}, and no localedef to make it")
    assert done.returncode == 0, done.stderr
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): sha256(path.read_bytes()).hexdigest() for path in files}


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    return built(tmp_path_factory.mktemp("first") / "out", [MODEL], {"PYTHONHASHSEED": "0"})


@cache
def _locales() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory()


@cache
def own_locale(name: str) -> dict[str, str]:
    """Where a locale lies that `localedef` makes of the definitions of the machine; nothing where it cannot."""
    maker = shutil.which("localedef")
    if maker is not None:
        command = (maker, "--no-archive", "-i", name, "-f", "UTF-8", f"{_locales().name}/{name}.UTF-8")
        subprocess.run(command, capture_output=True, check=False)  # warnings have a status, too
    return {"LOCPATH": _locales().name} if Path(_locales().name, f"{name}.UTF-8").is_dir() else {}


def elsewhere(model: Path, folder: Path, around: str) -> dict[str, str]:
    """Digests of what another user builds from a copy of a model in another folder."""
    place = folder / PLACE / "source"
    place.mkdir(parents=True)
    copy = place / model.name
    copy.write_bytes(model.read_bytes())
    locale = own_locale(LOCALES[around]) if around in LOCALES else {}
    return built(place.parent / "out", [copy], AROUND[around] | locale)


@needs_compiler
@pytest.mark.parametrize("around", ["C without UTF-8", "Turkish"])
def test_the_same_text_and_the_same_binary(around: str, first: dict[str, str], tmp_path: Path) -> None:
    try:
        again = elsewhere(MODEL, tmp_path, around)
    except Unavailable as reason:
        pytest.skip(str(reason))
    assert [name for name in first if again.get(name) != first[name]] == [] and len(again) == len(first)
    assert any(name.endswith(".so") for name in first)


@pytest.mark.parametrize("around", LOCALES)
def test_locales_are_those_that_they_are_named_after(around: str) -> None:
    """Letters and numbers are written as there, so that a build under them says something."""
    code = "import locale; locale.setlocale(locale.LC_ALL, ''); print(locale.localeconv()['decimal_point'])"
    given = os.environ | AROUND[around] | own_locale(LOCALES[around])
    done = subprocess.run([sys.executable, "-c", code], env=given, capture_output=True, text=True, check=False)
    if "unsupported locale" in done.stderr:
        pytest.skip(f"no locale {AROUND[around]['LC_ALL']}, and no localedef to make it")
    assert done.stdout == ",\n", done.stderr


@needs_compiler
def test_debugging_information_has_no_folder_either(tmp_path: Path) -> None:
    once, again = (built(tmp_path / place / "out", [MODEL], {}, ("-O0", "-g")) for place in ("one", "another place"))
    assert once == again
