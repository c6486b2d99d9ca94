"""``import bracketc as bc``: parse, load, compile, build, and what they raise."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import bracketc as bc

SOURCE = "dim N\ninput x : N\nparam w : N\nJ = (x · w)**2\ngradient J wrt w\nhessian J wrt w"


def test_syntax_errors_do_not_hide_the_others() -> None:
    text = "dim N\ninput x : N\nA = x^2\nB = A + q\nC = A ⊙ x\nJ = x · z\ngradient A wrt x\n"
    with pytest.raises(bc.BracketError) as caught:
        bc.parse(text)
    messages = [d.message for d in caught.value.diagnostics]
    assert messages == ["^ is no power", "unknown name q", "unknown name z"]


def test_a_program_names_its_inputs_outputs_and_requests() -> None:
    program = bc.parse(SOURCE)
    assert list(program.inputs) == ["x", "w"]
    assert program.inputs["w"].kind == "param" and program.inputs["x"].dims == ("N",)
    assert list(program.outputs) == ["J"] and program.outputs["J"].shape == ()
    assert [(r.kind, r.output, r.wrt) for r in program.requests] == [
        ("gradient", "J", ("w",)),
        ("hessian", "J", ("w",)),
    ]


def test_a_program_cannot_be_changed() -> None:
    program = bc.parse(SOURCE)
    with pytest.raises(AttributeError):
        program.requests = ()  # type: ignore[misc]
    with pytest.raises(TypeError):
        program.inputs["z"] = program.inputs["x"]  # type: ignore[index]


def test_text_and_program_compile_to_the_same() -> None:
    one, two = bc.compile(SOURCE, backend="numpy"), bc.compile(bc.parse(SOURCE), backend="numpy")
    x, w = np.array([1.0, 2.0]), np.array([3.0, 4.0])
    assert one.value_and_grad(x, w).value == two.value_and_grad(x, w).value == 121
    np.testing.assert_allclose(one.hessian_J_w(x, w), 2 * np.outer(x, x))


def test_compiling_again_gives_the_same_module() -> None:
    assert bc.compile(SOURCE, backend="numpy") is bc.compile(SOURCE, backend="numpy")
    assert bc.compile(bc.parse(SOURCE), backend="numpy") is bc.compile(bc.parse(SOURCE), backend="numpy")
    assert bc.compile(SOURCE, backend="numpy") is not bc.compile(SOURCE, backend="numpy", dtype="float32")


def test_the_type_may_be_given_as_numpy_writes_it() -> None:
    for dtype in (np.float32, np.dtype("float32"), "float32"):
        assert bc.compile(SOURCE, backend="numpy", dtype=dtype).SIGNATURE["dtype"] == "float32"  # type: ignore[arg-type]


def test_load_reads_a_file_and_names_the_module_after_it(tmp_path: Path) -> None:
    path = tmp_path / "my-model.brk"
    path.write_text("\ufeff" + SOURCE, encoding="utf-8")
    module = bc.compile(bc.load(path), backend="numpy")
    assert module.SIGNATURE["name"] == "my_model" and module.SIGNATURE["source"] == "my-model.brk"


def test_files_that_cannot_be_read_are_errors_in_the_source(tmp_path: Path) -> None:
    with pytest.raises(bc.SourceError, match=r"missing\.brk"):
        bc.load(tmp_path / "missing.brk")
    broken = tmp_path / "broken.brk"
    broken.write_bytes(b"J = 1 \xff")
    with pytest.raises(bc.SourceError, match="UTF-8"):
        bc.load(broken)


def test_a_mistake_shows_file_line_column_and_the_source_underlined() -> None:
    with pytest.raises(bc.BracketError) as caught:
        bc.parse("input x : 3\nJ = x · y\n", filename="wrong.brk")
    text = str(caught.value)
    assert "wrong.brk:2:9" in text and "J = x · y" in text and "^" in text


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"backend": "fortran"}, "backend"),
        ({"dtype": "int8"}, "dtype"),
        ({"threads": 0}, "threads"),
        ({"sizes": {"N": -1}}, "size N"),
        ({"sizes": {"N": 1.5}}, "size N"),
        ({"speed": 3}, "speed"),
    ],
)
def test_an_impossible_setting_names_itself(settings: dict[str, object], message: str) -> None:
    with pytest.raises(bc.OptionError, match=message):
        bc.compile(SOURCE, **{"backend": "numpy", **settings})  # type: ignore[arg-type]


def test_a_limit_names_the_option_that_raises_it() -> None:
    with pytest.raises(bc.LimitError, match=r"the option max_flops raises the limit, `dim . ~ 10` plans for a smaller"):
        bc.compile(SOURCE, backend="numpy", max_flops=10)
    bc.compile(SOURCE, backend="numpy", max_flops=10**9)


def test_a_target_that_is_no_scalar_names_the_jacobian() -> None:
    with pytest.raises(bc.SourceError, match="jacobian"):
        bc.compile("dim N\nparam x : N\ny = 2 x\ngradient y wrt x", backend="numpy")


def test_importing_bracketc_loads_neither_numpy_nor_the_compiler() -> None:
    code = "import sys, bracketc; print('numpy' in sys.modules or 'jinja2' in sys.modules, bracketc.__version__)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", bc.__version__]


def test_every_public_name_is_there() -> None:
    for name in bc.__all__:
        assert getattr(bc, name) is not None
    with pytest.raises(AttributeError):
        bc.nothing  # noqa: B018


@pytest.mark.parametrize(
    ("name", "module"),
    [("my-model", "my_model"), ("class", "class_"), ("double", "double_"), ("2x", "model_2x"), ("modèle", "modele")],
)
def test_names_of_models_become_names_of_modules(name: str, module: str, tmp_path: Path) -> None:
    built = bc.build(SOURCE, tmp_path, backend="numpy", name=name)
    assert built.name == module and (tmp_path / f"{module}.py").is_file()


def test_a_name_without_letters_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(bc.SourceError, match="name"):
        bc.build(SOURCE, tmp_path, backend="numpy", name="--")


def test_build_reports_what_it_wrote(tmp_path: Path) -> None:
    built = bc.build(SOURCE, tmp_path / "new" / "folder", backend="numpy", name="square")
    assert sorted(path.name for path in built.files) == ["square.py", "square.pyi"]
    assert all(path.is_file() for path in built.files)
    flops, bytes_ = built.cost("value_and_grad")
    assert flops > 0 and bytes_ > 0


def test_the_same_input_gives_the_same_bytes(tmp_path: Path) -> None:
    for folder in ("a", "b"):
        bc.build(bc.parse(SOURCE, filename=f"/somewhere/{folder}/square.brk"), tmp_path / folder, backend="numpy")
    one, two = ((tmp_path / folder / "square.py").read_bytes() for folder in ("a", "b"))
    assert one == two and b"somewhere" not in one


def test_numpy_modules_leave_threads_to_numpy() -> None:
    module = bc.compile("input x : 3\nJ = x · x\n", backend="numpy", threads=2)
    assert module.evaluate([1.0, 2.0, 2.0]).J == 9.0
