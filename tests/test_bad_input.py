"""What people get wrong: each mistake has a message that names the cause and the fix, and leaves nothing half done."""

from __future__ import annotations

import ast
import errno
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from modelcases import BACKENDS, MODELS, ROOT, arrays_of, needs_compiler

import bracketc as bc

Array = np.ndarray[Any, Any]
HEAD = "dim N, D\ninput X : N, D\nparam w : D\n"

each_backend = pytest.mark.parametrize("backend", BACKENDS)


def mistake(text: str, backend: str = "numpy") -> bc.BracketError:
    """The error that a source leads to."""
    with pytest.raises(bc.BracketError) as caught:
        bc.compile(bc.parse(text, filename="model.brk"), backend=backend)
    return caught.value


# ------------------------------------------------------------------------------------------------ the source
SOURCES = {
    "an empty file": ("", "model.brk:1:1", "defines nothing", "F = …"),
    "comments only": ("# nothing yet\n", "model.brk:1:1", "defines nothing", "F = …"),
    "no statement": ("@@@ !!!", "model.brk:1:1", "found @, expected a statement", ""),
    "an open parenthesis": (HEAD + "J = (X @ w\ngradient J wrt w", "model.brk:4:5", "( is not closed", "close it with )"),
    "a missing operand": ("input x : 3\ny = x @", "model.brk:2:8", "expected an operand", ""),
    "a missing colon": ("input x 3\ny = x", "model.brk:1:9", "expected : after x", "input X : N, D"),
    "two statements a line": ("input x : 3; y = x", "model.brk:1:12", "';'", "one statement a line"),
    "an unknown name": (HEAD + "y = X @ v", "model.brk:4:9", "unknown name v", "declare or define it"),
    "a name in another case": ("input x : 3\ny = X", "model.brk:2:5", "unknown name X", "did you mean x?"),
    "a name without its accent": ("input é : 3\ny = e2 + é", "model.brk:2:5", "unknown name e2", ""),
    "a name with another accent": ("input né : 3\ny = ne", "model.brk:2:5", "unknown name ne", "did you mean né?"),
    "a misspelt function": (HEAD + "y = tahn(X @ w)", "model.brk:4:5", "unknown function tahn", "did you mean tanh?"),
    "a name with an underscore": ("input w_new : 2\ny = 1", "model.brk:1:7", "a name has no underscore", "wNew"),
    "a reserved word": ("input for : 3\ny = 1", "model.brk:1:7", "for is a reserved word", "another name"),
    "an unknown size": ("input x : M\ny = x", "model.brk:1:11", "unknown name M", "declare"),
    "a negative size": ("dim N = -3\ninput x : N\ny = x", "model.brk:1:9", "a size is not negative", ""),
    "a negative size of an argument": ("input x : 2, -3\ny = x", "model.brk:1:14", "a size is not negative, found -3", ""),
    "sizes that make a negative one": ("dim N = 3\ninput x : N - 5\ny = x", "model.brk:2:11", "is not negative, found -2", ""),
    "labels in a negative size": ("input x : 2 integer in -3\ny = x", "model.brk:1:24", "is not negative, found -3", ""),
    "a size that is no integer": ("dim N = 2.5\ninput x : N\ny = x", "model.brk:1:9", "whole number, found 2.5", ""),
    "a hint that is no number": ("dim N ~ lots\ninput x : N\ny = x", "model.brk:1:9", "unknown name lots", ""),
    "a power with ^": (HEAD + "y = w^2", "model.brk:4:6", "^ is no power", "w**2"),
    "a number that touches a name": (HEAD + "y = 2w", "model.brk:4:5", "run together", "2 w"),
    "a factor that touches a parenthesis": (HEAD + "const k = 2\ny = k(w · w)", "model.brk:5:5", "k is no function", "k (w · w)"),
    "a prime for the transpose": (HEAD + "y = X' @ w", "model.brk:4:5", "unknown name X'", "X^T"),
    "a product right of a quotient": (HEAD + "y = 1/N w", "model.brk:4:7", "read in two ways", "(1/N) w or 1/(N w)"),
    "a power of a power": (HEAD + "y = w**2**3", "model.brk:4:9", "read in two ways", "(w**2)**"),
    "a chain that does not associate": (
        HEAD + "y = X ^1·^1 X ^1·^1 X",
        "model.brk:4:5",
        "does not associate",
        "(X ^1·^1 X) ^1·^1 X",
    ),
    "a sum with two readings": (HEAD + "z = (exp(X_ij) | i)", "model.brk:4:10", "two readings", "sum[j](…) inside exp"),
    "a label right of the bar only": (HEAD + "y = (w_i | ij)", "model.brk:4:13", "label j stands only right of the bar", ""),
    "ones of no size": ("y = ones", "model.brk:1:5", "nothing determines the size of ones", "ones<N>"),
    "a circle": (HEAD + "a = b + w\nb = a + w", "model.brk:4:1", "circular definition of a: a, b need one another", "Z[t-1]"),
    "a name that needs itself": (HEAD + "a = a + w", "model.brk:4:1", "it needs itself", "Z[t-1]"),
    "a name defined twice": (HEAD + "a = w\na = w + w", "model.brk:5:1", "a is defined twice", "another name"),
    "a definition of an input": ("input x : 3\nx = 1", "model.brk:2:1", "x is declared twice", "another name"),
    "an unknown trait": (
        HEAD + "input Y : N, D onehot row\nJ = sum(Y)",
        "model.brk:4:23",
        "expected rows after onehot",
        "onehot rows",
    ),
    "a recurrence without a start": (
        "dim T\ninput X : T\nZ[t] = Z[t-1] + X[t] for t = 1..T\nJ = sum(Z)",
        "model.brk:3:1",
        "start value Z[0]",
        "Z[0] = …",
    ),
    "a family of free length": ("dim L\ndim D[0..L] = 1, 2\ninput x : D[0]\ny = x", "model.brk:2:10", "fixed number", "dim L = 3"),
    "an index out of range": ("input x : 3\ny = x[4]", "model.brk:2:7", "index 4 is not in 1..3", "count from 1"),
    "index 0": ("input x : 3\ny = x[0]", "model.brk:2:7", "index 0 is not in 1..3", "count from 1"),
    "a gradient of a vector": (
        HEAD + "y = X @ w\ngradient y wrt w",
        "model.brk:5:10",
        "gradient of y, which is a vector",
        "jacobian y wrt w",
    ),
    "a gradient of nothing": (
        HEAD + "Loss = w · w\ngradient Los wrt w",
        "model.brk:5:10",
        "Los, which nothing defines",
        "did you mean Loss?",
    ),
    "an output of nothing": ("input x : 3\ny = x\noutput z", "model.brk:3:8", "output of z, which nothing defines", "define z = …"),
    "a gradient by integers": (
        "dim N, C\ninput c : N integer in C\nparam E : C\nJ = sum(E[c])\ngradient J wrt c",
        "model.brk:5:16",
        "c holds integers",
        "",
    ),
    "two gradients without names": (
        HEAD + "J = w · w\ngradient J wrt w\ngradient J wrt w",
        "model.brk:6:1",
        "second gradient request",
        "as gradW",
    ),
    "two functions of one name": (
        HEAD + "J = w · w\ngradient J wrt w as evaluate",
        "model.brk:5:1",
        "two functions would be called evaluate",
        "as NAME",
    ),
    "an invisible character": ("input x : 3\ny = x\u202e + x", "model.brk:2:6", "RIGHT-TO-LEFT OVERRIDE, U+202E", "remove it"),
    "a null byte": ("input x : 3\x00\ny = x", "model.brk:1:12", "U+0000", "remove it"),
    "a letter that only looks like others": ("input ﬁ : 3\ny = 1", "model.brk:1:7", "only looks like fi", "write fi"),
}


