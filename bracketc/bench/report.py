"""Timings as a table."""

from __future__ import annotations

from collections.abc import Mapping

from rich.table import Table

from bracketc.bench.timing import Timing


def timing_table(title: str, timings: Mapping[str, Timing], unit: str) -> Table:
    """Medians, spreads, and the time of each contender as a multiple of the time of ``unit``."""
    table = Table(title=title, title_justify="left", title_style="bold")
    for name in ("contender", "median", "spread", f"times {unit}"):
        table.add_column(name, justify="left" if name == "contender" else "right")
    for name, timing in timings.items():
        ratio = timing.median / timings[unit].median
        table.add_row(name, human(timing.median), f"± {50 * timing.spread:.0f} %", f"{ratio:.2f}")
    return table


def human(seconds: float) -> str:
    """A duration with three figures and its unit.

    >>> human(0.0000123), human(0.0456)
    ('12.3 µs', '45.6 ms')
    """
    for unit, scale in (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6)):
        if seconds >= scale:
            return f"{seconds / scale:.3g} {unit}"
    return f"{seconds / 1e-9:.3g} ns"
