"""Templates are compiled once for all processes; whatever is wrong with what was kept, the text is the same."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import jinja2
import pytest

import bracketc as bc
from bracketc.emit import resources
from bracketc.options import make_options
from bracketc.runtime.cache import TEMPLATES, cache_entries, clear_cache, template_folder

TEMPLATE = "numpy/helpers/digamma.py.j2"


@pytest.fixture(autouse=True)
def kept_as_before() -> Iterator[None]:
    before = resources._COMPILED.folder
    yield
    resources.keep_compiled(before)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
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
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700 and stat.S_IMODE(file.stat().st_mode) == 0o600
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


def test_another_text_is_another_file(folder: Path) -> None:
    for content in ("one", "two {{ 1 + 1 }}", "one"):
        loader = jinja2.DictLoader({TEMPLATE: content})
        environment = resources.environment.__wrapped__()
        environment.loader = loader
        assert environment.get_template(TEMPLATE).render() == content.replace("{{ 1 + 1 }}", "2")
    assert len(list(folder.iterdir())) == 2


def test_where_nothing_can_be_written_everything_is_compiled(tmp_path: Path) -> None:
    wanted = text()
    (tmp_path / "file").write_text("not a folder")
    resources.keep_compiled(tmp_path / "file")
    assert text() == wanted
    resources.keep_compiled(tmp_path / "missing" / TEMPLATES)
    assert text() == wanted
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_many_write_at_the_same_time(folder: Path) -> None:
    wanted = resources.render(TEMPLATE)
    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(lambda _: text(), range(64))) == {wanted}
    assert len(list(folder.iterdir())) == 1


def test_templates_are_kept_beside_builds_and_go_with_them(tmp_path: Path) -> None:
    resources.environment.cache_clear()
    options = make_options({"backend": "numpy", "cache_dir": str(tmp_path / "cache")})
    bc.compile("dim N\ninput x : N\ny = 2 x", backend="numpy", cache_dir=str(tmp_path / "cache"))
    assert list((tmp_path / "cache" / TEMPLATES).iterdir())
    assert stat.S_IMODE((tmp_path / "cache").stat().st_mode) == 0o700
    assert cache_entries(options) == () and clear_cache(options) == 0
    assert not (tmp_path / "cache" / TEMPLATES).exists()


def test_a_folder_that_cannot_be_made_is_no_reason_to_fail(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    options = make_options({"backend": "numpy", "cache_dir": str(tmp_path / "file" / "cache")})
    assert template_folder(options) is None
    module = bc.compile("dim N\ninput x : N\nz = 3 x", backend="numpy", cache_dir=str(tmp_path / "file" / "cache"))
    assert module.evaluate([1.0]).z[0] == 3.0
