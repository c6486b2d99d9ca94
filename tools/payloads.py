"""Names, strings and paths that carry code of another language, put wherever text from outside goes in.

    python tools/payloads.py 7          what one of them does to every command

A payload goes in by one `CHANNEL` of a small model; then every command writes in every format, and what comes out is read by the
reader of its language: it holds together, nothing of the payload is code in it, and no file appeared but those that were asked for.
"""

from __future__ import annotations

import ast
import contextlib
import io
import json
import os
import re
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from unittest import mock
from xml.etree import ElementTree

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))

from ckernels import COMPILER
from htmlpages import outside, read_page

import bracketc as bc
from bracketc.cli import main
from bracketc.runtime.cache import TEMPLATES

MARK = "pwned"
"""What each payload would make or run; it is in no output but as text."""

BASES = (
    # Python
    "__import__('os').system('touch pwned')", '"""; open("pwned", "w"); """', "'''\nopen('pwned','w')\n'''", "{pwned!r}", "%(pwned)s",
    "\\'); open('pwned','w') #", "\\N{pwned}", "\\x22;pwned()", "f'{pwned()}'", "lambda: pwned()", "#!/usr/bin/env pwned",
    # C
    "*/ int pwned; /*", "//\\\nint pwned;", "??/\nint pwned;", "*/\n#include <pwned.h>\n/*", '"; int pwned; "', "\\\n#define pwned",
    "#pragma pwned", "%:include <pwned>", "<::>pwned", "__attribute__((constructor)) void pwned(void)", "R\"(pwned)\"", "\n#error pwned\n",
    # Jinja
    "{{ pwned }}", "{% include 'pwned' %}", "{# pwned", "{{ ''.__class__.pwned }}", "{%- raw %}pwned", "{{ 7*7 }}pwned",
    # shell
    "$(touch pwned)", "`touch pwned`", "; touch pwned ;", "| touch pwned", "&& touch pwned", "--pwned", "-o pwned", "$IFS pwned", "> pwned",
    "@pwned", "-Xpwned",
    # paths
    "../pwned", "..\\pwned", "../../../../tmp/pwned", "pwned/../../pwned", "~/pwned", "pwned\x00.txt", "CON pwned", "file:///pwned",
    # LaTeX
    "\\input{pwned}", "\\write18{touch pwned}", "\\immediate\\openout5=pwned", "\\end{document}pwned", "$pwned$", "%pwned", "^^5cpwned",
    "\\def\\x{pwned}", "}\\pwned{", "\\catcode`\\@=11 pwned", "#1pwned", "&pwned\\\\", "\\begin{pwned}", "\\pwned",
    # HTML
    "<script>pwned()</script>", "</script><script>pwned()", '" onload="pwned()', "<img src=x onerror=pwned()>", "</title><svg onload=pwned()>",
    "&lt;pwned&gt;", "<!-- pwned", "--> pwned", "]]><pwned/>", "javascript:pwned()", "<iframe srcdoc=pwned>", "</style><pwned>", "<math><pwned>",
    # terminals and characters
    "\x1b]0;pwned\x07", "\x1b[2Jpwned", "pwned\rJ = 0", "\u202epwned", "pw\u200bned", "pwn\u0435d pwned", "\uff50wned pwned", "\u2028pwned", "\x85pwned",
    "pwned\u0301\u0301", "\ufeffpwned", "\U000e0001pwned", "\u2066pwned\u2069",
    # reserved words and names of the targets
    "pwned__class__", "_Bool", "restrict", "errno", "NULL", "main", "printf", "np", "self", "None", "True", "print", "exec", "eval", "globals",
    "__init__", "__file__", "_pwned", "J", "out", "dense", "int64_t", "double", "static", "NAN", "INFINITY", "complex", "I", "linux", "unix",
)  # fmt: skip
"""One for each way out that somebody has found."""

WRAPPINGS: tuple[Callable[[str], str], ...] = (
    lambda text: text, lambda text: f"x{text}", lambda text: f"{text}x", lambda text: f"\\{text}", lambda text: f"{text}\n{text}",
)  # fmt: skip

COUNT = 300


