"""The command line through `main`: what it prints, writes and gives as its status."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bracketc.cli import main

MODELS = Path(__file__).resolve().parent.parent / "models"
COMPILER = any(map(shutil.which, ("cc", "gcc", "clang")))
needs_compiler = pytest.mark.skipif(not COMPILER, reason="no C compiler on the PATH")

LEAST_SQUARES = """\
dim N ~ 100, D
input X : N, D
input y : N
param w : D
r = X @ w - y
J = 0.5 (r · r)
gradient J wrt w
"""


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BRACKETC_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("NO_COLOR", "1")
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")


def source(text: str = LEAST_SQUARES, name: str = "fit.brk") -> str:
    Path(name).write_text(text, encoding="utf-8")
    return name


def without_compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(Path.cwd() / "empty"))
    for name in ("CC", "BRACKETC_CC"):
        monkeypatch.delenv(name, raising=False)


def answer(capsys: pytest.CaptureFixture[str]) -> Any:
    return json.loads(capsys.readouterr().out)


# ------------------------------------------------------------------------------------------------ usage
def test_no_command_is_a_usage_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 2
    assert "COMMAND" in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [["nonsense"], ["build"], ["build", "x.brk", "--size", "N"], ["check", "--seed"]])
def test_wrong_usage_has_status_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == 2
    assert "usage:" in capsys.readouterr().err


def test_help_lists_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    printed = capsys.readouterr().out
    for command in ("build", "derive", "verify", "check", "explain", "bench", "fmt", "run", "doctor", "cache", "init"):
        assert f"\n    {command} " in printed


def test_the_version_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out.startswith("bracketc ")


# ------------------------------------------------------------------------------------------------ errors
def test_all_errors_of_a_file_come_with_their_place(capsys: pytest.CaptureFixture[str]) -> None:
    path = source("dim N\ninput x : N\nJ = x · z\nK = y · x\ngradient J wrt x\n")
    assert main(["derive", path]) == 1
    printed = capsys.readouterr()
    assert printed.out == ""
    assert "fit.brk:3:9: error: unknown name z" in printed.err
    assert "    3 | J = x · z\n      |         ^" in printed.err
    assert "fit.brk:4:5: error: unknown name y" in printed.err


def test_errors_of_all_files_come_in_one_run(capsys: pytest.CaptureFixture[str]) -> None:
    first, second = source("J = a\n", "one.brk"), source("J = b\n", "two.brk")
    assert main(["build", first, second, "--backend", "numpy"]) == 1
    printed = capsys.readouterr().err
    assert "one.brk:1:5" in printed and "two.brk:1:5" in printed
    assert not Path("generated").exists()


def test_errors_as_data(capsys: pytest.CaptureFixture[str]) -> None:
    path = source("dim N\ninput x : N\nJ = x · z\n")
    assert main(["derive", path, "--json"]) == 1
    found = answer(capsys)
    assert found["ok"] is False
    (error,) = found["errors"]
    assert (error["file"], error["line"], error["column"], error["text"]) == ("fit.brk", 3, 9, "z")


def test_a_missing_file_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "nowhere.brk"]) == 1
    assert "cannot read nowhere.brk" in capsys.readouterr().err


def test_a_size_that_does_not_exist_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", source(), "--size", "Q=3"]) == 1
    assert "no size Q" in capsys.readouterr().err


def test_interruption_has_its_own_status(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("bracketc.compiler.load", interrupt)
    assert main(["derive", "x.brk"]) == 130
    assert capsys.readouterr().err == "interrupted\n"


# ------------------------------------------------------------------------------------------------ derive
def test_derive_prints_formulas_with_shapes(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["derive", source()]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "# gradient of J: a gradient has the shape of its argument",
        "∇[w](J) = X^T @ r  # D",
    ]


def test_derive_in_ascii_and_latex(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["derive", source(), "--format", "ascii"]) == 0
    assert "grad[w](J) = X^T @ r" in capsys.readouterr().out
    assert main(["derive", source(), "--format", "latex"]) == 0
    assert r"\nabla_{w} J &= X^{\mathsf{T}} \, r" in capsys.readouterr().out


def test_derive_of_anything_by_anything(capsys: pytest.CaptureFixture[str]) -> None:
    path = source()
    assert main(["derive", path, "--of", "r", "--wrt", "w"]) == 0
    assert "Jac[w](r) = X" in capsys.readouterr().out
    assert main(["derive", path, "--of", "J", "--wrt", "r,y"]) == 0
    printed = capsys.readouterr().out
    assert "∇[r](J) = r" in printed and "∇[y](J) = -r" in printed
    assert main(["derive", path, "--of", "Q"]) == 1
    assert "there are r, J" in capsys.readouterr().err


def test_derive_with_steps_shows_the_way(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["derive", str(MODELS / "classifier.brk"), "--steps"]) == 0
    lines = [line.strip() for line in capsys.readouterr().out.splitlines()]
    lefts = [line.split(" = ")[0] for line in lines]
    assert lefts[0] == "derivation of J wrt W1, b1, W2, b2 {" and lines[-1] == "}"
    assert lefts.index("dJ") < lefts.index("⟹ ∇[W2](J)") < lefts.index("d[Z1](J)") < lefts.index("⟹ ∇[W1](J)")


def test_derive_with_steps_is_what_verify_accepts(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main(["derive", str(MODELS / "single_layer.brk"), "--steps", "--program"]) == 0
    path = tmp_path / "out.brk"
    path.write_text(capsys.readouterr().out, encoding="utf-8")
    assert main(["verify", str(path)]) == 0
    assert "refuted" not in capsys.readouterr().out


def test_derive_as_data(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["derive", source(), "--json"]) == 0
    (formulas,) = answer(capsys)["formulas"]
    assert formulas["equations"] == [{"left": "∇[w](J)", "right": "X^T @ r", "condition": "", "shape": "D"}]


def test_derive_needs_something_to_derive(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["derive", source("dim N\ninput x : N\nJ = x · x\n")]) == 1
    assert "asks for no derivative" in capsys.readouterr().err


# ------------------------------------------------------------------------------------------------ build
def test_build_writes_a_module_and_says_what_it_costs(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["build", source(), "-o", "out", "--backend", "numpy", "--dtype", "float32"]) == 0
    printed = capsys.readouterr().out
    assert "fit: NumPy" in printed and "out/fit.py" in printed
    assert "value_and_grad" in printed and "kflop" in printed and "kB" in printed and "N = 100" in printed
    assert sorted(path.name for path in Path("out").iterdir()) == ["fit.py", "fit.pyi"]


def test_build_as_data(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["build", source(), "-o", "out", "--backend", "numpy", "--json", "--size", "D=7"]) == 0
    (built,) = answer(capsys)["built"]
    assert built["backend"] == "numpy" and built["functions"]["value_and_grad"]["flops"] > 0


def test_build_under_another_name(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["build", source(), "-o", "out", "--backend", "numpy", "--name", "least", "-q"]) == 0
    assert capsys.readouterr().out == ""
    assert Path("out/least.py").exists()
    assert main(["build", source(), source(name="b.brk"), "--name", "x", "--backend", "numpy"]) == 2


def test_build_without_a_compiler_falls_back_with_one_warning(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    without_compiler(monkeypatch)
    assert main(["build", source(), source(name="b.brk"), "-o", "out"]) == 0
    printed = capsys.readouterr()
    assert printed.err.count("warning") == 1 and "NumPy" in printed.err
    assert Path("out/fit.py").exists() and Path("out/b.py").exists()


def test_build_for_c_without_a_compiler_has_status_3(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    without_compiler(monkeypatch)
    assert main(["build", source(), "-o", "out", "--backend", "c"]) == 3
    printed = capsys.readouterr().err
    assert "compiler" in printed and "--backend numpy" in printed
    assert not list(Path().glob("out/*"))


def test_build_into_a_file_has_status_1(capsys: pytest.CaptureFixture[str]) -> None:
    Path("out").write_text("in the way", encoding="utf-8")
    assert main(["build", source(), "-o", "out", "--backend", "numpy"]) == 1
    assert "cannot write to out: out is a file, not a folder; choose another folder" in capsys.readouterr().err


@needs_compiler
def test_build_writes_a_c_module(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["build", source(), "-o", "out"]) == 0
    assert "fit: C" in capsys.readouterr().out
    names = {path.name for path in Path("out").iterdir()}
    assert {"fit.c", "fit.h", "fit.py", "fit.pyi"} <= names


# ------------------------------------------------------------------------------------------------ check
@pytest.mark.parametrize("model", sorted(path.stem for path in MODELS.glob("*.brk")))
def test_check_passes_on_every_model(model: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", str(MODELS / f"{model}.brk"), "--backend", "numpy", "--json"]) == 0
    found = answer(capsys)
    assert found["ok"] and all(line["error"] < 1e-6 for line in found["checks"])
    assert any(line["error"] > 0 for line in found["checks"])


EVERYTHING = """\
dim N, M
input x : N
param A : M, N
y = tanh(A @ x)
J = y · y
gradient J wrt A, x
gradient J wrt x as slope
jacobian y wrt x
jacobian y wrt A as generalised layout gradient
jacobian y wrt x as dressed layout column
hessian J wrt x
hessian J wrt A, x as mixed
jvp y wrt x
vjp y wrt A, x
hvp J wrt x, A
hvp J wrt A, x as joint
"""


def test_check_covers_every_kind_of_request(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", source(EVERYTHING), "--backend", "numpy", "--json"]) == 0
    found = answer(capsys)["checks"]
    assert {line["function"] for line in found} == {
        "value_and_grad", "slope", "jacobian_y_x", "generalised", "dressed", "hessian_J_x", "mixed", "jvp_y_x",
        "vjp_y_A", "vjp_y_x", "hvp_J_x", "hvp_J_A", "hvp_J_x_A", "joint",
    }  # fmt: skip
    assert all(0 < line["error"] < 1e-6 for line in found)


def test_check_prints_a_line_for_each_input(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", source(), "--backend", "numpy", "--size", "D=3"]) == 0
    printed = capsys.readouterr().out
    assert "D = 3" in printed
    (line,) = [line for line in printed.splitlines() if "∇[w](J)" in line]
    assert line.split()[1] == "3" and line.endswith("ok")


def test_a_wrong_gradient_fails_the_check(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    from bracketc import compiler

    real = compiler.compile

    def wrong(program: Any, **settings: Any) -> Any:
        module = real(program, **settings)

        class Bent:
            SIGNATURE = module.SIGNATURE
            forward = staticmethod(module.forward)
            backward = staticmethod(module.backward)

            @staticmethod
            def value_and_grad(**arguments: Any) -> Any:
                found = module.value_and_grad(**arguments)
                found.gradients.w[0] *= 1.001
                return found

        return Bent

    monkeypatch.setattr(compiler, "compile", wrong)
    assert main(["check", source(), "--backend", "numpy"]) == 1
    printed = capsys.readouterr()
    assert "FAILED" in printed.out and "1 of 1 derivatives" in printed.err


def test_kinks_are_avoided(capsys: pytest.CaptureFixture[str]) -> None:
    text = "dim N, D\ninput X : N, D\nparam w : D\nJ = sum(relu(X @ w)) + sum(abs(w))\ngradient J wrt w\n"
    assert main(["check", source(text), "--backend", "numpy", "--json"]) == 0
    assert answer(capsys)["checks"][0]["kinks"] == 0


def test_functions_that_need_positive_arguments_get_them(capsys: pytest.CaptureFixture[str]) -> None:
    text = "dim N\nparam w : N\nJ = sum(ln(w)) + sum(sqrt(w))\ngradient J wrt w\n"
    assert main(["check", source(text), "--backend", "numpy"]) == 0


def test_a_function_that_is_undefined_everywhere_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    text = "dim N\nparam w : N\nJ = sum(ln(-(w ⊙ w)))\ngradient J wrt w\n"
    assert main(["check", source(text), "--backend", "numpy"]) == 1
    assert "undefined on every draw" in capsys.readouterr().err


# ------------------------------------------------------------------------------------------------ explain, dump
def test_explain_shows_steps_and_totals(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", str(MODELS / "classifier.brk")]) == 0
    printed = capsys.readouterr().out
    assert "planned at D ~ 64, H ~ 64, K ~ 10, N ~ 32" in printed
    assert "value_and_grad" in printed and "tanh" in printed and "saves Z1" in printed


def test_explain_marks_default_sizes(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", source(), "--function", "value_and_grad", "--size", "D=5"]) == 0
    printed = capsys.readouterr().out
    assert "D = 5 (bound)" in printed and "N ~ 100" in printed and "backward" not in printed
    assert main(["explain", source(), "--function", "nothing"]) == 1


def test_explain_as_data(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", source(), "--json"]) == 0
    functions = {f["entry"]: f for f in answer(capsys)["functions"]}
    assert functions["value_and_grad"]["flops_at_hints"] > 0 and functions["value_and_grad"]["rows"]


@pytest.mark.parametrize(
    ("stage", "expected"),
    [
        ("ast", "Definition"),
        ("ir", "# value_and_grad: J, w"),
        ("plan", "value_and_grad(X[N, D]"),
        ("loops", "value_and_grad"),
        ("c", '#include "fit.h"'),
    ],
)
def test_dump_shows_a_stage(stage: str, expected: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["build", source(), "-o", "out", "--dump", stage]) == 0
    assert expected in capsys.readouterr().out
    assert not Path("out").exists()


# ------------------------------------------------------------------------------------------------ run
def arrays() -> dict[str, np.ndarray[Any, Any]]:
    rng = np.random.default_rng(0)
    return {"X": rng.standard_normal((4, 3)), "y": rng.standard_normal(4), "w": rng.standard_normal(3)}


def test_run_evaluates_every_request(capsys: pytest.CaptureFixture[str]) -> None:
    data = arrays()
    np.savez("in.npz", allow_pickle=False, **data)
    assert main(["run", source(), "--data", "in.npz", "-o", "out.npz", "--backend", "numpy"]) == 0
    residual = data["X"] @ data["w"] - data["y"]
    with np.load("out.npz") as out:
        np.testing.assert_allclose(out["J"], 0.5 * residual @ residual)
        np.testing.assert_allclose(out["gradient_J_w"], data["X"].T @ residual)
        assert out.files == ["J", "gradient_J_w"]


def test_run_names_missing_arrays(capsys: pytest.CaptureFixture[str]) -> None:
    np.savez("in.npz", X=arrays()["X"])
    assert main(["run", source(), "--data", "in.npz", "-o", "out.npz", "--backend", "numpy"]) == 1
    printed = capsys.readouterr().err
    assert "y is missing" in printed and "w is missing" in printed
    assert not Path("out.npz").exists()


def test_run_refuses_what_is_no_archive_of_arrays(capsys: pytest.CaptureFixture[str]) -> None:
    Path("in.npz").write_bytes(b"not a zip file")
    assert main(["run", source(), "--data", "in.npz", "-o", "out.npz", "--backend", "numpy"]) == 1
    np.savez("objects.npz", X=np.array([{}], dtype=object))
    assert main(["run", source(), "--data", "objects.npz", "-o", "out.npz", "--backend", "numpy"]) == 1
    assert "no .npz file of plain arrays" in capsys.readouterr().err


# ------------------------------------------------------------------------------------------------ fmt, init, verify
def test_fmt_converts_both_ways(capsys: pytest.CaptureFixture[str]) -> None:
    path = source()
    assert main(["fmt", path, "--check"]) == 0
    assert main(["fmt", path, "--ascii", "--check"]) == 1
    assert main(["fmt", path, "--ascii"]) == 0
    assert "0.5 (r . r)" in Path(path).read_text(encoding="utf-8")
    assert main(["fmt", path]) == 0
    assert Path(path).read_text(encoding="utf-8") == LEAST_SQUARES


def test_fmt_leaves_a_file_with_errors_alone(capsys: pytest.CaptureFixture[str]) -> None:
    path = source("J = (a\n")
    assert main(["fmt", path]) == 1
    assert "fit.brk:1:5" in capsys.readouterr().err
    assert Path(path).read_text(encoding="utf-8") == "J = (a\n"


def test_init_writes_an_example_that_works_and_never_overwrites(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["init", "mine"]) == 0
    text = Path("mine.brk").read_text(encoding="utf-8")
    assert main(["check", "mine.brk", "--backend", "numpy"]) == 0
    assert main(["fmt", "mine.brk", "--check"]) == 0
    assert main(["init", "mine"]) == 1
    assert "exists" in capsys.readouterr().err
    assert Path("mine.brk").read_text(encoding="utf-8") == text


def test_verify_judges_every_step(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["verify", source()]) == 1
    assert "no step of a derivation" in capsys.readouterr().err
    path = source(LEAST_SQUARES + "derivation of J wrt w {\n  dJ = (1/N) r · dr\n     = r · dr\n}\n")
    assert main(["verify", path]) == 1
    printed = capsys.readouterr().out
    assert "2 steps" in printed and "refuted" in printed and "fit.brk:10" in printed
    assert main(["verify", path, "--json"]) == 1
    steps = json.loads(capsys.readouterr().out)["steps"]
    assert [set(step) >= {"file", "line", "text", "verdict", "reason"} for step in steps] == [True, True]


# ------------------------------------------------------------------------------------------------ bench
def test_bench_times_and_draws(capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("matplotlib")
    arguments = ["bench", source(), "--size", "N=20", "--size", "D=4", "--backend", "numpy", "--rounds", "2"]
    assert main([*arguments, "--plot", "out.svg"]) == 0
    printed = capsys.readouterr().out
    assert "bracketc NumPy" in printed and "Gflop/s" in printed and "N = 20" in printed
    assert Path("out.svg").read_text(encoding="utf-8").startswith("<?xml")


@needs_compiler
def test_bench_compares_backends(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", source(), "--size", "D=4", "--rounds", "2", "--json"]) == 0
    found = answer(capsys)
    assert list(found["contenders"]) == list(found["builds"]) == ["bracketc C", "bracketc NumPy"]
    assert all(entry["median"] > 0 and entry["error"] < 1e-8 for entry in found["contenders"].values())
    assert found["called"]["median"] > 0 and all(found["peaks"][kind] > 1e8 for kind in ("flops", "bytes"))
    assert found["bytes"] > 8 * 4 and found["builds"]["bracketc C"] > 0


DERIVATIVES = """dim n, m
input X : m, n
input y : m
param w : n
param b : scalar
r = X @ w + b 𝟏 - y
J = softplus(r) · 𝟏
gradient J wrt b, w as g
hessian J wrt w as H
hessian J wrt w, b as C
jacobian r wrt w as R
jvp r wrt w, b as rv
vjp r wrt w, b as rt
hvp J wrt w, b as Hv
"""


@pytest.mark.parametrize("peer", ["jax", "torch"])
def test_peers_differentiate_as_asked(peer: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The function is written for them, its derivatives are theirs."""
    pytest.importorskip(peer)
    path = tmp_path / "requests.brk"
    path.write_text(DERIVATIVES, encoding="utf-8")
    common = ["--size", "n=3", "--size", "m=5", "--backend", "numpy", "--rounds", "1", "--json", "--against", peer]
    for function in ("g", "H", "C", "R", "rv", "rt", "Hv"):
        assert main(["bench", str(path), *common, "--function", function]) == 0
        errors = [entry["error"] for entry in answer(capsys)["contenders"].values()]
        assert len(errors) == 2 and errors[1] < 1e-12, function


