"""Where the templates lie, and the one environment that renders them."""

from __future__ import annotations

import marshal
import os
import tempfile
from collections.abc import Mapping
from functools import cache
from hashlib import sha256
from importlib.util import MAGIC_NUMBER
from pathlib import Path
from typing import Any

import jinja2
from jinja2.bccache import Bucket


@cache
def template_directory() -> Path:
    """``bracketc/templates`` in an installed wheel, ``templates`` beside the package in a checkout."""
    package = Path(__file__).resolve().parent.parent
    inside = package / "templates"
    return inside if inside.is_dir() else package.parent / "templates"


def _is_page(template: str | None) -> bool:
    return template is not None and template.endswith(".html.j2")


class CompiledTemplates(jinja2.BytecodeCache):
    """Templates as earlier processes have compiled them, in ``folder``, which must be ours alone: what is read there runs.

    A file is called by the path and the text of its template, and by what else it depends on. It begins with the digest of its
    content, so that a damaged one is compiled again; where none can be written, each process compiles for itself.
    """

    def __init__(self) -> None:
        self.folder: Path | None = None

    def get_cache_key(self, name: str, filename: str | None = None) -> str:
        return filename or name  # which code names in its tracebacks

    def get_source_checksum(self, source: str) -> str:
        made_for = (MAGIC_NUMBER, jinja2.__version__, sorted(_SETTINGS.items()))
        return sha256(f"{made_for}\n{source}".encode()).hexdigest()

    def load_bytecode(self, bucket: Bucket) -> None:
        try:
            content = b"" if self.folder is None else _place(self.folder, bucket).read_bytes()
        except OSError:  # nothing there, or not for us
            return
        digest, code = content[:32], content[32:]
        if digest == sha256(code).digest():
            bucket.code = marshal.loads(code)

    def dump_bytecode(self, bucket: Bucket) -> None:
        if self.folder is None:
            return
        assert bucket.code is not None
        code = marshal.dumps(bucket.code)
        try:
            _write(_place(self.folder, bucket), sha256(code).digest() + code)
        except OSError:  # a folder of somebody else, a full disk: the next process compiles again
            return


def _place(folder: Path, bucket: Bucket) -> Path:
    return folder / sha256(f"{bucket.key}\n{bucket.checksum}".encode()).hexdigest()[:32]


def _write(path: Path, content: bytes) -> None:
    """The whole file or nothing, whoever else writes it now."""
    path.parent.mkdir(mode=0o700, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise


_SETTINGS: Mapping[str, Any] = {"trim_blocks": True, "lstrip_blocks": True, "keep_trailing_newline": True}
_COMPILED = CompiledTemplates()


def keep_compiled(folder: Path | None) -> None:
    """From now on compiled templates are read from ``folder``, and written there."""
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