def payload(number: int) -> str:
    """Payload ``number`` of :data:`COUNT`."""
    return WRAPPINGS[number // len(BASES) % len(WRAPPINGS)](BASES[number % len(BASES)])


MODEL = """\
{head}dim {size}, D
input X : {size}, D
input y : {size}
param {name} : D
r = X @ {name} - y  # {comment}
J = 0.5 (r · r)
gradient J wrt {name}{request}

derivation of J wrt {name} {{
  dJ = r · dr{remark}
     = r · (X @ d{name})
  => grad[{name}](J) = X^T @ r{remark}
}}
"""
PLAIN = {"head": "", "size": "N", "name": "w", "comment": "the rest", "request": "", "remark": ""}

CHANNELS: dict[str, Callable[[str], dict[str, str]]] = {
    "file": lambda text: {"file": text},
    "module": lambda text: {"module": text},
    "comment": lambda text: {"comment": text},
    "remark": lambda text: {"remark": f"  [by {text}]"},
    "import": lambda text: {"head": f'import "{text}"\n'},
    "name": lambda text: {"name": text},
    "size": lambda text: {"size": text},
    "request": lambda text: {"request": f" as {text}"},
    "option": lambda text: {"option": text},
    "data": lambda text: {"data": text},
}


DATA = "in.npz"
SMALL = ("--size", "D=3")


def write_data(path: str, name: str, more: str | None) -> None:
    """Arguments of the model, and one of a name from outside; a zip archive as `numpy.savez` writes it."""
    rng = np.random.default_rng(0)
    arrays = {"X": rng.normal(size=(4, 3)), "y": rng.normal(size=4), name: rng.normal(size=3)}
    if more is not None:
        arrays[more] = rng.normal(size=2)
    with zipfile.ZipFile(path, "w") as archive:
        for key, array in arrays.items():
            with archive.open(f"{key}.npy", "w") as file:
                np.lib.format.write_array(file, array)


@dataclass(frozen=True, slots=True)
class Said:
    """What a command put out."""

    command: tuple[str, ...]
    status: int
    out: str
    err: str


def said(*command: str) -> Said:
    """One command in this process."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        status = main(list(command))
    return Said(command, status, out.getvalue(), err.getvalue())


def commands(file: str, module: str | None, option: str | None) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Every command, with the language of what it prints."""
    name = ("--name", module) if module is not None else ()
    numpy, data = ("--backend", "numpy"), ("--data", DATA)
    yield "json", ("--json", "build", file, "-o", "numpy", *numpy, *name)
    yield "text", ("build", file, "-o", "numpy32", *numpy, "--dtype", "float32", *name)
    yield "c", ("build", file, "--dump", "c")
    for style, language in (("unicode", "text"), ("ascii", "text"), ("latex", "latex"), ("html", "html")):
        yield language, ("derive", file, "--format", style)
    yield "latex", ("derive", file, "--format", "latex", "--standalone", "--definitions")
    for form in ("matrix", "index", "bracket"):
        yield "text", ("derive", file, "--definitions", "--form", form)
    yield "text", ("derive", file, "--steps")
    yield "text", ("derive", file, "--steps", "--program")
    yield "json", ("--json", "derive", file)
    yield "text", ("explain", file)
    yield "html", ("explain", file, "--format", "html")
    yield "json", ("--json", "explain", file)
    yield "text", ("explain", file, "--annotate", "annotated.html")
    for style, language in (("unicode", "text"), ("ascii", "text"), ("latex", "latex"), ("html", "html")):
        yield language, ("verify", file, "--format", style)
    yield "json", ("--json", "verify", file)
    for stage in ("ast", "ir", "plan", "loops"):
        yield "text", ("build", file, "--dump", stage)
    yield "json", ("--json", "fmt", "--check", file)
    yield "text", ("fmt", "--ascii", file)
    yield "text", ("check", file, *numpy)
    yield "json", ("--json", "check", file, *numpy, *data)
    yield "text", ("run", file, *numpy, *data, "-o", "out.npz")
    yield "json", ("--json", "run", file, *numpy, *data, "-o", "out.npz")
    yield "text", ("bench", file, *numpy, "--rounds", "1", *SMALL)
    yield "json", ("--json", "bench", file, *numpy, "--rounds", "1", *SMALL)
    yield "text", ("cache", "list")
    yield "json", ("--json", "cache", "info")
    yield "text", ("doctor",)
    if option is not None:
        there = option.replace("/", "_").replace("\0", "_")
        yield "text", ("derive", file, "--of", option)
        yield "text", ("derive", file, "--of", "J", "--wrt", option)
        yield "text", ("build", file, "-o", "numpy", *numpy, "--size", f"{option}=3")
        yield "text", ("explain", file, "--function", option)
        yield "text", ("bench", file, *numpy, "--rounds", "1", "--function", option)
        yield "text", ("run", file, *numpy, "--data", f"./{there}.npz", "-o", "out.npz")
        yield "text", ("explain", file, "--annotate", f"./{there}.html")
        yield "text", ("init", there)


def plots(file: str) -> Iterator[tuple[str, tuple[str, ...]]]:
    """What takes longer: drawings."""
    yield "text", ("bench", file, "--backend", "numpy", "--rounds", "1", *SMALL, "--plot", "drawn.svg")


# ------------------------------------------------------------------------------------------------- readers
SHELL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2066-\u2069\ufeff]|[\U000e0000-\U000e007f]")
LATEX = re.compile(r"(?<!\\)(?:\\\\)*\\(?:input|write|immediate|openout|pwned|catcode|def|end\{document\}(?=.)|begin\{pwned)")
C_TEXT = re.compile(r"/\*.*?\*/|//[^\n]*|\"(?:\\.|[^\"\\\n])*\"|'(?:\\.|[^'\\\n])*'", re.DOTALL)
TAGS = frozenset(("img", "iframe", "object", "embed", "form", "input", "base", "frame", MARK))


