"""``run``: evaluate every request on arrays from a file."""

from __future__ import annotations

import argparse
import zipfile
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from bracketc import compiler
from bracketc.cli.build import chosen_backend
from bracketc.cli.sources import file_argument, kernel_options, load, settings
from bracketc.cli.terminal import Terminal, aligned
from bracketc.emit.names import python_name
from bracketc.errors import ArgumentError, Diagnostic, SourceError
from bracketc.ir.program import Program
from bracketc.runtime.directory import folder_error, staging

NAME = "run"
READS_SOURCE = True


def arguments(command: argparse.ArgumentParser) -> None:
    file_argument(command)
    command.add_argument("--data", metavar="IN.npz", required=True, help="arguments by name, d_x and bar_y included")
    command.add_argument("-o", "--output", metavar="OUT.npz", required=True, help="where results go")
    kernel_options(command)


def run(arguments: argparse.Namespace, terminal: Terminal) -> int:
    """Call every function of the module on the arrays, and save what it gives."""
    program = load(arguments.file, terminal)
    arrays = read_arrays(arguments.data)
    with terminal.working("compiling"):
        module = compiler.compile(program, **(settings(arguments) | {"backend": chosen_backend(arguments, terminal)}))
    results = evaluate_all(program, module, arrays)
    write_arrays(Path(arguments.output), results)
    shapes = {name: list(array.shape) for name, array in results.items()}
    terminal.data({"ok": True, "file": arguments.output, "results": shapes})
    table = aligned("result", "shape", "dtype")
    for name, array in results.items():
        table.add_row(name, " × ".join(map(str, array.shape)) or "scalar", str(array.dtype))
    terminal.table(table)
    terminal.say(f"wrote {arguments.output}")
    return 0


def read_arrays(path: str) -> dict[str, np.ndarray[Any, Any]]:
    """The arrays of a ``.npz`` file; nothing in it can make this program run code."""
    try:
        with np.load(path, allow_pickle=False) as file:
            return {name: file[name] for name in file.files}
    except OSError as error:
        raise SourceError(f"cannot read {path}: {error.strerror or error}") from None
    except (ValueError, AttributeError, EOFError, zipfile.BadZipFile) as error:
        raise SourceError(f"{path} is no .npz file of plain arrays: {error}") from None


def evaluate_all(program: Program, module: ModuleType, arrays: Mapping[str, Any]) -> dict[str, np.ndarray[Any, Any]]:
    """Results of ``evaluate``, then of every request: ``gradient_J_W``, ``jacobian_y_x``, …"""
    functions: Mapping[str, Mapping[str, Any]] = module.SIGNATURE["functions"]
    wanted = [name for name in functions if name not in ("forward", "backward", "value_and_grad")]
    unnamed = {r.output: r for r in program.requests if r.kind == "gradient" and r.name is None}
    spelt = {python_name(tensor.name): tensor.name for tensor in program.arguments}
    arrays = {**{called: arrays[name] for called, name in spelt.items() if name in arrays}, **arrays}
    missing: dict[str, str] = {}
    for function in wanted:
        for name in functions[function]["arguments"]:
            if name not in arrays:
                missing.setdefault(spelt.get(name, name), function)
    if missing:
        raise ArgumentError([Diagnostic(f"{name} is missing in the data; {f} needs it") for name, f in missing.items()])
    results: dict[str, np.ndarray[Any, Any]] = {}
    for function in wanted:
        found = getattr(module, function)(**{name: arrays[name] for name in functions[function]["arguments"]})
        for name, value in _fields(found):
            results[name if function == "evaluate" else function if name is None else f"{function}_{name}"] = value
    for output in unnamed:
        named = {name: arrays[name] for name in functions["value_and_grad"]["arguments"]}
        value, gradients = module.value_and_grad(**named)
        results.setdefault(output, np.asarray(value))
        results.update((f"gradient_{output}_{name}", array) for name, array in _fields(gradients))
    return {name: np.asarray(value) for name, value in results.items()}


def _fields(found: Any) -> list[tuple[Any, Any]]:
    """Name and value of each part of a result; one array has no name."""
    if not hasattr(found, "_fields"):
        return [(None, found)]
    parts: list[tuple[Any, Any]] = []
    for name, value in zip(found._fields, found, strict=True):
        inner = _fields(value)
        parts += inner if inner[0][0] is not None else [(name, value)]
    return parts


def write_arrays(path: Path, arrays: Mapping[str, Any]) -> None:
    """Write a ``.npz`` file whole or not at all."""
    with staging(path.parent) as stage:
        try:
            with (stage.path / path.name).open("wb") as file:
                np.savez(file, **dict(arrays))
        except OSError as error:
            raise folder_error(path.parent, error) from None
        stage.add(path.name)
        stage.publish()
