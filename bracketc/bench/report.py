"""Timings as a table."""

from __future__ import annotations

from collections.abc import Mapping

from rich.table import Table
from rich.text import Text

from bracketc.bench.timing import Timing

BAR = 18
"""Characters of the longest bar."""

_EIGHTHS = "▏▎▍▌▋▊▉█"


def timing_table(title: str, timings: Mapping[str, Timing], unit: str, flops: int | None = None) -> Table:
    """Medians, spreads, the time of each contender as a multiple of the time of ``unit``, and a bar; the fastest first.

    With ``flops``, the operations that the program needs, each contender gets its rate.
    """
    table = Table(title=title, title_justify="left", title_style="bold", box=None, header_style="dim", padding=(0, 2, 0, 0))
    table.add_column("", no_wrap=True)
    for name in ("median", "spread", *(("Gflop/s",) if flops else ()), f"× {unit}"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("", no_wrap=True)
    slowest = max(timing.median for timing in timings.values())
    for name in sorted(timings, key=lambda name: timings[name].median):
        timing = timings[name]
        style = "bold cyan" if name.startswith("bracketc") else ""
        rate = (f"{flops / timing.median / 1e9:.3g}",) if flops else ()
        table.add_row(
            Text(name, style=style),
            human(timing.median),
            f"± {50 * timing.spread:.0f} %",
            *rate,
            f"{timing.median / timings[unit].median:.2f}",
            Text(bar(timing.median / slowest), style=style or "dim"),
        )
    return table


def bar(share: float, width: int = BAR) -> str:
    """A bar that fills ``share`` of ``width`` characters, to an eighth of one; never empty.

    >>> bar(0.5, 4), bar(0.3125, 4), bar(0.0, 4)
    ('██', '█▎', '▏')
    """
    eighths = max(1, round(8 * width * share))
    full, rest = divmod(eighths, 8)
    return "█" * full + (_EIGHTHS[rest - 1] if rest else "")


def human(seconds: float) -> str:
    """A duration with three figures and its unit.

    >>> human(0.0000123), human(0.0456)
    ('12.3 µs', '45.6 ms')
    """
    for unit, scale in (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6)):
        if seconds >= scale:
            return f"{seconds / scale:.3g} {unit}"
    return f"{seconds / 1e-9:.3g} ns"