def _text(text: str) -> str | None:
    found = SHELL.search(text)
    return f"a control character: {text[max(0, found.start() - 60) : found.end() + 20]!r}" if found else None


def _python(text: str) -> str | None:
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError) as error:
        return f"no Python: {error}"
    for node in ast.walk(tree):
        word = {ast.Name: "id", ast.Attribute: "attr", ast.alias: "name"}.get(type(node))
        if word and re.fullmatch(MARK, getattr(node, word)):
            return f"code: {ast.unparse(node)}"
    return None


def _c(text: str) -> str | None:
    bare = C_TEXT.sub(" ", text)
    if re.search(rf"\b{MARK}\b", bare):
        return f"code: {next(line for line in bare.splitlines() if MARK in line)}"
    return None


def _html(text: str) -> str | None:
    page = read_page(text)
    if page.mistakes:
        return f"no HTML: {page.mistakes[:3]}"
    for element in page.elements:
        if element.tag in TAGS or any(name.startswith("on") for name in element.attributes):
            return f"a foreign element: {element.tag} {element.attributes}"
        if element.tag in ("script", "style") and MARK in element.text:
            return f"in a {element.tag}: {element.text[:200]}"
    return f"from elsewhere: {outside(page)}" if outside(page) else None


def _latex(text: str) -> str | None:
    found = LATEX.search(text)
    if found:
        return f"LaTeX: {text[max(0, found.start() - 60) : found.end() + 20]!r}"
    bare = re.sub(r"\\[\\{}%]", "", text)
    bare = re.sub(r"%[^\n]*", "", bare)
    return "braces" if bare.count("{") != bare.count("}") else _text(text)


def _json(text: str) -> str | None:
    try:
        json.loads(text)
    except ValueError as error:
        return f"no JSON: {error}"
    return None


def _svg(text: str) -> str | None:
    try:
        root = ElementTree.fromstring(text)
    except ElementTree.ParseError as error:
        return f"no SVG: {error}"
    for element in root.iter():
        tag = element.tag.rpartition("}")[2]
        if tag in ("script", "foreignObject", *TAGS) or any(name.startswith("on") for name in element.attrib):
            return f"a foreign element: {tag} {element.attrib}"
    return None


READERS: dict[str, Callable[[str], str | None]] = {
    "text": _text, "py": _python, "pyi": _python, "c": _c, "h": _c, "html": _html, "latex": _latex, "json": _json, "svg": _svg,
}  # fmt: skip
KNOWN = frozenset(("numpy", "numpy32", "annotated.html", "text", "drawn.svg", DATA, "out.npz"))


