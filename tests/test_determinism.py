"""The same source gives the same bytes: under any hash seed, in any process, the second time as the first."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from modelcases import MODELS, ROOT

import bracketc as bc
from bracketc import compiler
from bracketc.options import make_options

EVERYTHING = """\
import sys
from dataclasses import astuple
from pathlib import Path
import bracketc as bc
from bracketc import compiler
from bracketc.derivation import derived
from bracketc.options import make_options
from bracketc.plan.explain import explain
from bracketc.plan.printer import show

folder = Path(sys.argv[1])
for path in sys.argv[2:]:
    program, name = bc.load(path), Path(path).stem
    for backend in ("numpy", "c"):
        for dtype in ("float32", "float64"):
            options = make_options({"backend": backend, "dtype": dtype})
            done = compiler.stages(program, options)
            for file, text in compiler.emit(done, name, options).files.items():
                (folder / f"{backend}-{dtype}-{file}").write_text(text, encoding="utf-8")
    (folder / f"{name}.plan").write_text(show(done.plan), encoding="utf-8")
    (folder / f"{name}.explain").write_text("\\n".join(map(str, map(astuple, explain(done.plan)))), encoding="utf-8")
    for style in ("unicode", "ascii", "latex"):
        text = "\\n".join(formulas.typeset for formulas in derived(program, options, style))
        (folder / f"{name}.{style}").write_text(text, encoding="utf-8")
"""


def everything(folder: Path, seed: str, models: list[Path]) -> dict[str, bytes]:
    """What a fresh process makes of the models, by file name."""
    folder.mkdir()
    command = [sys.executable, "-c", EVERYTHING, str(folder), *map(str, models)]
    environment = os.environ | {"PYTHONHASHSEED": seed}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def test_texts_formulas_and_plans_do_not_depend_on_the_hash_seed(tmp_path: Path) -> None:
    models = list(MODELS.values())
    first = everything(tmp_path / "first", "0", models)
    assert len(first) == len(models) * (2 * 2 + 2 * 4 + 5)
    # The other way round as well: what was compiled before leaves no trace.
    again = everything(tmp_path / "again", "random", models[::-1])
    assert list(again) == list(first)
    assert [name for name in first if first[name] != again[name]] == []


@pytest.mark.parametrize("backend", ["numpy", "c"])
@pytest.mark.parametrize("model", MODELS)
def test_the_second_time_gives_the_same_text(model: str, backend: str) -> None:
    options = make_options({"backend": backend, "dtype": "float32"})
    files = []
    for _ in range(2):
        program = bc.load(MODELS[model])
        files.append(compiler.emit(compiler.stages(program, options), model, options).files)
    assert files[0] == files[1]


@pytest.mark.parametrize("backend", ["numpy", "c"])
def test_the_text_does_not_name_the_place_of_the_source(backend: str, tmp_path: Path) -> None:
    text = MODELS["classifier"].read_text(encoding="utf-8")
    files = []
    for place in ("one", "another place"):
        path = tmp_path / place / "classifier.brk"
        path.parent.mkdir()
        path.write_text(text, encoding="utf-8")
        options = make_options({"backend": backend})
        files.append(compiler.emit(compiler.stages(bc.load(path), options), "classifier", options).files)
    assert files[0] == files[1]
    assert not any(str(tmp_path) in content for content in files[0].values())


@pytest.mark.parametrize("backend", ["numpy", "c"])
def test_line_ends_and_a_byte_order_mark_change_nothing_but_the_hash(backend: str, tmp_path: Path) -> None:
    text = MODELS["linear"].read_text(encoding="utf-8")
    files = []
    for content in (text.encode(), b"\xef\xbb\xbf" + text.replace("\n", "\r\n").encode()):
        (tmp_path / "linear.brk").write_bytes(content)
        options = make_options({"backend": backend})
        made = compiler.emit(compiler.stages(bc.load(tmp_path / "linear.brk"), options), "linear", options).files
        lines = [line for name in sorted(made) for line in made[name].splitlines() if "source_hash" not in line]
        files.append(lines)
    assert files[0] == files[1]
