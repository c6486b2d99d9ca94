"""Where the templates lie, and the one environment that renders them."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import jinja2


@cache
def template_directory() -> Path:
    """``bracketc/templates`` in an installed wheel, ``templates`` beside the package in a checkout."""
    package = Path(__file__).resolve().parent.parent
    inside = package / "templates"
    return inside if inside.is_dir() else package.parent / "templates"


def _is_page(template: str | None) -> bool:
    return template is not None and template.endswith(".html.j2")


@cache
def environment() -> jinja2.Environment:
    """Templates see finished views only: an unknown field is an error. Text in pages is escaped, elsewhere nothing is."""
    return jinja2.Environment(
        loader=jinja2.FileSystemLoader(template_directory()),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=_is_page,
    )


def render(template: str, **views: object) -> str:
    """Text of ``templates/<template>`` with the given views."""
    return environment().get_template(template).render(**views)
