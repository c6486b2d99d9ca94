"""The set-up script says in one line what is missing."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

SCRIPT = Path(__file__).resolve().parent.parent / "tools" / "environment.py"


@pytest.fixture(scope="module")
def environment() -> ModuleType:
    spec = importlib.util.spec_from_file_location("environment", SCRIPT)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_an_old_python_is_named_with_what_is_needed(environment: ModuleType) -> None:
    sentence = environment.missing_python((3, 9, 1))
    assert "3.11 or newer" in sentence and "3.9" in sentence and "\n" not in sentence
    assert environment.missing_python((3, 11, 0)) is None
    assert environment.missing_python((4, 0, 0)) is None


def test_a_missing_venv_names_the_package_to_install(environment: ModuleType) -> None:
    sentence = environment.missing_venv({"venv": True, "ensurepip": False})
    assert "ensurepip" in sentence and "python3-venv" in sentence and "\n" not in sentence
    assert environment.missing_venv({"venv": True, "ensurepip": True}) is None


def test_a_missing_compiler_names_the_fallback_and_the_fix(environment: ModuleType) -> None:
    sentence = environment.missing_compiler(None)
    assert "NumPy backend" in sentence and "gcc" in sentence and "\n" not in sentence
    assert environment.missing_compiler("/usr/bin/cc") is None


def test_missing_headers_name_the_package_to_install(environment: ModuleType, tmp_path: Path) -> None:
    assert "python3-dev" in environment.missing_headers(str(tmp_path))
    (tmp_path / "Python.h").touch()
    assert environment.missing_headers(str(tmp_path)) is None


def test_no_compiler_is_found_on_an_empty_path(environment: ModuleType, tmp_path: Path) -> None:
    assert environment.find_compiler({"PATH": str(tmp_path)}) is None
    compiler = tmp_path / "clang"
    compiler.write_text("#!/bin/sh\n")
    compiler.chmod(0o755)
    assert environment.find_compiler({"PATH": str(tmp_path)}) == str(compiler)


def test_a_failing_command_shows_its_output_and_passes_on_its_status(
    environment: ModuleType, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stop:
        environment.run([sys.executable, "-c", "print('the reason'); raise SystemExit(7)"])
    assert stop.value.code == 7
    assert "the reason" in capsys.readouterr().err


def test_the_script_reads_on_a_python_that_is_too_old() -> None:
    """Its syntax stays with Python 3.6, since it is what tells people with an old Python so."""
    import ast

    ast.parse(SCRIPT.read_text(encoding="utf-8"), feature_version=(3, 6))


def test_set_up_stops_with_one_line_without_venv(environment: ModuleType, tmp_path: Path) -> None:
    code = (
        "import sys; sys.modules['ensurepip'] = None\n"
        f"sys.path.insert(0, {str(SCRIPT.parent)!r}); import environment\n"
        f"raise SystemExit(environment.main([{str(tmp_path / 'venv')!r}, 'test']))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith("error: Python has no module ensurepip") and done.stderr.count("\n") == 1
