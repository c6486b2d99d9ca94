"""What a plan becomes where operations are loops and not calls of a library: the C backend."""

from __future__ import annotations

from bracketc.plan.again import again_plan
from bracketc.plan.passes import passes_plan
from bracketc.plan.prologues import prologues_plan
from bracketc.plan.schedule import Plan
from bracketc.plan.split import split_plan
from bracketc.plan.turned import turned_plan


def native_plan(plan: Plan) -> Plan:
    """``plan`` with cheap values computed again rather than read, in blocks of a batch, with sums over products where they cost
    least, and with factors that products make."""
    return prologues_plan(turned_plan(passes_plan(split_plan(again_plan(plan)))))
