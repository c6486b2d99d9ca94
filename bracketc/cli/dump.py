"""``--dump``: a stage of the compilation as text."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import fields, is_dataclass

from bracketc import compiler
from bracketc.cli.sources import options, read_source
from bracketc.cli.terminal import Terminal
from bracketc.errors import Span
from bracketc.ir.printer import print_roots
from bracketc.ir.program import Program
from bracketc.lang.parser import parse_file
from bracketc.lang.syntax import SyntaxFile
from bracketc.plan.printer import show

STAGES = ("ast", "ir", "plan", "loops", "c")


def dump(arguments: argparse.Namespace, terminal: Terminal) -> int:
    """Print the stage that ``--dump`` names, of every file."""
    files = arguments.files if hasattr(arguments, "files") else [arguments.file]
    texts = {path: _DUMPS[arguments.dump](path, arguments) for path in files}
    terminal.data({"ok": True, "stage": arguments.dump, "text": texts})
    for path, text in texts.items():
        if len(texts) > 1:
            terminal.text(f"# {path}")
        terminal.text(text.rstrip("\n"))
    return 0


def _ast(path: str, arguments: argparse.Namespace) -> str:
    return tree_text(parse_file(read_source(path)))


def _program(path: str) -> Program:
    source = read_source(path)
    return compiler.parse(source.text, source.filename)


def _stages(path: str, arguments: argparse.Namespace, backend: str = "numpy") -> compiler.Stages:
    return compiler.stages(_program(path), options(arguments, backend=backend))


def _ir(path: str, arguments: argparse.Namespace) -> str:
    """The functions of the module, simplified."""
    return "\n".join(
        f"# {entry.name}: {', '.join(name for name, _ in entry.results)}\n{print_roots(n for _, n in entry.results)}"
        for entry in _stages(path, arguments).entries
    )


def _plan(path: str, arguments: argparse.Namespace) -> str:
    return show(_stages(path, arguments).plan)


def _loops(path: str, arguments: argparse.Namespace) -> str:
    from bracketc.loops.lower import lower
    from bracketc.loops.printer import show as show_kernel

    done = _stages(path, arguments)
    return "\n".join(show_kernel(lower(schedule)) for schedule in done.plan.schedules)


def _c(path: str, arguments: argparse.Namespace) -> str:
    chosen = options(arguments, backend="c")
    program = _program(path)
    emitted = compiler.emit(compiler.stages(program, chosen), compiler.stem(program), chosen)
    return "\n".join(text for name, text in emitted.files.items() if name.endswith(".c"))


_DUMPS: dict[str, Callable[[str, argparse.Namespace], str]] = {
    "ast": _ast,
    "ir": _ir,
    "plan": _plan,
    "loops": _loops,
    "c": _c,
}


def tree_text(tree: SyntaxFile) -> str:
    """A syntax tree, one node a line, each with its line and column."""
    lines: list[str] = []
    pending: list[tuple[str, object, int]] = [("", tree, 0)]
    while pending:
        label, value, depth = pending.pop()
        indent = "  " * depth + (f"{label}: " if label else "")
        if isinstance(value, tuple):
            if value:
                lines.append(f"{indent}")
                pending.extend(("", item, depth + 1) for item in reversed(value))
        elif is_dataclass(value) and not isinstance(value, type):
            inner = [f.name for f in fields(value) if f.name not in ("span", "comments")]
            plain = [n for n in inner if not (isinstance(getattr(value, n), tuple) or is_dataclass(getattr(value, n)))]
            words = " ".join(f"{n}={getattr(value, n)!r}" for n in plain if getattr(value, n) is not None)
            span: Span = value.span  # type: ignore[attr-defined]
            line, column = span.source.position(span.start)
            lines.append(f"{indent}{type(value).__name__} {words}".rstrip() + f"  @{line}:{column}")
            rest = [n for n in inner if n not in plain]
            pending.extend((n, getattr(value, n), depth + 1) for n in reversed(rest))
        else:
            lines.append(f"{indent}{value!r}")
    return "\n".join(lines)