@pytest.mark.parametrize("peer", ["jax", "torch"])
def test_bench_against_a_peer(peer: str, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip(peer)
    model = str(MODELS / "recurrent.brk")
    sizes = [word for size in ("T=4", "N=3", "D=2", "H=5", "K=3") for word in ("--size", size)]
    assert main(["bench", model, *sizes, "--backend", "numpy", "--against", peer, "--rounds", "1", "--json"]) == 0
    errors = [entry["error"] for entry in answer(capsys)["contenders"].values()]
    assert len(errors) == 2 and errors[1] < 1e-8


def test_bench_leaves_out_a_peer_that_is_not_installed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    monkeypatch.delitem(sys.modules, "bracketc.adapters.torch_peer", raising=False)
    assert main(["bench", source(), "--size", "D=4", "--backend", "numpy", "--rounds", "1", "--against", "torch"]) == 0
    assert "torch is not installed" in capsys.readouterr().err


# ------------------------------------------------------------------------------------------------ doctor, cache
def test_doctor_reports(capsys: pytest.CaptureFixture[str]) -> None:
    status = main(["doctor"])
    printed = capsys.readouterr().out
    assert status == (0 if COMPILER else 3)
    for subject in ("C compiler", "Python headers", "instruction set", "threads", "cache", "numpy"):
        assert subject in printed


def test_doctor_says_how_to_get_a_compiler(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    without_compiler(monkeypatch)
    assert main(["doctor"]) == 3
    assert "apt install gcc" in capsys.readouterr().out


def test_cache_is_shown_and_emptied(capsys: pytest.CaptureFixture[str]) -> None:
    if COMPILER:
        assert main(["check", source(), "--backend", "c"]) == 0
    capsys.readouterr()
    assert main(["cache", "list", "--json"]) == 0
    assert answer(capsys)["count"] == (1 if COMPILER else 0)
    assert main(["cache", "clear"]) == 0
    assert "removed" in capsys.readouterr().out
    assert main(["cache", "info", "--json"]) == 0
    assert answer(capsys)["count"] == 0


# ------------------------------------------------------------------------------------------------ as a process
def process(*arguments: str, **more: Any) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "bracketc", *arguments]
    environment = dict(os.environ) | {"PYTHONIOENCODING": "utf-8"}
    return subprocess.run(
        command, capture_output=True, text=True, encoding="utf-8", check=False, env=environment, **more
    )


def test_python_m_bracketc_is_the_command_line() -> None:
    done = process("derive", source())
    assert (done.returncode, done.stderr) == (0, "")
    assert "∇[w](J) = X^T @ r" in done.stdout


def test_a_reader_that_leaves_early_is_no_error() -> None:
    path = source()
    command = [sys.executable, "-m", "bracketc", "derive", path, "--dump", "c"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as running:
        assert running.stdout is not None and running.stderr is not None
        running.stdout.close()
        errors = running.stderr.read()
        assert running.wait() == 0
    assert errors == b""


def test_output_is_the_same_under_any_hash_seed(monkeypatch: pytest.MonkeyPatch) -> None:
    printed = set()
    for seed in ("0", "1"):
        monkeypatch.setenv("PYTHONHASHSEED", seed)
        printed.add(process("derive", str(MODELS / "recurrent.brk"), "--steps").stdout)
        printed.add(process("derive", str(MODELS / "recurrent.brk"), "--steps").stdout)
    assert len(printed) == 1
