"""Nothing of a name, a string or a path is code in what comes out."""

from __future__ import annotations

import payloads

from promises.promise import Breach, Promise


def _what(seed: int) -> tuple[str, str]:
    """Channel and payload of a seed: every channel in turn."""
    channels = list(payloads.CHANNELS)
    return channels[seed % len(channels)], payloads.payload(seed // len(channels))


def injection(seed: int) -> int:
    """One payload by one channel through every command and output format."""
    channel, text = _what(seed)
    found = payloads.findings(channel, text, compile=seed % 4 == 0)
    if found:
        raise Breach(f"{text!r} as {channel}: {found}")
    return 1


def _text(seed: int) -> str:
    return "{}: {!r}".format(*_what(seed))


PROMISES = (
    Promise(
        "injection", "nothing of a name, a string or a path is code in what comes out",
        f"{payloads.COUNT} payloads of C, Python, Jinja, shell, LaTeX, HTML, terminals and paths by {len(payloads.CHANNELS)} ways"
        " in, through every command and format; what comes out is read as its language, no file appears",
        injection, _text, payloads.COUNT * len(payloads.CHANNELS), "payloads", 300.0,
    ),
)  # fmt: skip