def _syntax(folder: Path) -> str | None:
    """Whether a C compiler reads the C text in a folder."""
    if COMPILER is None:
        return None
    for path in sorted(folder.glob("*.c")):
        done = subprocess.run(
            [COMPILER, "-fsyntax-only", "-w", "-I.", "-std=gnu11", path.name], cwd=folder, capture_output=True, text=True, check=False
        )
        if done.returncode:
            return f"no C: {done.stderr[:300]}"
    return None


def _around(place: str) -> dict[str, str]:
    return {"HOME": place, "BRACKETC_CACHE_DIR": f"{place}/cache", "MPLCONFIGDIR": _drawing().name}


@cache
def _drawing() -> tempfile.TemporaryDirectory[str]:
    """Where matplotlib keeps what it knows of fonts."""
    return tempfile.TemporaryDirectory()


def findings(channel: str, text: str, compile: bool = False) -> list[str]:
    """What a payload breaks on its way through every command; nothing where all holds."""
    given = CHANNELS[channel](text)
    file = given.pop("file", "model").replace("/", "_").replace("\0", "_").encode("utf-8", "replace")[:200].decode("utf-8", "ignore") + ".brk"
    module, option, data = given.pop("module", None), given.pop("option", None), given.pop("data", None)
    asked = {f"{option.replace('/', '_').replace(chr(0), '_')}.html"} if option is not None else set[str]()
    found: list[str] = []
    before = Path.cwd()
    with tempfile.TemporaryDirectory() as place, mock.patch.dict(os.environ, _around(place)):
        folder = Path(place) / "deep" / "inside"
        folder.mkdir(parents=True)
        os.chdir(folder)
        try:
            source = MODEL.format(**{**PLAIN, **given})
            Path("./" + file).write_text(source, encoding="utf-8", errors="surrogatepass")
            write_data(DATA, given.get("name", "w"), data)
            for language, command in (*commands("./" + file, module, option), *(plots("./" + file) if compile else ())):
                one = said(*command)
                found += _of_command(one, language)
                if command[0] == "fmt":
                    Path("./" + file).write_text(source, encoding="utf-8", errors="surrogatepass")
            found += _of_files(folder, file, compile)
            strange = [path for path in Path(place).rglob("*") if path.name not in _expected(path, folder, file) | asked]
            found += [f"a file appeared: {path.relative_to(place)}" for path in strange]
        finally:
            os.chdir(before)
    return found


def _expected(path: Path, folder: Path, file: str) -> set[str]:
    """Names that are no surprise beside ``path``."""
    known = {"deep", "inside", "cache", path.name if path.parent.parent == folder or path.parent.name in ("cache", TEMPLATES) else ""}
    if path.parent == folder:
        known |= {*KNOWN, file, path.name if path.suffix == ".brk" else ""}
    return known


def _of_command(one: Said, language: str) -> list[str]:
    found = []
    if one.status not in (0, 1, 2, 3, 4):
        found.append(f"status {one.status}")
    if "Traceback" in one.err:
        found.append(one.err[-2000:])
    wrong = READERS[language](one.out) if one.out and (one.status == 0 or language == "json") else _text(one.out)
    found += [problem for problem in (wrong, _text(one.err)) if problem]
    return [f"{' '.join(one.command)!r}: {problem}" for problem in found]


def _of_files(folder: Path, file: str, compile: bool) -> list[str]:
    found = []
    for path in sorted(folder.rglob("*")):
        if path.is_dir() or path.suffix in (".brk", ".npz"):
            continue
        reader = READERS.get(path.suffix[1:])
        problem = reader(path.read_text(encoding="utf-8")) if reader else f"what is {path.name!r}?"
        found += [f"{path.name}: {problem}"] if problem else []
    if compile:
        try:
            built = bc.build(bc.load("./" + file), folder / "text", backend="c", compile=False)
        except bc.BracketError:
            return found
        texts = [(path.name, READERS[path.suffix[1:]](path.read_text(encoding="utf-8"))) for path in built.files]
        found += [f"{name}: {problem}" for name, problem in (*texts, ("C", _syntax(folder / "text"))) if problem]
    return found


def main_payloads(arguments: list[str]) -> int:
    bad = 0
    for number in map(int, arguments) if arguments else range(COUNT):
        for channel in CHANNELS:
            found = findings(channel, payload(number))
            bad += bool(found)
            print(f"{number} {channel} {payload(number)!r}: {found or 'ok'}", flush=True)
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main_payloads(sys.argv[1:]))