@pytest.mark.parametrize(("text", "place", "message", "fix"), SOURCES.values(), ids=SOURCES)
def test_a_malformed_source(text: str, place: str, message: str, fix: str) -> None:
    shown = str(mistake(text))
    first, *rest = shown.splitlines()
    assert first.startswith(f"{place}: error: "), shown
    assert message in first, shown
    assert rest[0].partition("|")[2].strip() or not text, "the line is shown"
    assert "^" in rest[1], "and underlined"
    assert not fix or fix in shown, shown


SIZES = {
    "the inner dimension of @": ("input A : 3, 4\ninput B : 5, 6\nC = A @ B", ("4 in A", "5 in B")),
    "a label": ("dim N\ninput A : N, 3\ninput B : 4, N\nC = (A_ik B_kj | ij)", ("label k", "3 in A_ik", "4 in B_kj")),
    "a sum": (HEAD + "y = X @ w + w", ("N in X @ w", "D in w", "give them one name")),
    "an element-wise product": (HEAD + "y = w ⊙ (X @ w)", ("D", "N")),
    "a bound size": ("dim N = 3\ninput A : N\ninput B : 4\nJ = A · B", ("3", "4")),
    "the axes of a family": (
        "dim L = 2\ndim D[0..L] = 2, 3, 4\ninput X : 5, D[0]\nparam W[j] : D[j-1], D[j] for j = 1..L\nJ = X @ W[2]",
        ("2 in X", "3 in W[2]"),
    ),
}


