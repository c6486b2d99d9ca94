"""What the compiler promises, each as a check of one seed; `tools/campaign.py` runs them by the thousand.

A check returns how many cases it compared. It raises `Breach` with both answers, or `Skip` where a draw has no finite answer;
any other exception is a breach, too. A module here has the promises about one subject in its `PROMISES`; to add some, write
another module and name it in `SUBJECTS`.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent.parent / "tests"))

from promises import (
    answers,
    arrays,
    bad_input,
    cache,
    derivations,
    exhaust,
    gradients,
    injection,
    kernels,
    mutants,
    numerics,
    passes,
    reproducible,
    state,
)
from promises.promise import ROOT, Breach, Counted, Promise, Skip

__all__ = ["PROMISES", "ROOT", "SUBJECTS", "Breach", "Counted", "Promise", "Skip"]

_MEANING = (answers, passes, gradients, derivations, kernels, arrays)
SUBJECTS = (*_MEANING, bad_input, exhaust, injection, cache, reproducible, numerics, state, mutants)

PROMISES: tuple[Promise, ...] = tuple(promise for subject in SUBJECTS for promise in subject.PROMISES)
