"""Where the templates lie, and the one environment that renders them."""

from __future__ import annotations

import marshal
import os
import sys
import tempfile
from collections.abc import Mapping
from functools import cache
from hashlib import sha256
from importlib.util import MAGIC_NUMBER, cache_from_source
from pathlib import Path
from typing import Any

import jinja2
from jinja2.bccache import Bucket

SHARED, PRIVATE = 0o755, 0o700
"""Permissions of folders with compiled templates: beside the templates, which others may read, and elsewhere."""


@cache
def template_directory() -> Path:
    """``bracketc/templates`` in an installed wheel, ``templates`` beside the package in a checkout."""
    package = Path(__file__).resolve().parent.parent
    inside = package / "templates"
    return inside if inside.is_dir() else package.parent / "templates"


def _is_page(template: str | None) -> bool:
    return template is not None and template.endswith(".html.j2")


class CompiledTemplates(jinja2.BytecodeCache):
    """Templates as earlier processes have compiled them: beside the templates, in the folder and under the name that Python would
    give their byte code, and where nothing can be written there, or Python is told to keep none, in ``folder``.

    A file begins with the digest of all that it depends on and of its content, so that a damaged or outdated one is compiled again;
    where none can be written, each process compiles for itself. What is read runs: only files are read that
    nobody can have written but us and the owner of the templates.
    """

    def __init__(self) -> None:
        self.folder: Path | None = None

    def get_cache_key(self, name: str, filename: str | None = None) -> str:
        return filename or name  # which code names in its tracebacks

    def get_source_checksum(self, source: str) -> str:
        made_for = (MAGIC_NUMBER, jinja2.__version__, sorted(_SETTINGS.items()))
        return sha256(f"{made_for}\n{source}".encode()).hexdigest()

    def load_bytecode(self, bucket: Bucket) -> None:
        for path in filter(None, (_beside(bucket), _apart(bucket, self.folder))):
            try:
                content = _read(path)
            except OSError:  # nothing there, or not for us
                continue
            code = content[64:]
            if content[:64] == _made_of(bucket) + sha256(code).digest():
                bucket.code = marshal.loads(code)
                return

    def dump_bytecode(self, bucket: Bucket) -> None:
        assert bucket.code is not None
        code = marshal.dumps(bucket.code)
        content = _made_of(bucket) + sha256(code).digest() + code
        beside = None if sys.dont_write_bytecode else _beside(bucket)
        for path, mode in ((beside, SHARED), (_apart(bucket, self.folder), PRIVATE)):
            if path is not None:
                try:
                    return _write(path, content, mode)
                except OSError:  # a folder of somebody else, a full disk: the next place, or the next process compiles again
                    continue


def _made_of(bucket: Bucket) -> bytes:
    return sha256(f"{bucket.key}\n{bucket.checksum}".encode()).digest()


def _beside(bucket: Bucket) -> Path | None:
    """Where Python would keep the byte code of a module in the place of the template."""
    if not Path(bucket.key).is_relative_to(template_directory()):
        return None
    try:
        return Path(cache_from_source(bucket.key))
    except NotImplementedError:  # an interpreter that keeps none
        return None


def _apart(bucket: Bucket, folder: Path | None) -> Path | None:
    return None if folder is None else folder / _made_of(bucket).hex()[:32]


def _owners() -> tuple[int, ...]:
    """Whose files are run: ours, and those of the owner of the templates, which are run as well."""
    return (os.getuid(), template_directory().stat().st_uid)


def _read(path: Path) -> bytes:
    with path.open("rb") as file:
        if hasattr(os, "getuid"):
            for found in (os.fstat(file.fileno()), path.parent.stat()):
                if found.st_uid not in _owners() or found.st_mode & 0o022:
                    raise PermissionError(f"others can write {path}")
        return file.read()


def _write(path: Path, content: bytes, mode: int) -> None:
    """The whole file or nothing, whoever else writes it now."""
    path.parent.mkdir(mode=mode, parents=sys.pycache_prefix is not None, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        os.chmod(temporary, mode & 0o666)
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise


_SETTINGS: Mapping[str, Any] = {"trim_blocks": True, "lstrip_blocks": True, "keep_trailing_newline": True}
_COMPILED = CompiledTemplates()


def keep_compiled(folder: Path | None) -> None:
    """From now on compiled templates that cannot be kept beside the templates are kept in ``folder``."""
    _COMPILED.folder = folder


@cache
def environment() -> jinja2.Environment:
    """Templates see finished views only: an unknown field is an error. Text in pages is escaped, elsewhere nothing is."""
    return jinja2.Environment(
        loader=jinja2.FileSystemLoader(template_directory()),
        undefined=jinja2.StrictUndefined,
        autoescape=_is_page,
        bytecode_cache=_COMPILED,
        **_SETTINGS,
    )


def render(template: str, **views: object) -> str:
    """Text of ``templates/<template>`` with the given views."""
    return environment().get_template(template).render(**views)
