"""Mutated sources against the front end: every one ends in a program or in a BracketError, and quickly.

    python tools/fuzz.py --seconds 60 --seed 1

Sources are lines of models/ and docs/language.md, about a kilobyte, in which characters, words and lines are deleted,
doubled, exchanged and replaced. Status 1 when anything but a ``BracketError`` escapes, or when the slowest per cent takes longer
than 0.1 s of processor time.
"""

from __future__ import annotations

import argparse
import os
import random
import re
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from functools import cache
from pathlib import Path

import bracketc as bc
from bracketc import compiler
from bracketc.options import Options

ROOT = Path(__file__).resolve().parent.parent
LIMIT = 0.1
"""Seconds that all but one of a hundred sources may take."""
LENGTH = 1000
OPENING, CLOSING = ("(", "[", "{"), (")", "]", "}")
WORDS = re.compile(r"\w+|\s+|[^\w\s]")
SPARE = (
    *"()[]{}|~^_·⊙⊗⊘⊕⊖@+-*/.,:=<>!#&'&ι𝟏δ∇0123456789ijkxAWd\n\t \u0305\u200b\uff21é",
    "**", "..", "~>", "=>", "⟹", "ones", "iota", "delta", "grad", "Jac", "stop", "for", "where", "dim", "input", "param",
    "const", "function", "output", "gradient", "jacobian", "hessian", "derivation", "import", "layout", "wrt", "sum[i]",
    "sum[t=1..T]", "^T", "^12·^21", "_{[12]}", "#1_2", "![1,·]", "9" * 40, "1e400", "(" * 30, "[" * 30, "-" * 5, "inv(",
    "softmax^1(", "∇[x](", "where(i >= j, ", "⟨2⟩", "<2>", "dx", "d[x](", "t = 1..T", "[t-1]", "[0]", "@ x", "A" * 300,
)  # fmt: skip