@pytest.mark.parametrize(("text", "parts"), SIZES.values(), ids=SIZES)
def test_sizes_that_do_not_unify_name_the_index_and_both_sizes(text: str, parts: tuple[str, ...]) -> None:
    shown = str(mistake(text))
    assert all(part in shown for part in parts), shown
    assert "two sizes" in shown and shown.count("^") >= 1


def test_all_mistakes_of_a_file_come_in_one_run() -> None:
    text = HEAD + "a = q1\nb = 2w\nc = (w_i | k)\nd = X @ X\ne = tahn(w)\ngradient f wrt g"
    error = mistake(text)
    lines = [diagnostic.span.source.position(diagnostic.span.start)[0] for diagnostic in error.diagnostics if diagnostic.span]
    assert sorted(set(lines)) == [4, 5, 6, 7, 8, 9], str(error)
    assert all(diagnostic.help for diagnostic in error.diagnostics), str(error)


NO_PROGRAM: dict[str, Callable[[Any], Any]] = {
    "parse": bc.parse,
    "compile": bc.compile,
    "compile for NumPy": lambda given: bc.compile(given, backend="numpy"),
    "build": lambda given: bc.build(given, "nowhere"),
    "derive": bc.derive,
    "load": bc.load,
    "verify": bc.verify,
}


@pytest.mark.parametrize("given", [None, 3, b"F = 1", ["F = 1"]], ids=str)
@pytest.mark.parametrize("call", NO_PROGRAM.values(), ids=NO_PROGRAM)
def test_what_is_no_program_is_told_so(call: Callable[[Any], Any], given: Any) -> None:
    with pytest.raises(bc.SourceError, match=f"found an object of type {type(given).__name__}"):
        call(given)


def test_deep_nesting_is_a_limit_and_no_crash() -> None:
    error = mistake("y = " + "(" * 5000 + "1" + ")" * 5000)
    assert isinstance(error, bc.LimitError) and "nest" in str(error)
    assert "raise the limit" in str(error) and len(str(error)) < 1000


# ------------------------------------------------------------------------------------------------ names
@each_backend
def test_names_that_are_keywords_or_names_of_the_target(backend: str) -> None:
    names = ["class", "lambda", "int", "double", "restrict", "errno", "NULL", "np", "self", "out", "strict", "memcpy", "main"]
    declared = "\n".join(f"param {name} : float" for name in names)
    total = " + ".join(f"{k} sum({name})" for k, name in enumerate(names, 1))
    source = f"dim float\n{declared}\nstatic = {total}\ngradient static wrt {', '.join(names)}"
    module = bc.compile(source, backend=backend)
    value, gradients = module.value_and_grad(*[np.ones(2)] * len(names))
    assert value == len(names) * (len(names) + 1)
    assert [gradient[0] for gradient in gradients] == list(range(1, len(names) + 1))
    assert gradients._fields[:2] == ("class_", "lambda_") and "out_" in gradients._fields


