"""Templates are compiled once for all processes; whatever is wrong with what was kept, the text is the same."""

from __future__ import annotations

import marshal
import os
import shutil
import stat
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import jinja2
import pytest

from bracketc.emit import resources
from bracketc.options import read_options
from bracketc.runtime.cache import TEMPLATES, cache_entries, clear_cache, template_folder

TEMPLATE = "numpy/helpers/digamma.py.j2"


@pytest.fixture(autouse=True)
def templates(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A copy of the template without what was compiled of it, in a process that may keep byte code."""
    before = resources._COMPILED.folder
    resources.keep_compiled(None)
    place = tmp_path / "program"
    (place / TEMPLATE).parent.mkdir(parents=True)
    shutil.copy(resources.template_directory() / TEMPLATE, place / TEMPLATE)
    monkeypatch.setattr(resources, "template_directory", lambda: place)
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    monkeypatch.setattr(sys, "pycache_prefix", None)
    yield place
    resources.keep_compiled(before)


@pytest.fixture
def beside(templates: Path) -> Path:
    return (templates / TEMPLATE).parent / "__pycache__"


@pytest.fixture(params=["beside", "apart"])
def folder(request: pytest.FixtureRequest, tmp_path: Path, beside: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Each of the two places where templates are kept."""
    if request.param == "beside":
        return beside
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    resources.keep_compiled(tmp_path / TEMPLATES)
    return tmp_path / TEMPLATES


def text() -> str:
    """The text of a template in a process that has not used it yet."""
    return resources.environment.__wrapped__().get_template(TEMPLATE).render()


def refuse(*_: object, **__: object) -> Any:
    raise AssertionError("compiled again")


def test_what_was_compiled_is_read(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = text()
    (file,) = folder.iterdir()
    private = folder.name == TEMPLATES
    assert stat.S_IMODE(folder.stat().st_mode) & (0o077 if private else 0o022) == 0
    assert stat.S_IMODE(file.stat().st_mode) == (0o600 if private else 0o644)
    monkeypatch.setattr(jinja2.Environment, "compile", refuse)
    assert text() == first


DAMAGES = [lambda b: b"", lambda b: b[:40], lambda b: b[:-1], lambda b: b[:50] + b"\xff" + b[51:], lambda b: b * 2]


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_file_is_made_again(folder: Path, damage: Any) -> None:
    first = text()
    (file,) = folder.iterdir()
    whole = file.read_bytes()
    file.write_bytes(damage(whole))
    assert text() == first
    assert file.read_bytes() == whole


def test_another_text_is_compiled_anew(templates: Path, folder: Path) -> None:
    for content in ("one", "two {{ 1 + 1 }}", "one"):
        (templates / TEMPLATE).write_text(content)
        assert text() == content.replace("{{ 1 + 1 }}", "2")
    assert len(list(folder.iterdir())) == (2 if folder.name == TEMPLATES else 1)


@pytest.mark.parametrize("what", ["version", "magic", "settings"])
def test_another_interpreter_or_library_compiles_anew(folder: Path, what: str, monkeypatch: pytest.MonkeyPatch) -> None:
    text()
    if what == "version":
        monkeypatch.setattr(jinja2, "__version__", "9.9")
    elif what == "magic":
        monkeypatch.setattr(resources, "MAGIC_NUMBER", b"other")
    else:
        monkeypatch.setattr(resources, "_SETTINGS", {"trim_blocks": False})
    monkeypatch.setattr(jinja2.Environment, "compile", refuse)
    with pytest.raises(AssertionError, match="compiled again"):
        text()


def test_templates_lie_where_python_keeps_byte_code(beside: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text()
    assert [path.name for path in beside.iterdir()] == [f"digamma.py.{sys.implementation.cache_tag}.pyc"]
    monkeypatch.setattr(sys, "pycache_prefix", str(tmp_path / "prefix"))
    text()
    assert len([path for path in (tmp_path / "prefix").rglob("*") if path.is_file()]) == 1


def test_templates_of_no_file_leave_nothing_anywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    environment = resources.environment.__wrapped__()
    environment.loader = jinja2.DictLoader({TEMPLATE: "one"})
    assert environment.get_template(TEMPLATE).render() == "one"
    assert not list(tmp_path.rglob("__pycache__"))


@pytest.mark.skipif(not hasattr(os, "getuid"), reason="no owners of files")
@pytest.mark.parametrize("loose", ["folder", "file", "owner"])
def test_what_others_could_have_written_is_not_run(folder: Path, loose: str, monkeypatch: pytest.MonkeyPatch) -> None:
    first = text()
    (file,) = folder.iterdir()
    if loose == "owner":
        monkeypatch.setattr(resources, "_owners", lambda: (os.getuid() + 1,))
    else:
        place = folder if loose == "folder" else file
        place.chmod(place.stat().st_mode | 0o020)
    monkeypatch.setattr(marshal, "loads", refuse)
    assert text() == first


def test_where_nothing_can_be_written_everything_is_compiled(tmp_path: Path, templates: Path, beside: Path) -> None:
    wanted = text()
    shutil.rmtree(beside)
    beside.write_text("not a folder")
    (tmp_path / "file").write_text("not a folder")
    resources.keep_compiled(tmp_path / "file")
    assert text() == wanted
    resources.keep_compiled(tmp_path / "missing" / TEMPLATES)
    assert text() == wanted
    assert {path.name for path in tmp_path.iterdir()} == {"file", templates.name} and beside.is_file()


def test_many_write_at_the_same_time(folder: Path) -> None:
    wanted = text()
    shutil.rmtree(folder)
    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(lambda _: text(), range(64))) == {wanted}
    assert len(list(folder.iterdir())) == 1


def test_where_nothing_can_be_written_beside_them_they_are_the_users(
    beside: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever folder a build has for itself."""
    beside.write_text("not a folder")
    users, own = tmp_path / "users", tmp_path / "own"
    monkeypatch.setenv("BRACKETC_CACHE_DIR", str(users))
    resources.keep_compiled(template_folder())
    first = text()
    assert len(list((users / TEMPLATES).iterdir())) == 1 and stat.S_IMODE(users.stat().st_mode) == 0o700
    monkeypatch.setattr(jinja2.Environment, "compile", refuse)
    assert text() == first
    options = read_options({"cache_dir": str(own)})
    assert options.cache_dir == own and template_folder() == users / TEMPLATES
    assert cache_entries(read_options({})) == () and clear_cache(read_options({})) == 0
    assert not (users / TEMPLATES).exists()


def test_a_folder_that_cannot_be_made_is_no_reason_to_fail(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("not a folder")
    monkeypatch.setenv("BRACKETC_CACHE_DIR", str(tmp_path / "file" / "cache"))
    assert template_folder() is None
