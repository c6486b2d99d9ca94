"""The direction of imports: a row of docs/architecture.md imports rows above it only."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parent.parent / "bracketc"

ROWS = {
    "errors": 0, "options": 0, "structures": 0, "target": 0, "version": 0,
    "ir": 1,
    "lang": 2, "calculus": 2, "simplify": 2,
    "proof": 3, "plan": 3,
    "loops": 4,
    "emit": 5,
    "runtime": 6,
    "compiler": 7,
    "derivation": 8, "verification": 8, "cli": 8, "bench": 8, "adapters": 8, "__init__": 8, "__main__": 8,
}  # fmt: skip

# Within a row: everyone may report errors, and the top row is what people touch, put together.
WITHIN = {
    ("options", "errors"), ("structures", "errors"), ("target", "errors"),
    ("cli", "bench"), ("cli", "adapters"), ("cli", "__init__"), ("__main__", "cli"),
    ("cli", "derivation"), ("__init__", "derivation"), ("__init__", "verification"),
    ("adapters", "derivation"), ("adapters", "verification"),
    ("bench", "__init__"), ("adapters", "__init__"), ("__init__", "adapters"),
}  # fmt: skip

# A library that only one part may know.
OWNERS = {"opt_einsum": {"plan"}, "jinja2": {"emit"}, "cffi": {"runtime"}, "rich": {"cli", "bench"}}


def modules() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


def part(parts: tuple[str, ...]) -> str:
    """The part of the architecture that a module path below the package belongs to."""
    return parts[0] if parts else "__init__"


def imported(source: str, parts: tuple[str, ...], package: Path = PACKAGE) -> list[tuple[str, int]]:
    """Absolute dotted names that a module imports, with their lines; `parts` is its own path below the package.

    Imports inside functions and under TYPE_CHECKING count: they are dependencies as well.
    """
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found += [(alias.name, node.lineno) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            above = ("bracketc", *parts[:-1])
            base = above[: len(above) - node.level + 1] if node.level else ()
            name = ".".join((*base, *([node.module] if node.module else [])))
            if name != "bracketc":
                found.append((name, node.lineno))
                continue
            for alias in node.names:  # `from bracketc import x` means a module if there is one, else a name of __init__
                exists = (package / alias.name).is_dir() or (package / f"{alias.name}.py").exists()
                found.append((f"bracketc.{alias.name}" if exists else "bracketc", node.lineno))
    return found


def mistakes(source: str, parts: tuple[str, ...], package: Path = PACKAGE) -> list[str]:
    """What a module imports against the rules, one sentence each."""
    own = part(parts)
    found = []
    for name, line in imported(source, parts, package):
        head, *rest = name.split(".")
        if head in OWNERS and own not in OWNERS[head]:
            found.append(f"line {line}: {own} imports {head}, which is for {' and '.join(sorted(OWNERS[head]))} alone")
        if head != "bracketc":
            continue
        other = part(tuple(rest))
        if other == own or (own, other) in WITHIN:
            continue
        if other not in ROWS:
            found.append(f"line {line}: {other} has no row")
        elif ROWS[other] >= ROWS[own]:
            found.append(f"line {line}: {own} (row {ROWS[own]}) imports {other} (row {ROWS[other]})")
    return found


@pytest.mark.parametrize("module", modules(), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_a_module_imports_rows_above_it_only(module: Path) -> None:
    parts = module.relative_to(PACKAGE).with_suffix("").parts
    assert part(parts) in ROWS, f"{module.name} has no row in the architecture"
    assert mistakes(module.read_text(encoding="utf-8"), parts) == []


@pytest.mark.parametrize(
    ("source", "parts"),
    [
        ("import bracketc.plan.paths", ("ir", "nodes")),
        ("from bracketc.lang import lexer", ("calculus", "rules")),
        ("from ..loops import lower", ("plan", "schedule")),
        ("def late():\n    from bracketc import emit", ("loops", "lower")),
        ("from bracketc import compile", ("runtime", "build")),
        ("import opt_einsum", ("ir", "nodes")),
    ],
)
def test_an_import_of_a_lower_row_is_found(source: str, parts: tuple[str, ...], tmp_path: Path) -> None:
    for name in ("plan", "lang", "loops", "emit"):
        (tmp_path / name).mkdir()
    assert mistakes(source, parts, tmp_path) != []


@pytest.mark.parametrize(
    ("source", "parts"),
    [
        ("from bracketc.errors import Span", ("target",)),
        ("from bracketc.ir.nodes import Expr\nfrom . import lexer", ("lang", "parser")),
        ("from bracketc import compiler\nfrom bracketc import compile", ("cli", "main")),
        ("import opt_einsum", ("plan", "paths")),
    ],
)
def test_an_import_of_a_higher_row_is_allowed(source: str, parts: tuple[str, ...], tmp_path: Path) -> None:
    (tmp_path / "compiler.py").touch()
    assert mistakes(source, parts, tmp_path) == []