@each_backend
def test_names_that_differ_by_case_or_accent_only(backend: str) -> None:
    source = "dim n, N\nparam a : n\nparam A : n\nparam á : n\nparam À : N\nparam a' : N\n"
    source += "J = a · A + a · á + 2 (À · a')\ngradient J wrt a, A, á, À, a'"
    module = bc.compile(source, backend=backend)
    arrays = [np.full(2, k) for k in (1.0, 2.0, 3.0)] + [np.full(3, 4.0), np.full(3, 5.0)]
    value, gradients = module.value_and_grad(*arrays)
    assert value == 4 + 6 + 120 and gradients._fields == ("a", "A", "á", "À", "a_prime")
    assert [float(gradient[0]) for gradient in gradients] == [5, 1, 1, 10, 8]


@each_backend
@pytest.mark.parametrize("name", ["class", "double", "main"])
def test_a_model_named_like_a_keyword(name: str, backend: str, tmp_path: Path) -> None:
    path = tmp_path / f"{name}.brk"
    path.write_text("dim N\nparam x : N\nJ = x · x\ngradient J wrt x", encoding="utf-8")
    built = bc.build(bc.load(path), tmp_path, backend=backend)
    assert built.name.isidentifier() and built.name in (name, f"{name}_")
    code = f"import sys; sys.path.insert(0, {str(tmp_path)!r}); import {built.name} as m; print(m.value_and_grad([3.0, 4.0]).value)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.stdout.strip() == "25.0", done.stderr


@pytest.mark.parametrize("name", ["SIGNATURE", "Outputs", "np", "class", "ArgumentError"])
def test_a_request_named_like_something_of_the_module(name: str) -> None:
    module = bc.compile(f"dim N\nparam x : N\nJ = x · x\ngradient J wrt x as {name}", backend="numpy")
    assert getattr(module, f"{name}_")([3.0, 4.0]).value == 25
    assert module.SIGNATURE["name"] == "model"


# ------------------------------------------------------------------------------------------------ arguments
@pytest.fixture(scope="module", params=BACKENDS)
def module(request: pytest.FixtureRequest) -> ModuleType:
    source = HEAD + "input y : N\nparam b : scalar\nr = X @ w + b 𝟏 - y\nJ = r · r\ngradient J wrt w, b\nhvp J wrt w"
    return bc.compile(source, backend=request.param)


def given(**changed: Any) -> dict[str, Any]:
    return {"X": np.ones((3, 2)), "w": np.ones(2), "y": np.ones(3), "b": 1.0, **changed}


ARGUMENTS: dict[str, tuple[Callable[[ModuleType], Any], str]] = {
    "another size": (lambda m: m.evaluate(**given(w=np.ones(3))), "index D: 2 in X, 3 in w"),
    "another size at a bound call": (lambda m: m.value_and_grad.bind(**given(w=np.ones(3))), "index D: 2 in X, 3 in w"),
    "another size of a tangent": (lambda m: m.hvp_J_w(**given(), d_w=np.ones(5)), "index D: 2 in X, 5 in d_w"),
    "a matrix for a vector": (lambda m: m.evaluate(**given(w=np.ones((2, 1)))), r"w: .*2 axes.*\(2, 1\).*1 declared \(D\)"),
    "a vector for a scalar": (lambda m: m.evaluate(**given(b=np.ones(1))), r"b: .*1 axes.*declared \(scalar\)"),
    "a vector for a cotangent": (lambda m: m.backward(m.forward(**given())[1], J=np.ones(2)), r"J: .*declared \(scalar\)"),
    "rows of different length": (lambda m: m.evaluate(**given(X=[[1, 2], [3]])), "X: .*inhomogeneous"),
    "complex numbers": (lambda m: m.evaluate(**given(w=np.ones(2, complex))), "w: cannot use complex128 entries"),
    "objects": (lambda m: m.evaluate(**given(w=[None, 1])), "w: cannot use object entries"),
    "nothing": (lambda m: m.evaluate(**given(w=None)), "w: cannot use object entries"),
    "a mapping": (lambda m: m.evaluate(**given(w={})), "w: cannot use object entries"),
    "text": (lambda m: m.evaluate(**given(w="ab")), "w: cannot use <U2 entries"),
    "dates": (lambda m: m.evaluate(**given(w=np.zeros(2, "datetime64[D]"))), "w: cannot use datetime64"),
    "a masked array": (
        lambda m: m.evaluate(**given(w=np.ma.masked_array([1.0, 2.0], [True, False]))),
        "w: a masked array; fill it",
    ),
    "integers beyond all": (lambda m: m.evaluate(**given(w=[2**70, 1])), "w: cannot use object entries"),
    "no residuals": (lambda m: m.backward(None), "residuals must be what forward of this module returned"),
    "out that is no array": (lambda m: m.value_and_grad(**given(), out=3), "out must be a tuple or a mapping of value, gradients"),
    "out of an unknown name": (
        lambda m: m.value_and_grad(**given(), out={"v": np.ones(2)}),
        "'v'; the results are value, gradients",
    ),
    "out of another type": (
        lambda m: m.value_and_grad(**given(), out={"w": np.ones(2, "f4")}),
        r"w needs .*float64 array of shape \(2,\)",
    ),
    "out that is a list": (lambda m: m.value_and_grad(**given(), out={"w": [0, 0]}), "out takes NumPy arrays, not list"),
}


