"""What must be true of the text of the repository, whatever it does when it runs."""

from __future__ import annotations

import ast
import re
import subprocess
import tomllib
from pathlib import Path

import jinja2
import pytest
from jinja2 import nodes

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "bracketc"
TEMPLATES = sorted(path for path in (ROOT / "templates").rglob("*") if path.is_file() and path.parent.name != "__pycache__")
ARITHMETIC = (nodes.Add, nodes.Sub, nodes.Mul, nodes.Div, nodes.FloorDiv, nodes.Mod, nodes.Pow, nodes.Neg)
TYPE_TESTS = {"string", "number", "integer", "float", "mapping", "sequence", "iterable", "boolean", "callable"}


def tracked() -> list[Path]:
    """Files under version control, or everything in an unpacked archive."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode:
        pytest.skip("no git checkout: the list of tracked files is unknown")
    return [ROOT / name for name in listed.stdout.split("\0") if name and (ROOT / name).is_file()]


def text_of(path: Path) -> str:
    """Contents of a text file; nothing for binaries."""
    data = path.read_bytes()
    return "" if b"\0" in data[:8192] else data.decode("utf-8")


def template_mistakes(source: str) -> list[str]:
    """Decisions that a template takes and a view should have taken."""
    tree = jinja2.Environment(extensions=["jinja2.ext.do"]).parse(source)
    found = [f"line {node.lineno}: arithmetic" for node in tree.find_all(ARITHMETIC)]
    found += [f"line {node.lineno}: type test" for node in tree.find_all(nodes.Test) if node.name in TYPE_TESTS]
    return found


@pytest.mark.parametrize("template", TEMPLATES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_template_neither_computes_nor_tests_types(template: Path) -> None:
    assert template_mistakes(template.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize("source", ["{{ n + 1 }}", "{% if x is string %}{% endif %}", "{{ -n }}"])
def test_a_template_that_computes_is_found(source: str) -> None:
    assert template_mistakes(source) != []


@pytest.mark.parametrize("module", sorted((PACKAGE / "emit").rglob("*.py")), ids=lambda path: path.name)
def test_formatters_hold_no_loops_and_no_directives_of_the_target(module: Path) -> None:
    texts = [
        (node.lineno, node.value)
        for node in ast.walk(ast.parse(module.read_text(encoding="utf-8")))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    ]
    assert [(line, text) for line, text in texts for bad in ("for (", "#pragma", "#include") if bad in text] == []


@pytest.mark.parametrize("module", sorted(PACKAGE.rglob("*.py")), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_settings_from_the_environment_are_read_in_one_place(module: Path) -> None:
    if module.relative_to(PACKAGE).parts in (("options.py",), ("bench", "pinning.py")):
        return  # pinning hands the environment on to the process that it starts
    uses = [
        node.lineno
        for node in ast.walk(ast.parse(module.read_text(encoding="utf-8")))
        if isinstance(node, ast.Attribute) and node.attr in ("environ", "getenv", "environb")
    ]
    assert uses == []


def test_nothing_switches_the_process_to_fast_math() -> None:
    flag = re.compile("-ff" "ast-math|-Of" "ast")
    allowed = re.compile(r"never|not |no -", re.IGNORECASE)
    found = [
        f"{path.relative_to(ROOT)}: {line.strip()}"
        for path in tracked()
        for line in text_of(path).splitlines()
        if flag.search(line) and not allowed.search(line)
    ]
    assert found == []


def test_no_tracked_file_is_large_or_compiled() -> None:
    found = [path.name for path in tracked() if path.suffix in (".so", ".o", ".pyc") or path.stat().st_size > 500_000]
    assert found == []


def test_the_licence_is_named_alike_everywhere() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["license"] == "MIT"
    assert (ROOT / "LICENSE").read_text(encoding="utf-8").startswith("MIT License")


def test_the_makefile_has_help_for_every_target() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    named = set(re.findall(r"^([a-z]+):", makefile, re.MULTILINE))
    helped = set(re.findall(r"^([a-z]+):.*## ", makefile, re.MULTILINE))
    assert named == helped
    assert {"help", "setup", "demo", "test", "lint", "bench", "wheel", "fuzz"} <= helped


def test_continuous_integration_runs_the_command_of_the_readme() -> None:
    assert "make test" in (ROOT / ".ci" / "run").read_text(encoding="utf-8")


def test_every_link_of_the_documentation_leads_somewhere() -> None:
    broken = []
    for page in tracked():
        if page.suffix != ".md":
            continue
        prose = re.sub(r"```.*?```|`[^`]*`", "`code`", page.read_text(encoding="utf-8"), flags=re.DOTALL)
        for target in re.findall(r"\]\(([^)#]+)[^)]*\)", prose):
            if "://" not in target and not (page.parent / target).exists():
                broken.append(f"{page.relative_to(ROOT)}: {target}")
    assert broken == []
