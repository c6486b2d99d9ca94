"""``import "layers.brk"``: declarations of another file, read only inside the folder of the root file."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

import bracketc as bc
from bracketc.cli import main
from bracketc.errors import SourceError

LAYER = """
dim N, D
param W : D, D
function s(a) = exp(a) / (ones . exp(a))
A = X @ W
J = 0 A[1,1]
gradient J wrt W
output J
"""
ROOT = 'import "parts/layer.brk"\ninput X : N, D\nF = norm2(s^1(A))\ngradient F wrt W\n'


def folder(place: Path, **files: str) -> Path:
    """Files by name, ``parts__layer`` for parts/layer.brk; gives the path of root.brk."""
    for name, text in files.items():
        path = place.joinpath(*name.split("__")).with_suffix(".brk")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return place / "root.brk"


def message(path: Path) -> str:
    with pytest.raises(SourceError) as caught:
        bc.load(path)
    return str(caught.value)


def test_declarations_of_another_file_come_in_place_of_the_import(tmp_path: Path) -> None:
    program = bc.load(folder(tmp_path, root=ROOT, parts__layer=LAYER))
    assert list(program.inputs) == ["W", "X"]
    assert [request.output for request in program.requests] == ["F"] and list(program.outputs) == ["F"]
    rng = np.random.default_rng(0)
    W, X = rng.normal(size=(3, 3)), rng.normal(size=(4, 3))
    soft = np.exp(X @ W) / np.exp(X @ W).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(bc.compile(program, backend="numpy").value_and_grad(W, X)[0], (soft**2).sum())


def test_a_file_that_two_others_import_is_read_once(tmp_path: Path) -> None:
    root = 'import "a.brk"\nimport "b.brk"\nF = x + y'
    path = folder(tmp_path, root=root, a='import "c.brk"\ninput x : N', b='import "c.brk"\ninput y : N', c="dim N")
    assert list(bc.load(path).inputs) == ["x", "y"]


def test_an_imported_file_imports_beside_itself(tmp_path: Path) -> None:
    path = folder(tmp_path, root='import "p/a.brk"\nF = x', p__a='import "b.brk"\nimport "../c.brk"', p__b="input x : N", c="dim N")
    assert list(bc.load(path).inputs) == ["x"]


def test_mistakes_show_the_file_that_they_are_in(tmp_path: Path) -> None:
    path = folder(tmp_path, root='import "a.brk"\nF = A + B\ninput x : 3', a="A = x^2\n\nB = x + y")
    text = message(path)
    assert f"{tmp_path / 'a.brk'}:1:6: error: ^ is no power" in text
    assert f"{tmp_path / 'a.brk'}:3:9: error: unknown name y\n    3 | B = x + y" in text
    assert "unknown name A" not in text


def test_a_name_declared_in_two_files_names_both_places(tmp_path: Path) -> None:
    text = message(folder(tmp_path, root='import "a.brk"\ninput x : 4\nF = x', a="# first\ninput x : 3"))
    assert f"{tmp_path / 'root.brk'}:2:7: error: x is declared twice" in text
    assert f"{tmp_path / 'a.brk'}:2:7: note: declared before" in text


def test_circular_imports_name_the_circle(tmp_path: Path) -> None:
    text = message(folder(tmp_path, root='import "a.brk"\nF = 1', a='import "b.brk"', b='import "a.brk"'))
    assert f"circular import: {tmp_path / 'a.brk'} → {tmp_path / 'b.brk'} → {tmp_path / 'a.brk'}" in text
    assert "circular import" in message(folder(tmp_path, root='import "root.brk"\nF = 1'))


@pytest.mark.parametrize(
    ("path", "wanted"),
    [
        ("missing.brk", "cannot read missing.brk: No such file or directory"),
        ("../outside.brk", "lies outside the folder of root.brk"),
        ("p/../../outside.brk", "lies outside the folder of root.brk"),
        ("link.brk", "lies outside the folder of root.brk"),
        ("linked/outside.brk", "lies outside the folder of root.brk"),
        ("/etc/passwd.brk", "is no relative path"),
        ("p\\\\a.brk", "is no relative path"),
        ("/etc/passwd", "is no .brk file"),
        ("folder.brk", "is no file"),
        ("pipe.brk", "is no file"),
        ("latin.brk", "is not UTF-8 text (byte 4)"),
    ],
)
def test_files_that_are_not_read(path: str, wanted: str, tmp_path: Path) -> None:
    (tmp_path / "outside.brk").write_text("dim N")
    inside = tmp_path / "inside"
    root = folder(inside, root=f'import "{path}"\nF = 1', p__a="dim N")
    (inside / "link.brk").symlink_to(tmp_path / "outside.brk")
    (inside / "linked").symlink_to(tmp_path)
    (inside / "folder.brk").mkdir()
    (inside / "latin.brk").write_bytes(b"dim \xe9")
    os.mkfifo(inside / "pipe.brk")
    assert wanted in message(root)


def test_a_text_without_a_file_imports_nothing() -> None:
    with pytest.raises(SourceError, match="lies in no folder"):
        bc.parse('import "a.brk"\nF = 1')


def test_verify_reads_imports_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = 'import "a.brk"\nderivation { J = x · x\n dJ = 2 x · dx }'
    assert main(["verify", str(folder(tmp_path, root=root, a="input x : 3\nJ = x · x"))]) == 0
    assert "unknown" not in capsys.readouterr().out