@pytest.mark.parametrize(("call", "message"), ARGUMENTS.values(), ids=ARGUMENTS)
def test_wrong_arguments(module: ModuleType, call: Callable[[ModuleType], Any], message: str) -> None:
    with pytest.raises(bc.ArgumentError) as caught:
        call(module)
    assert re.search(message, str(caught.value)), str(caught.value)
    assert len(str(caught.value).splitlines()) == 1
    assert ValueError in type(caught.value).mro()


CALLS: dict[str, tuple[Callable[[ModuleType], Any], str]] = {
    "an argument is missing": (lambda m: m.evaluate(X=1, y=2), "evaluate.* 2 required .*'w' and 'b'"),
    "an argument nobody knows": (lambda m: m.evaluate(**given(), z=1), "evaluate.*'z'"),
    "too many arguments": (lambda m: m.evaluate(1, 2, 3, 4, 5, 6), "evaluate.*4 .*6"),
    "an argument twice": (lambda m: m.evaluate(1, X=1), "evaluate.*multiple values.*'X'"),
    "a cotangent nobody knows": (lambda m: m.backward(m.forward(**given())[1], K=1.0), "backward.*'K'"),
    "a tangent is missing": (lambda m: m.hvp_J_w(**given()), "hvp_J_w.*'d_w'"),
}


@pytest.mark.parametrize(("call", "message"), CALLS.values(), ids=CALLS)
def test_wrong_calls_are_told_as_python_tells_them(module: ModuleType, call: Callable[[ModuleType], Any], message: str) -> None:
    with pytest.raises(TypeError) as caught:
        call(module)
    assert re.search(message, str(caught.value)), str(caught.value)


# ------------------------------------------------------------------------------------------------ zero sizes and NaN
SIZE_ZERO = {"X": (0, 2), "y": (0,)}, {"X": (3, 0), "w": (0,)}, {"X": (0, 0), "w": (0,), "y": (0,)}


@pytest.mark.parametrize("shapes", SIZE_ZERO, ids=str)
def test_arrays_without_entries(module: ModuleType, shapes: dict[str, tuple[int, ...]]) -> None:
    arrays = given(**{name: np.zeros(shape) for name, shape in shapes.items()})
    r = arrays["X"] @ arrays["w"] + arrays["b"] - arrays["y"]
    value, (dw, db) = module.value_and_grad(**arrays)
    assert value == r @ r and db == 2 * r.sum()
    np.testing.assert_array_equal(dw, 2 * arrays["X"].T @ r)


@each_backend
@pytest.mark.parametrize("model", ["classifier", "recurrent"])
def test_a_missing_number_reaches_everything_that_depends_on_it(model: str, backend: str) -> None:
    program = bc.load(MODELS[model])
    compiled = bc.compile(program, backend=backend)
    for name, spec in program.inputs.items():
        arrays = arrays_of(program)
        arrays[name].flat[0] = np.nan
        value, gradients = compiled.value_and_grad(**arrays)
        outputs, residuals = compiled.forward(**arrays)
        assert np.isnan(value) and np.isnan(outputs.J), name
        if spec.kind == "param":
            assert np.isnan(getattr(gradients, name)).any(), name
            assert np.isnan(getattr(compiled.backward(residuals), name)).any(), name


