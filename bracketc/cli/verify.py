"""``verify``: prove or refute the steps of derivations."""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Sequence
from pathlib import PurePath
from typing import Any

from rich.text import Text

from bracketc.cli.pages import Verified, verify_page
from bracketc.cli.sources import file_argument, read_source, standalone_option
from bracketc.cli.terminal import Terminal, aligned, record
from bracketc.emit.latex import document
from bracketc.emit.marks import latex_text
from bracketc.emit.proofs import latex_proofs, plain_step, tally
from bracketc.errors import BracketError, Diagnostic, SourceError, Span
from bracketc.lang.claims import elaborate_derivations
from bracketc.lang.parser import parse_file
from bracketc.lang.spelling import spelled
from bracketc.proof.verify import Judgement, Proof, verify_derivations

NAME = "verify"
READS_SOURCE = True

VERDICTS = {"proved": "green", "confirmed": "cyan", "refuted": "bold red", "rejected": "bold yellow"}
"""Every verdict with its colour, in the order in which they are counted."""

WIDEST = 72
"""Columns of a step; a longer one is cut, its whole text is in the source and in ``--json``."""


SIGNS = {"…": "...", "≈": "~", "×": "x", "–": "-", "—": "-", "²": "**2"}
"""What messages hold beyond the symbols of the language."""


def arguments(command: argparse.ArgumentParser) -> None:
    file_argument(command, many=True)
    command.add_argument("--format", choices=("unicode", "ascii", "latex", "html"), default="unicode")
    standalone_option(command)


def run(arguments: argparse.Namespace, terminal: Terminal) -> int:
    """Judge every step of every file; status 1 when one is refuted or rejected, or when there is none."""
    judged: list[Verified] = []
    failed: list[Diagnostic] = []
    worst: BracketError | None = None
    for path in arguments.files:
        try:
            with terminal.working(f"verifying {path}"):
                tree = parse_file(read_source(path))
                judged.append(Verified(path, tree, verify_derivations(elaborate_derivations(tree))))
        except BracketError as error:
            failed.extend(error.diagnostics)
            if worst is None or error.exit_code > worst.exit_code:
                worst = error
            continue
        if arguments.format in ("unicode", "ascii"):
            _print(path, judged[-1].proofs, terminal, arguments.format)
    if worst is not None:
        raise type(worst)(failed)
    judgements = [judgement for found in judged for proof in found.proofs for judgement in proof.judgements]
    bare = [found.path for found in judged if not any(proof.judgements for proof in found.proofs)]
    if not judgements:
        help = "write `derivation of J wrt W { … }`; `bracketc derive FILE --steps --program` writes one for every gradient"
        raise SourceError([Diagnostic(f"{path} has no step of a derivation: nothing was verified", None, help) for path in bare])
    for path in bare:
        terminal.warn(f"{path} has no step of a derivation")
    counts: Counter[str] = Counter(judgement.verdict for judgement in judgements)
    accepted = not counts["refuted"] and not counts["rejected"]
    records = [_record(found.path, judgement) for found in judged for proof in found.proofs for judgement in proof.judgements]
    terminal.data({"ok": accepted, "counts": {name: counts[name] for name in VERDICTS}, "steps": records})
    if arguments.format == "html":
        terminal.text(verify_page(judged).rstrip("\n"))
    elif arguments.format == "latex":
        terminal.text(latex_text_of(judged, arguments.standalone).rstrip("\n"))
    else:
        terminal.say(tally(judgements), style=None if accepted else "bold")
    return 0 if accepted else 1


def latex_text_of(judged: Sequence[Verified], standalone: bool) -> str:
    """The derivations of all files as LaTeX, under the name of each where they are several."""
    parts = []
    for found in judged:
        name = PurePath(found.path).name
        parts += [rf"\subsection*{{{latex_text(name)}}}"] if len(judged) > 1 else []
        parts += [latex_proofs(found.tree, found.proofs)] if found.proofs else []
    body = "\n\n".join(parts)
    return document(_title(judged), body) if standalone else body


def _title(judged: Sequence[Verified]) -> str:
    return PurePath(judged[0].path).name if len(judged) == 1 else f"{len(judged)} files"


def _print(path: str, proofs: Sequence[Proof], terminal: Terminal, style: str) -> None:
    spelt = as_ascii if style == "ascii" else str
    for proof in proofs:
        line, _ = proof.block.span.source.position(proof.block.span.start)
        terminal.say(f"{path}:{line}: {spelt(proof.block.title)}")
        table = aligned("line", "step", "verdict", "reason", right=("line",))
        table.show_header = False
        for judgement in proof.judgements:
            verdict = Text(judgement.verdict, VERDICTS[judgement.verdict])
            number, text = plain_step(judgement)
            table.add_row(str(number), spelt(_cut(text)), verdict, spelt(judgement.reason))
        terminal.table(table)
        for judgement in proof.judgements:
            for diagnostic in judgement.diagnostics:
                if terminal.verbosity >= 0 and not terminal.json:
                    terminal.say(spelt(diagnostic.render()))


def as_ascii(text: str) -> str:
    """Symbols in the spelling of ASCII source files: ``X ⊙ Y`` -> ``X * Y``; other letters stay as they are."""
    return "".join(SIGNS.get(char) or spelled(char, "ascii") for char in text)


def _cut(text: str) -> str:
    return text if len(text) <= WIDEST else text[: WIDEST - 1] + "…"


def _record(path: str, judgement: Judgement) -> dict[str, Any]:
    claim = judgement.claim
    found: dict[str, Any] = {
        "file": path,
        "line": plain_step(judgement)[0],
        "text": claim.text,
        "verdict": judgement.verdict,
        "reason": judgement.reason,
    }
    if claim.remark is not None:
        found["remark"] = claim.remark
    if claim.label is not None:
        found["label"] = claim.label
    if claim.cites:
        found["cites"] = list(claim.cites)
    if judgement.move is not None:
        found["move"] = judgement.move.kind
    if judgement.points:
        found["points"] = judgement.points
        found["digits"] = judgement.digits
    if judgement.mend is not None:
        found["mend"] = {"kind": judgement.mend.kind, "advice": judgement.mend.advice, **_place(judgement.mend.span)}
    if judgement.terms:
        found["terms"] = [{"side": term.side, "text": term.text, **_place(term.span)} for term in judgement.terms]
    example = judgement.counterexample
    if example is not None:
        found["counterexample"] = {
            "sizes": dict(example.sizes),
            "point": dict(example.point),
            "entry": list(example.entry),
            "left": example.left,
            "right": example.right,
        }
    if judgement.diagnostics:
        found["diagnostics"] = [record(diagnostic) for diagnostic in judgement.diagnostics]
    return found


def _place(span: Span | None) -> dict[str, Any]:
    """Line, column and text of a part of the source."""
    if span is None:
        return {}
    line, column = span.source.position(span.start)
    return {"line": line, "column": column, "source": span.text}
