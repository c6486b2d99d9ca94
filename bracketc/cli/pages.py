"""Answers of commands as pages: the plan and the gradient check beside the formulas."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import PurePath

import numpy as np
from markupsafe import Markup, escape

from bracketc import compiler
from bracketc.cli.check import check
from bracketc.cli.figures import bytes_text, flops_text
from bracketc.derivation import Answer, formulas_views
from bracketc.emit.annotate import cut, shared
from bracketc.emit.mathml import math
from bracketc.emit.page import CheckRowView, CheckView, PageView, PlanView, RowView, page, plain
from bracketc.emit.proofs import proof_views, tally
from bracketc.emit.statements import statement_views
from bracketc.errors import BracketError, Source
from bracketc.ir.program import Program
from bracketc.ir.sizes import bind_sizes
from bracketc.lang.claims import elaborate_derivations
from bracketc.lang.parser import parse_file
from bracketc.lang.syntax import SyntaxFile
from bracketc.options import Options
from bracketc.plan.explain import Explanation, Row, explain
from bracketc.plan.native import native_plan
from bracketc.proof.verify import Proof, verify_derivations
from bracketc.version import VERSION

KINDS = {"Contract": "×", "Map": "·", "Loop": "↻"}
"""The sign of a step; others have none."""


def file_title(program: Program) -> str:
    """The name of a file without the folders around it."""
    return plain(PurePath(program.source.filename).name)


def derive_page(program: Program, settings: Options, found: Sequence[Answer], blocks: Sequence[str] = ()) -> str:
    """The formulas of requests with the graphs of their brackets, their plan, the check of their values, and the
    derivations of the file, each step with its verdict.

    ``blocks`` are further derivations as source text: bracketc's own.
    """
    done = compiler.stages(program, settings)
    text = "\n\n".join((program.source.text.rstrip("\n"), *blocks))
    tree = parse_file(Source(text, program.source.filename))
    proofs = verify_derivations(elaborate_derivations(tree))
    explained = explain(native_plan(done.plan) if settings.backend == "c" else done.plan)
    asked = [entry.name for answer in found for entry, _, _ in answer.results]
    functions = [e for e in explained if e.entry in (*asked, "forward", "backward")]
    lefts = dict(
        pair
        for answer in found
        for pair in zip((left for left, _ in answer.roots("unicode")), (left for left, _ in answer.roots("mathml")), strict=True)
    )
    name = file_title(program)
    return page(
        PageView(
            name,
            f"derivatives by bracketc {VERSION}",
            statements=statement_views(tree),
            formulas=formulas_views(found),
            proofs=proof_views(tree, proofs),
            plans=plan_views(functions, asked),
            plan_note=f"planned at {planned_at(done)}",
            check=check_view(program, settings, lefts),
        )
    )


@dataclass(frozen=True, slots=True)
class Verified:
    """A file whose derivations were judged."""

    path: str
    tree: SyntaxFile
    proofs: tuple[Proof, ...]


def verify_page(judged: Sequence[Verified]) -> str:
    """The derivations of all files, every step with its verdict."""
    names = [plain(PurePath(found.path).name) for found in judged]
    views = [
        replace(view, title=f"{name}: {view.title}") if len(judged) > 1 else view
        for name, found in zip(names, judged, strict=True)
        for view in proof_views(found.tree, found.proofs)
    ]
    steps = [judgement for found in judged for proof in found.proofs for judgement in proof.judgements]
    title = names[0] if len(names) == 1 else f"{len(names)} files"
    return page(PageView(title, f"{tally(steps)}; verified by bracketc {VERSION}", proofs=tuple(views)))


def explain_page(done: compiler.Stages, explained: Sequence[Explanation]) -> str:
    """The plan of every function."""
    name = file_title(done.program)
    plans = plan_views(explained, [e.entry for e in explained])
    return page(PageView(name, f"planned by bracketc {VERSION}", plans=plans, plan_note=f"planned at {planned_at(done)}"))


def annotated_page(done: compiler.Stages, explained: Sequence[Explanation], settings: Options) -> str:
    """The plan of every function beside the text that is emitted for each step."""
    name = compiler.stem(done.program)
    files = compiler.emit(done, name, settings).files
    text = files[f"{name}.py"] if settings.backend == "numpy" else files[f"{name}.c"]
    main = next((e.entry for e in reversed(explained)), "")
    views = []
    for plan, explanation in zip(plan_views(explained, [main]), explained, strict=True):
        cuts = cut(text, explanation.entry, [row.bracket for row in explanation.rows])
        rows = [replace(row, code=part.code, epilogue=part.epilogue) for row, part in zip(plan.rows, cuts, strict=True)]
        views.append(replace(plan, rows=tuple(rows)))
    about = "NumPy" if settings.backend == "numpy" else "C"
    return page(
        PageView(
            file_title(done.program),
            f"{about} emitted by bracketc {VERSION} in {settings.dtype}",
            plan_note=f"planned at {planned_at(done)}",
            annotated=tuple(views),
            shared=shared(text),
        )
    )


def plan_views(explained: Iterable[Explanation], opened: Sequence[str]) -> tuple[PlanView, ...]:
    """A table for each function; those in ``opened`` are shown at once."""
    return tuple(_plan(explanation, explanation.entry in opened) for explanation in explained)


def _plan(explanation: Explanation, opened: bool) -> PlanView:
    summary = f"{flops_text(explanation.flops_at_hints)}, {bytes_text(explanation.bytes_at_hints)} moved"
    if flops_text(explanation.baseline) != flops_text(explanation.flops_at_hints) and explanation.baseline:
        summary += f"; plain reverse mode takes {flops_text(explanation.baseline)}"
    rows = tuple(row_view(number, row) for number, row in enumerate(explanation.rows, 1))
    return PlanView(
        explanation.entry, opened, summary, str(explanation.flops), rows, ", ".join(explanation.residuals), explanation.notes
    )


def row_view(number: int, row: Row) -> RowView:
    """One step."""
    return RowView(
        str(number),
        row.kind,
        KINDS.get(row.kind, ""),
        "\u2003" * row.depth,
        row.bracket,
        flops_text(row.flops_at_hints),
        bytes_text(row.bytes_at_hints),
        ", ".join(row.saved),
        "; ".join((row.why, *row.fused)),
    )


def planned_at(done: compiler.Stages) -> str:
    """The sizes of the plan and where they are from: ``N ~ 32, K = 10 (bound)``."""
    given = {spec.name: spec for spec in done.program.sizes}

    def text(name: str, number: int) -> str:
        spec = given.get(name)
        if spec is not None and spec.value is not None:
            return f"{name} = {number} (bound)"
        return f"{name} ~ {number}" + ("" if spec is not None and spec.hint is not None else " (default)")

    return ", ".join(text(name, number) for name, number in done.plan.hints.items()) or "no named sizes"


def check_view(program: Program, options: Options, lefts: Mapping[str, str], seed: int = 0) -> CheckView:
    """The derivatives of the NumPy module against finite differences; where these mean nothing, the reason.

    ``lefts`` is the MathML of left sides: ``∇[W](J)``.
    """
    settings = {"backend": "numpy", "dtype": "float64", "sizes": options.size_map()}
    try:
        module = compiler.compile(program, **settings)  # type: ignore[arg-type]
        with np.errstate(all="ignore"):
            sample, lines = check(bind_sizes(program, options.size_map()), module, seed)
    except BracketError as error:
        return CheckView(f"not made: {error.diagnostics[0].message}", ())
    sizes = ", ".join(f"{name} = {number}" for name, number in sample.sizes.items()) or "no free sizes"
    rows = []
    for line in lines:
        notes = [f"{line.checked} of {line.total:,} entries"] if line.checked < line.total else []
        notes += [f"{line.kinks} beside a kink left out"] if line.kinks else []
        shape = " × ".join(map(str, line.shape)) or "scalar"
        verdict, mark = ("ok", "✓ ok") if line.passed else ("failed", "✗ failed")
        left = Markup(math(lefts[line.left], line.left)) if line.left in lefts else escape(line.left)
        rows.append(CheckRowView(left, shape, f"{line.error:.1e}", verdict, mark, ", ".join(notes)))
    note = f"NumPy kernels against central differences, random arguments of seed {seed}: {sizes}"
    return CheckView(note, tuple(rows))