@each_backend
def test_a_missing_number_survives_minima_maxima_and_conditions(backend: str) -> None:
    lines = ["max(x, 0)", "min(x, 0)", "relu(x)", "abs(x)", "sign(x)", "sigmoid(x)", "softplus(x)", "step(x)"]
    source = "dim N\ninput x : N\n" + "\n".join(f"function f{k}(x) = {text}\ny{k} = f{k}(x)" for k, text in enumerate(lines))
    source += "\nm = max(x)\nl = logsumexp(x)\np = softmax(x)\noutput " + ", ".join(
        [*(f"y{k}" for k in range(len(lines))), "m, l, p"]
    )
    found = bc.compile(source, backend=backend).evaluate(np.array([1.0, np.nan, -2.0] * 7))
    for text, array in zip([*lines, "max", "logsumexp", "softmax"], found, strict=True):
        at = array if np.ndim(array) == 0 else array[1::3]
        assert np.isnan(at).all(), text


# ------------------------------------------------------------------------------------------------ the machine
def command(*arguments: str, cwd: Path, environment: dict[str, str] | None = None, limit: int | None = None) -> Any:
    """The command line in a process of its own; ``limit`` is the most bytes that a file may have."""

    def restrict() -> None:
        import resource

        if limit is not None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

    path = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    around = {name: value for name, value in os.environ.items() if limit is None or not name.startswith("COVERAGE_")}
    return subprocess.run(
        [sys.executable, "-m", "bracketc", *arguments],
        cwd=cwd,
        env={**around, "PYTHONPATH": path, "BRACKETC_CACHE_DIR": str(cwd / "cache"), **(environment or {})},
        preexec_fn=restrict if limit is not None else None,
        capture_output=True,
        text=True,
        check=False,
    )


LINEAR = str(MODELS["linear"])
NO_PATH = {"PATH": "/nowhere", "CC": "", "BRACKETC_CC": ""}


def test_without_a_compiler_c_is_refused_with_the_fix(tmp_path: Path) -> None:
    done = command("build", LINEAR, "-o", "out", "--backend", "c", cwd=tmp_path, environment=NO_PATH)
    assert done.returncode == 3 and "no C compiler found" in done.stderr
    assert "install gcc or clang" in done.stderr and "--backend numpy" in done.stderr and "Traceback" not in done.stderr
    assert not list(tmp_path.glob("out/*"))


def test_without_a_compiler_and_a_wish_numpy_is_built_with_one_warning(tmp_path: Path) -> None:
    done = command("build", LINEAR, "-o", "out", cwd=tmp_path, environment=NO_PATH)
    assert done.returncode == 0 and done.stderr.count("warning") == 1 and "no C compiler found" in done.stderr
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["linear.py", "linear.pyi"]


def test_a_compiler_that_does_not_exist_is_named(tmp_path: Path) -> None:
    chosen = {"BRACKETC_CC": "/nowhere/cc"}
    done = command("build", LINEAR, "-o", "out", "--backend", "c", cwd=tmp_path, environment=chosen)
    assert done.returncode == 3 and "'/nowhere/cc' does not exist; correct BRACKETC_CC" in done.stderr


