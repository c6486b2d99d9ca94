"""Numbers as people read them."""

from __future__ import annotations


def _scaled(number: float, unit: str, step: float) -> str:
    prefixes = ["P", "T", "G", "M", "k", ""]
    while abs(number) >= step and len(prefixes) > 1:
        number /= step
        prefixes.pop()
    prefix = prefixes[-1]
    text = f"{number:.0f}" if prefix == "" or number >= 100 else f"{number:.3g}"
    return f"{text} {prefix}{unit}"


def flops_text(number: int) -> str:
    """
    >>> flops_text(950), flops_text(1234567)
    ('950 flop', '1.23 Mflop')
    """
    return _scaled(number, "flop", 1000)


def bytes_text(number: int) -> str:
    """
    >>> bytes_text(100), bytes_text(123456)
    ('100 B', '123 kB')
    """
    return _scaled(number, "B", 1000)