def corpus() -> list[str]:
    """Whole programs that compile."""
    page = (ROOT / "docs" / "language.md").read_text(encoding="utf-8")
    found = re.findall(r"^```brk\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    return found + [path.read_text(encoding="utf-8") for path in sorted((ROOT / "models").glob("*.brk"))]


def _delete(pieces: list[str], at: int, chance: random.Random) -> None:
    del pieces[at : at + chance.choice((1, 1, 1, 2, 5))]


def _double(pieces: list[str], at: int, chance: random.Random) -> None:
    pieces[at:at] = pieces[at : at + chance.choice((1, 1, 3, 10))]


def _insert(pieces: list[str], at: int, chance: random.Random) -> None:
    pieces.insert(at, chance.choice(SPARE))


def _replace(pieces: list[str], at: int, chance: random.Random) -> None:
    pieces[at] = chance.choice(SPARE)


def _exchange(pieces: list[str], at: int, chance: random.Random) -> None:
    other = chance.randrange(len(pieces))
    pieces[at], pieces[other] = pieces[other], pieces[at]


def _graft(pieces: list[str], at: int, chance: random.Random) -> None:
    """A group in brackets in the place of another one."""
    groups = [group for k in range(len(pieces)) if pieces[k] in OPENING and (group := _group(pieces, k)) is not None]
    if len(groups) > 1:
        (first, last), (start, end) = chance.sample(groups, 2)
        pieces[first:last] = pieces[start:end]


def _group(pieces: list[str], first: int) -> tuple[int, int] | None:
    """From an opening bracket to behind its closing one."""
    depth = 0
    for k in range(first, min(len(pieces), first + 60)):
        depth += (pieces[k] in OPENING) - (pieces[k] in CLOSING)
        if depth == 0:
            return first, k + 1
    return None


MUTATIONS: tuple[Callable[[list[str], int, random.Random], None], ...] = (_delete, _double, _insert, _replace, _exchange, _graft)


def mutated(programs: list[str], chance: random.Random) -> str:
    """One source of at most a kilobyte."""
    text = chance.choice(programs)
    if chance.random() < 0.3:
        lines = text.splitlines() + chance.choice(programs).splitlines()
        chance.shuffle(lines)
        text = "\n".join(lines)
    if len(text) > LENGTH:
        start = text.rfind("\n", 0, chance.randrange(len(text) - LENGTH // 2)) + 1
        text = text[start : start + LENGTH]
    pieces: list[str] = WORDS.findall(text) if chance.random() < 0.8 else list(text)
    for _ in range(chance.choice((1, 1, 2, 3, 8))):
        if pieces:
            chance.choice(MUTATIONS)(pieces, chance.randrange(len(pieces)), chance)
    return "".join(pieces)[:LENGTH]


BYTES = (
    b"\x00", b"\xff", b"\xc0\xaf", b"\xe2\x80", b"\x80", b"\xf0\x9f", b"\xed\xa0\x80", b"\xf5\x80\x80\x80",  # NUL, no UTF-8
    "\u202e".encode(), "\u2066".encode(), "\u200d".encode(), "\ufeff".encode(), b"\r", b"\x1b[31m", b"\x08", b"\x7f",
)  # fmt: skip
LONG = 1_000_000


def mutated_bytes(programs: list[str], chance: random.Random) -> bytes:
    """A mutated source with bytes exchanged or put in; one in 5,000 gets a line of a megabyte."""
    data = bytearray(mutated(programs, chance).encode("utf-8", "surrogatepass"))
    for _ in range(chance.choice((1, 1, 2, 5))):
        at = chance.randrange(len(data) + 1)
        if chance.random() < 0.5:
            data[at:at] = chance.choice(BYTES)
        elif at < len(data):
            data[at] ^= 1 << chance.randrange(8)
    if chance.random() < 1 / 5000:
        at = chance.randrange(len(data) + 1)
        data[at:at] = (chance.choice(SPARE).replace("\n", " ").encode() * LONG)[:LONG]
    return bytes(data)


def failure(source: str | bytes, stages: bool) -> str | None:
    """The traceback of anything but a ``BracketError``; bytes are read from a file."""
    return outcome(source, stages)[1]


def outcome(source: str | bytes, stages: bool) -> tuple[str, str | None]:
    """What is said of a source, nothing where it is a program, and the traceback of anything but a ``BracketError``."""
    try:
        program = bc.parse(source) if isinstance(source, str) else bc.load(_file(source))
        if stages:
            compiler.stages(program, Options())
    except bc.BracketError as error:
        return str(error), None
    except Exception:
        return "", traceback.format_exc()
    return "", None


@cache
def _folder() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory()


def folder() -> str:
    """Where files of bytes lie."""
    return _folder().name


def _file(content: bytes) -> str:
    """A file of this process with the content."""
    path = os.path.join(folder(), "source.brk")
    with open(path, "wb") as file:
        file.write(content)
    return path


def main(arguments: list[str] | None = None) -> int:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--seconds", type=float, default=60.0)
    options.add_argument("--sources", type=int, default=10**9, help="how many at most")
    options.add_argument("--seed", type=int, default=0)
    options.add_argument("--stages", action="store_true", help="differentiate, simplify and plan what is a program, too")
    given = options.parse_args(arguments)
    chance = random.Random(given.seed)
    programs = corpus()
    times: list[tuple[float, str]] = []
    end = time.monotonic() + given.seconds
    while time.monotonic() < end and len(times) < given.sources:
        source = mutated(programs, chance)
        before = time.process_time()
        trace = failure(source, given.stages)
        times.append((time.process_time() - before, source))
        if trace is not None:
            print(f"source:\n{source}\n\n{trace}")
            return 1
    times.sort()
    most = times[int(0.99 * (len(times) - 1))][0]
    longest, slowest = times[-1]
    print(f"{len(times)} sources, no traceback; 99 % within {most * 1e3:.1f} ms, the slowest {longest * 1e3:.0f} ms")
    if longest > LIMIT:
        print(f"slowest source:\n{slowest}")
    return 1 if most > LIMIT else 0


if __name__ == "__main__":
    sys.exit(main())
