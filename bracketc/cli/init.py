"""``init``: write a commented example to start from."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from bracketc.cli.terminal import Terminal
from bracketc.errors import OutputError, SourceError, printable
from bracketc.runtime.directory import file_error

NAME = "init"
READS_SOURCE = False


def arguments(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "name", metavar="NAME", nargs="?", default="example", help="name of the model (default: example)"
    )


def run(arguments: argparse.Namespace, terminal: Terminal) -> int:
    """Write NAME.brk, which must not exist."""
    path = Path(arguments.name)
    if not path.name or arguments.name.endswith(("/", os.sep)):
        raise OutputError(f"init {arguments.name!r}: give the model a name")
    if printable(arguments.name) != arguments.name:
        raise SourceError(f"{printable(arguments.name)!r} cannot be the name of a file to start from: it has a control character")
    if path.suffix != ".brk":
        path = path.with_name(f"{path.name}.brk")
    try:
        with path.open("x", encoding="utf-8", newline="\n") as file:
            file.write(EXAMPLE.format(file=path.name, stem=path.stem))
    except FileExistsError:
        raise OutputError(f"{path} exists; choose another name, nothing was written") from None
    except OSError as error:
        raise file_error(path, error) from None
    terminal.data({"ok": True, "file": str(path)})
    terminal.say(f"wrote {path}; now try")
    for line in (f"bracketc derive {path}", f"bracketc check {path}", f"bracketc build {path} -o generated"):
        terminal.say(f"  {line}")
    return 0


EXAMPLE = """\
# {file}: a classifier with one hidden layer
#
#   bracketc derive {file}                  its gradients as formulas
#   bracketc check {file}                   the gradients against finite differences
#   bracketc build {file} -o generated      a Python module, with a C extension where there is a compiler
#
#   >>> import {stem}                       (in generated/)
#   >>> value, gradients = {stem}.value_and_grad(X, Y, W1, b1, W2, b2)

dim N ~ 128, D ~ 64, H ~ 32, K ~ 10     # sizes are read off the arguments; ~ is a hint for planning

input X : N, D                          # data: one sample a row
input Y : N, K  onehot rows             # its class; a trait is a fact that simplification may use
param W1 : D, H                         # what is trained
param b1 : H
param W2 : H, K
param b2 : K
const lam = 1e-3                        # weight decay

# X @ W is the matrix product, a space the formal product (𝟏 b repeats the row b; ASCII: ones b),
# ⊙ (*) multiplies element by element, · (.) is the inner product, softmax^1 works on each row
Z = tanh(X @ W1 + 𝟏 b1)
A = Z @ W2 + 𝟏 b2
J = -(1/N) (Y · ln(softmax^1(A))) + (lam/2) (W1 · W1 + W2 · W2)

output J, A                             # what evaluate() returns
gradient J wrt W1, b1, W2, b2           # what backward() and value_and_grad() return
"""
