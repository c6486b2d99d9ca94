"""``doctor``: what this machine offers: compiler, instruction set, threads, cache, versions."""

from __future__ import annotations

import argparse
import platform
import sysconfig
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Literal as OneOf

from rich.text import Text

from bracketc.cli.terminal import Terminal, aligned
from bracketc.errors import BracketError, ToolchainError
from bracketc.options import Options, read_options
from bracketc.runtime.cache import cache_entries, cache_folder
from bracketc.runtime.toolchain import compile_flags, find_toolchain
from bracketc.target import detect_host, portable_levels, processors
from bracketc.version import VERSION

NAME = "doctor"
READS_SOURCE = False

NEEDED = ("numpy", "opt_einsum", "jinja2", "cffi", "rich", "platformdirs", "filelock")
OPTIONAL = ("setuptools", "matplotlib", "jax", "torch")

Verdict = OneOf["ok", "note", "wrong"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One line: what was looked at, what was found, and what to do about it."""

    subject: str
    verdict: Verdict
    found: str
    fix: str = ""


def arguments(command: argparse.ArgumentParser) -> None:
    """It has no options of its own."""


def run(arguments: argparse.Namespace, terminal: Terminal) -> int:
    """Report; status 3 when something stands in the way of building C modules."""
    findings = examine(read_options({}))
    wrong = [finding for finding in findings if finding.verdict == "wrong"]
    terminal.data(
        {
            "ok": not wrong,
            "findings": [
                {"subject": f.subject, "verdict": f.verdict, "found": f.found, "fix": f.fix} for f in findings
            ],
        }
    )
    table = aligned("", "", "")
    table.show_header = False
    marks = {"ok": ("✓", "green"), "note": ("·", "yellow"), "wrong": ("✗", "bold red")}
    for finding in findings:
        mark, style = marks[finding.verdict]
        text = finding.found + (f"\n→ {finding.fix}" if finding.fix else "")
        table.add_row(Text(mark, style), finding.subject, text)
    terminal.table(table)
    return ToolchainError.exit_code if wrong else 0


def examine(options: Options) -> list[Finding]:
    """Everything that decides whether and how modules are built here."""
    looks: tuple[Callable[[Options], Finding], ...] = (_python, _compiler, _headers, _machine, _threads, _cache)
    return [*(look(options) for look in looks), *map(_needed, NEEDED), *map(_optional, OPTIONAL)]


def _python(options: Options) -> Finding:
    return Finding(
        "bracketc", "ok", f"{VERSION} on Python {platform.python_version()}, {platform.system()} {platform.machine()}"
    )


def _compiler(options: Options) -> Finding:
    try:
        found = find_toolchain(options)
        flags = compile_flags(options)
    except BracketError as error:
        return Finding("C compiler", "wrong", "none", error.diagnostics[0].message)
    return Finding("C compiler", "ok", f"{' '.join(found.command)}: {found.version}\n{' '.join(flags)}")


def _headers(options: Options) -> Finding:
    folder = Path(sysconfig.get_path("include"))
    if (folder / "Python.h").is_file():
        return Finding("Python headers", "ok", str(folder))
    return Finding(
        "Python headers",
        "note",
        f"no Python.h in {folder}; C modules are loaded as plain libraries",
        "apt install python3-dev makes calls a little faster",
    )


def _machine(options: Options) -> Finding:
    host = detect_host()
    width = host.tiling("float32").vector_bytes * 8
    carried = ", ".join(level.name for level in portable_levels(platform.machine()))
    return Finding("instruction set", "ok", f"{host.name}, vectors of {width} bits\nportable builds carry {carried}")


def _threads(options: Options) -> Finding:
    cores = processors()
    return Finding("threads", "ok", f"{options.threads} by default, {cores} cores may be used")


def _cache(options: Options) -> Finding:
    folder = cache_folder(options)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            count = len(cache_entries(options))
    except OSError as error:
        return Finding("cache", "wrong", f"{folder}: {error.strerror}", "name another folder in BRACKETC_CACHE_DIR")
    return Finding("cache", "ok", f"{folder}, {count} builds")


def _needed(name: str) -> Finding:
    try:
        return Finding(name, "ok", metadata.version(name))
    except metadata.PackageNotFoundError:
        return Finding(name, "wrong", "not installed", f"pip install {name}")


def _optional(name: str) -> Finding:
    uses = {"jax": "comparisons", "torch": "comparisons", "matplotlib": "plots", "setuptools": "builds by hand"}
    try:
        return Finding(name, "ok", metadata.version(name))
    except metadata.PackageNotFoundError:
        return Finding(name, "note", f"not installed; only for {uses[name]}")
