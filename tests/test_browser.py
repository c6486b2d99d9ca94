"""Pages in a headless browser: nothing fetched, nothing in the console, mathematics that has a size, nothing too wide."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bracketc import compiler
from bracketc.cli.pages import Verified, annotated_page, derive_page, verify_page
from bracketc.derivation import answers
from bracketc.errors import Source
from bracketc.lang.claims import elaborate_derivations
from bracketc.lang.parser import parse_file
from bracketc.options import read_options
from bracketc.plan.explain import explain
from bracketc.plan.split import split_plan
from bracketc.proof.verify import verify_derivations

sync_api = pytest.importorskip("playwright.sync_api", reason="no playwright here")

ROOT = Path(__file__).resolve().parent.parent
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")

MEASURE = """() => ({
  wide: document.documentElement.scrollWidth - document.documentElement.clientWidth,
  flat: [...document.querySelectorAll('math')].filter(m => m.checkVisibility()).filter(m => {
    const r = m.getBoundingClientRect(); return !(r.width > 0 && r.height > 0); }).length,
  maths: document.querySelectorAll('math').length,
  ground: getComputedStyle(document.documentElement).backgroundColor,
  outside: [...document.querySelectorAll('svg')].filter(s => {
    const box = s.getBoundingClientRect();
    return [...s.querySelectorAll('text, rect, path')].some(part => {
      const r = part.getBoundingClientRect();
      return r.left < box.left - 1 || r.right > box.right + 1 || r.top < box.top - 1 || r.bottom > box.bottom + 1; });
  }).length,
})"""

CROSSED = """() => [...document.querySelectorAll('svg')].filter(s => {
  const texts = [...s.querySelectorAll('text')].map(t => t.getBoundingClientRect());
  return texts.some((a, i) => texts.slice(i + 1).some(b =>
    Math.min(a.right, b.right) - Math.max(a.left, b.left) > 1.5 && Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top) > 4));
}).length"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    path = next((found for name in BROWSERS if (found := shutil.which(name))), None)
    with sync_api.sync_playwright() as run:
        try:
            opened = run.chromium.launch(executable_path=path, args=["--no-sandbox"])
        except sync_api.Error as error:
            pytest.skip(f"no browser here: {str(error).splitlines()[0]}")
        yield opened
        opened.close()


def derivatives(model: str) -> str:
    program = compiler.load(ROOT / "models" / f"{model}.brk")
    options = read_options({})
    return derive_page(program, options, answers(program, options))


def derivations(name: str) -> str:
    tree = parse_file(Source((ROOT / "examples" / "derivations" / name).read_text(encoding="utf-8"), name))
    return verify_page([Verified(name, tree, verify_derivations(elaborate_derivations(tree)))])


def annotated(model: str) -> str:
    options = read_options({"backend": "c"})
    done = compiler.stages(compiler.load(ROOT / "models" / f"{model}.brk"), options)
    return annotated_page(done, explain(split_plan(done.plan)), options)


PAGES = {
    "derivatives": lambda: derivatives("classifier"),
    "recurrence": lambda: derivatives("recurrent"),
    "derivations": lambda: derivations("layers.brk"),
    "code": lambda: annotated("linear"),
}


@pytest.fixture(scope="module", params=PAGES)
def page(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("page") / "page.html"
    path.write_text(PAGES[request.param](), encoding="utf-8")
    return path


@pytest.mark.parametrize(("scheme", "width"), [("light", 1080), ("dark", 1080), ("light", 400)])
def test_a_page_shows_without_fetching_anything(browser: Any, page: Path, scheme: str, width: int) -> None:
    context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme, offline=True)
    tab = context.new_page()
    said: list[str] = []
    tab.on("console", lambda message: said.append(message.text))
    tab.on("pageerror", lambda error: said.append(str(error)))
    tab.on("request", lambda request: said.append(request.url) if not request.url.startswith(("file:", "data:")) else None)
    tab.goto(page.as_uri())
    tab.evaluate("() => document.querySelectorAll('details').forEach(part => part.open = true)")
    found = tab.evaluate(MEASURE)
    assert said == []
    assert found["wide"] <= 0 and found["flat"] == 0 and found["outside"] == 0
    light = sum(int(part) for part in found["ground"].removeprefix("rgb(").removesuffix(")").split(",")) > 384
    assert light == (scheme == "light")
    assert tab.screenshot().startswith(b"\x89PNG")
    context.close()


def test_no_two_texts_of_a_graph_cover_each_other(browser: Any, page: Path) -> None:
    tab = browser.new_page(viewport={"width": 1080, "height": 900})
    tab.goto(page.as_uri())
    assert tab.evaluate(CROSSED) == 0
    tab.close()


def test_the_button_turns_the_page_dark_and_back(browser: Any, page: Path) -> None:
    tab = browser.new_page(color_scheme="light")
    tab.goto(page.as_uri())
    ground = "() => getComputedStyle(document.documentElement).backgroundColor"
    before = tab.evaluate(ground)
    tab.click("#theme")
    assert tab.evaluate(ground) != before
    tab.click("#theme")
    assert tab.evaluate(ground) == before
    tab.close()


def test_a_page_is_read_without_scripts(browser: Any, page: Path) -> None:
    context = browser.new_context(java_script_enabled=False)
    tab = context.new_page()
    tab.goto(page.as_uri())
    assert tab.locator("h1").inner_text().endswith(".brk")
    assert not tab.locator("#theme").is_visible()
    context.close()


def test_names_and_remarks_run_nothing(browser: Any, tmp_path: Path) -> None:
    text = (
        "dim n\ninput x : n\nparam w : n\nJ = x · w\nderivation of J wrt w {\n"
        "  dJ = x · dw   [by </pre><img src=x onerror=document.title='run'><script>document.title='run'</script>]\n}\n"
    )
    tree = parse_file(Source(text, "<img src=x onerror=document.title='run'>"))
    path = tmp_path / "page.html"
    proofs = verify_derivations(elaborate_derivations(tree))
    path.write_text(verify_page([Verified(tree.span.source.filename, tree, proofs)]), encoding="utf-8")
    tab = browser.new_page()
    tab.goto(path.as_uri())
    assert tab.title() != "run" and tab.locator("img").count() == 0
    tab.close()
