"""The command line used wrongly: the status says whose fault it is, the message what to do, and nothing ends in a traceback."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest

from bracketc.cli import main

FIT = "dim N, D\ninput X : N, D\ninput y : N\nparam w : D\nr = X @ w - y\nJ = r · r\n"
GRADIENT = "gradient J wrt w\n"
STEP = "derivation of J wrt w {\n  dJ = 2 (r · dr)\n}\n"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder with a model, a file that is none, and a folder in the way."""
    monkeypatch.setenv("BRACKETC_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("NO_COLOR", "1")
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    for name, text in {
        "fit.brk": FIT + GRADIENT,
        "bare.brk": FIT,
        "steps.brk": FIT + STEP,
        "none.brk": FIT + "derivation of J wrt w {\n}\n",
        "empty.brk": "",
        "bad.brk": "dim N\ninput x : N\nJ = x · z\n",
        "hessian.brk": FIT + GRADIENT + "hessian J wrt w\nhvp J wrt w\njacobian r wrt w\njacobian r wrt w as other layout row\n",
        "second.brk": FIT + "hessian J wrt w\n",
        "a.file": "text",
    }.items():
        Path(name).write_text(text, encoding="utf-8")
    Path("bytes.brk").write_bytes(b"\x00\xff")
    Path("place").mkdir()
    np.savez("short.npz", X=np.ones((2, 2)), y=np.ones(3), w=np.ones(2))
    np.savez("part.npz", X=np.ones((2, 2)))


# ------------------------------------------------------------------------------------------------ the status
WRONG = {
    # 1: the input is wrong
    "build place": (1, "cannot read place: Is a directory"),
    "build nowhere.brk": (1, "cannot read nowhere.brk"),
    "build bytes.brk": (1, "bytes.brk is not UTF-8 text"),
    "build empty.brk": (1, "empty.brk defines nothing"),
    "build bad.brk": (1, "unknown name z"),
    "build fit.brk -o a.file --backend numpy": (1, "cannot write to a.file: a.file is a file, not a folder; choose another folder"),
    "build fit.brk -o a.file/x --backend numpy": (1, "cannot write to a.file/x: a.file is a file, not a folder"),
    "build fit.brk --size Q=3": (1, "no size Q to bind in fit.brk; there are N, D"),
    "init no/model": (1, "cannot write no/model.brk: No such file or directory; there is no folder no"),
    "init a.file/model": (1, "cannot write a.file/model.brk: Not a directory"),
    "init fit": (1, "fit.brk exists; choose another name, nothing was written"),
    "init .": (1, "init '.': give the model a name"),
    "init place/": (1, "init 'place/': give the model a name"),
    "explain fit.brk --function nope": (1, "no such function; there are evaluate, forward, backward, value_and_grad"),
    "explain fit.brk --annotate place": (1, "cannot write place: Is a directory"),
    "explain fit.brk --annotate no/x.html": (1, "there is no folder no"),
    "bench fit.brk --function nope": (1, "no such function to time; there are evaluate, value_and_grad"),
    "bench fit.brk --plot x.gif": (1, "the name must end in .svg, .png, .pdf"),
    "bench fit.brk --plot no/x.svg": (1, "cannot write no/x.svg: there is no folder no"),
    "check bare.brk": (1, "bare.brk asks for no derivative"),
    "check fit.brk --data no.npz": (1, "cannot read no.npz"),
    "check fit.brk --data a.file": (1, "a.file is no .npz file"),
    "check fit.brk --data short.npz": (1, "N"),
    "run fit.brk --data part.npz -o out.npz --backend numpy": (1, "y is missing in the data"),
    "run fit.brk --data short.npz -o out.npz --backend numpy": (1, "index N: 2 in X, 3 in y"),
    "derive bare.brk": (1, "asks for no derivative"),
    "derive fit.brk --of Q": (1, "there is no such definition; there are r, J"),
    "derive second.brk --steps": (1, "no steps for the hessian of J"),
    "derive fit.brk --steps --size N=3": (1, "leave out --size"),
    "verify empty.brk": (1, "empty.brk has no step of a derivation: nothing was verified"),
    "verify fit.brk bare.brk": (1, "fit.brk has no step of a derivation: nothing was verified"),
    "verify none.brk": (1, "none.brk has no step of a derivation: nothing was verified"),
    "fmt place": (1, "cannot read place"),
    # 2: usage
    "build fit.brk --march nonsense": (2, "'nonsense' is no level; choose native, portable, generic128, x86-64-v2"),
    "explain fit.brk --march nonsense": (2, "'nonsense' is no level"),
    "bench fit.brk --march nonsense": (2, "'nonsense' is no level"),
    "build fit.brk --threads 0": (2, "'0' is no whole number from 1"),
    "build fit.brk --size N=-3": (2, "'N=-3' is no size; write it as N=32"),
    "build fit.brk bare.brk --name x": (2, "--name is for one file"),
    "check fit.brk --seed -1": (2, "'-1' is no whole number from 0"),
    "bench fit.brk --seed x": (2, "'x' is no whole number from 0"),
    "derive fit.brk --program": (2, "usage: --program goes with --steps"),
    "derive fit.brk --standalone": (2, "usage: --standalone goes with --format latex"),
    "run fit.brk": (2, "--data"),
    "cache": (2, "action"),
    "doctor --dump ir": (2, "usage: --dump shows a stage of the compilation of a source file; doctor reads none"),
    "cache info --dump ir": (2, "cache reads none, try: bracketc build FILE --dump ir"),
    "cache --dump c": (2, "cache reads none, try: bracketc build FILE --dump c"),
    "init --dump ast": (2, "init reads none"),
    "init --dump nonsense": (2, "invalid choice: 'nonsense'"),
    "fmt fit.brk --dump nonsense": (2, "invalid choice: 'nonsense'"),
    # 4: limits
    "build second.brk --size D=100000 --backend numpy": (4, "has no structure: of shape (100000, 100000)"),
}  # fmt: skip


@pytest.mark.parametrize(("command", "status", "message"), [(key, *value) for key, value in WRONG.items()], ids=WRONG)
def test_the_status_says_whose_fault_it_is(command: str, status: int, message: str, capsys: pytest.CaptureFixture[str]) -> None:
    before = sorted(os.listdir())
    assert main(command.split()) == status
    printed = capsys.readouterr()
    assert message in printed.err and "Traceback" not in printed.err
    assert sorted(os.listdir()) == before, "nothing is written"


def test_a_file_in_the_place_of_a_result_is_left_alone(capsys: pytest.CaptureFixture[str]) -> None:
    Path("out/fit.py").mkdir(parents=True)
    assert main(["build", "fit.brk", "-o", "out", "--backend", "numpy"]) == 1
    assert "cannot write to out: fit.py is a folder there; choose another folder" in capsys.readouterr().err
    assert os.listdir("out") == ["fit.py"]


@pytest.mark.skipif(hasattr(os, "geteuid") and os.geteuid() == 0, reason="nothing is forbidden to root")
def test_a_folder_that_may_not_be_written_to_has_status_3() -> None:
    Path("place").chmod(0o500)
    assert main(["init", "place/model"]) == main(["build", "fit.brk", "-o", "place/x", "--backend", "numpy"]) == 3


def test_errors_of_names_are_data_too(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", "fit.brk", "--function", "nope", "--json"]) == 1
    assert "no such function" in json.loads(capsys.readouterr().out)["errors"][0]["message"]
    assert main(["verify", "fit.brk", "--json"]) == 1
    assert "nothing was verified" in json.loads(capsys.readouterr().out)["errors"][0]["message"]


# ------------------------------------------------------------------------------------------------ --dump
@pytest.mark.parametrize("command", ["fmt", "run", "verify", "check", "bench", "explain"])
@pytest.mark.parametrize(("stage", "expected"), [("ast", "Definition"), ("ir", "# value_and_grad"), ("plan", "value_and_grad(")])
def test_dump_stands_after_every_command_with_a_file(
    command: str, stage: str, expected: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whatever else the command needs."""
    before = sorted(os.listdir())
    assert main([command, "fit.brk", "--dump", stage]) == 0
    assert expected in capsys.readouterr().out
    assert sorted(os.listdir()) == before


def test_dump_of_standard_input(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    with Path("fit.brk").open(encoding="utf-8") as file:
        monkeypatch.setattr("sys.stdin", file)
        assert main(["fmt", "-", "--dump", "ir"]) == 0
    assert "# evaluate: J" in capsys.readouterr().out


# ------------------------------------------------------------------------------------------------ nothing to verify
def test_a_file_without_derivations_beside_one_with_some_is_mentioned(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["verify", "bare.brk", "steps.brk"]) == 0
    printed = capsys.readouterr()
    assert "1 step" in printed.out and "warning: bare.brk has no step of a derivation" in printed.err


# ------------------------------------------------------------------------------------------------ steps of some requests
def test_steps_are_shown_where_there_are_some_and_the_rest_is_noted(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["derive", "hessian.brk", "--steps"]) == 0
    printed = capsys.readouterr()
    assert "⟹ ∇[w](J)" in printed.out and "⟹ Jac[w](r) = X" in printed.out
    assert "hessian.brk:8:1: note: no steps for the hessian of J" in printed.err and "jacobian g wrt w" in printed.err
    assert "hessian.brk:9:1: note: no steps for the hvp of J" in printed.err
    assert "hessian.brk:11:1: note: no steps for the jacobian of r in the layout row" in printed.err
    assert main(["derive", "hessian.brk", "--steps", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [d["of"] for d in found["derivations"]] == ["J", "r"] and len(found["left out"]) == 3
    assert main(["derive", "hessian.brk", "--steps", "--program", "-q"]) == 0
    printed = capsys.readouterr()
    Path("out.brk").write_text(printed.out, encoding="utf-8")
    assert printed.err == "" and main(["verify", "out.brk"]) == 0
    assert main(["derive", "hessian.brk", "--steps", "--format", "html"]) == 0
    printed = capsys.readouterr()
    assert "no steps for the hessian of J" in printed.err and "</html>" in printed.out


# ------------------------------------------------------------------------------------------------ names in Python
SPELT = """\
dim N = 3
param W' : N
input lambda : N
input out : N
J = W' · (lambda ⊙ out)
gradient J wrt W'
gradient J wrt W', lambda as np
hvp J wrt W' as None
"""


@pytest.mark.parametrize("function", ["value_and_grad", "np", "None"])
def test_names_that_python_spells_otherwise_are_timed(function: str) -> None:
    Path("spelt.brk").write_text(SPELT, encoding="utf-8")
    assert main(["bench", "spelt.brk", "--backend", "numpy", "--rounds", "1", "--function", function]) == 0


def test_names_that_python_spells_otherwise_are_checked(capsys: pytest.CaptureFixture[str]) -> None:
    Path("spelt.brk").write_text(SPELT, encoding="utf-8")
    assert main(["check", "spelt.brk", "--backend", "numpy", "--json"]) == 0
    assert [line["function"] for line in json.loads(capsys.readouterr().out)["checks"]] == ["value_and_grad", "np", "np", "None"]


def test_data_has_the_names_of_the_source(capsys: pytest.CaptureFixture[str]) -> None:
    Path("spelt.brk").write_text(SPELT.replace("hvp J wrt W' as None\n", ""), encoding="utf-8")
    arrays = {"W'": np.array([1.0, 2.0, 3.0]), "lambda": np.full(3, 2.0), "out": np.ones(3)}
    np.savez("in.npz", **arrays)  # type: ignore[arg-type]
    command = ["run", "spelt.brk", "--data", "in.npz", "-o", "out.npz", "--backend", "numpy"]
    assert main(command) == 0
    with np.load("out.npz") as found:
        assert found["J"] == 12 and found["gradient_J_W_prime"].tolist() == [2, 2, 2]
    capsys.readouterr()
    np.savez("in.npz", **{name: arrays[name] for name in arrays if name != "W'"})  # type: ignore[arg-type]
    assert main(command) == 1
    assert "W' is missing in the data" in capsys.readouterr().err