def test_no_compiler_in_memory_is_a_toolchain_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    for name in ("CC", "BRACKETC_CC"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(bc.ToolchainError, match=r"no C compiler found: .*backend='numpy'"):
        bc.compile("dim N\ninput x : N\nJ = 12345 (x · x)", backend="c")


@each_backend
def test_a_folder_that_cannot_be_made_is_named(backend: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine", encoding="utf-8")
    with pytest.raises(bc.ToolchainError) as caught:
        bc.build(bc.load(LINEAR), tmp_path / "file" / "out", backend=backend)
    assert f"cannot write to {tmp_path / 'file' / 'out'}" in str(caught.value) and "another folder" in str(caught.value)
    assert (tmp_path / "file").read_text(encoding="utf-8") == "mine"


@pytest.mark.skipif(hasattr(os, "geteuid") and os.geteuid() == 0, reason="nothing is forbidden to root")
def test_a_folder_without_permission_is_named(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    try:
        with pytest.raises(bc.ToolchainError, match="Permission denied; choose another folder or change its permissions"):
            bc.build(bc.load(LINEAR), tmp_path, backend="numpy")
    finally:
        tmp_path.chmod(0o700)


@pytest.mark.skipif(sys.platform == "win32", reason="limits on files are those of POSIX")
@pytest.mark.parametrize("limit", [1000, 20_000])
def test_a_file_that_cannot_be_finished_leaves_no_partial_module(limit: int, tmp_path: Path) -> None:
    done = command("build", LINEAR, "-o", "out", "--backend", "numpy", cwd=tmp_path, limit=limit)
    assert done.returncode == 3 and "cannot write to out: File too large; raise the limit" in done.stderr, done.stderr
    assert not list((tmp_path / "out").iterdir())


@needs_compiler
@pytest.mark.skipif(sys.platform == "win32", reason="limits on files are those of POSIX")
@pytest.mark.parametrize("limit", [20_000, 60_000])
def test_a_compiler_that_runs_out_of_room_leaves_no_partial_module(limit: int, tmp_path: Path) -> None:
    done = command("build", LINEAR, "-o", "out", "--backend", "c", cwd=tmp_path, limit=limit)
    assert done.returncode == 3 and "Traceback" not in done.stderr, done.stderr
    assert re.search("File too large|File size limit|could not compile", done.stderr), done.stderr
    assert not list((tmp_path / "out").iterdir())


@each_backend
@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT])
@pytest.mark.parametrize("call", [1, 2])
def test_a_disk_that_is_full_half_way_leaves_the_module_before(
    call: int, code: int, backend: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Writing, then moving: whichever call fails, what stood there before stands there still, and works."""
    before = bc.build("dim N\nparam x : N\nJ = x · x\ngradient J wrt x", tmp_path, backend="numpy", name="model")
    contents = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    for function in ("fsync", "replace"):
        seen: list[object] = []
        real = getattr(os, function)

        def failing(*arguments: Any, real: Any = real, seen: list[object] = seen) -> Any:
            seen.append(arguments)
            if len(seen) == call:
                raise OSError(code, os.strerror(code))
            return real(*arguments)

        with monkeypatch.context() as patched:
            patched.setattr(f"bracketc.runtime.directory.os.{function}", failing)
            with pytest.raises(bc.ToolchainError, match="the disk is full; free some space or choose another folder"):
                bc.build(
                    "dim N\nparam x : N\nJ = 2 (x · x)\ngradient J wrt x", tmp_path, backend=backend, name="model", compile=False
                )
        assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == contents, function
    assert [path.name for path in before.files] == ["model.pyi", "model.py"]


def test_a_folder_in_the_place_of_a_file_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "linear.py").mkdir()
    with pytest.raises(bc.ToolchainError, match=r"linear\.py is a folder there"):
        bc.build(bc.load(LINEAR), tmp_path, backend="numpy")
    assert [path.name for path in tmp_path.iterdir()] == ["linear.py"]


def test_an_unbuilt_module_names_the_command_that_builds_it(tmp_path: Path) -> None:
    bc.build(bc.load(LINEAR), tmp_path, backend="c", compile=False)
    code = f"import sys; sys.path.insert(0, {str(tmp_path)!r}); import linear"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=tmp_path)
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("ImportError: linear is not built") and "bracketc build" in last and "--backend c" in last


def test_messages_of_generated_code_are_code(tmp_path: Path) -> None:
    """Whatever a source is called, nothing of it is run."""
    name = 'x"""; import os; os.abort() #\nU.brk'
    program = bc.parse("dim N\nparam x : N\nJ = x · x\ngradient J wrt x", filename=name)
    built = bc.build(program, tmp_path, backend="numpy", name="model")
    tree = ast.parse((tmp_path / "model.py").read_text(encoding="utf-8"))
    assert not any(isinstance(node, ast.Attribute) and node.attr == "abort" for node in ast.walk(tree))
    assert built.name == "model"
