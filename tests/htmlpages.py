"""Reading pages that bracketc writes: balanced elements, what they refer to, where their scripts are."""

from __future__ import annotations

from dataclasses import dataclass, field
from html.parser import HTMLParser

_EMPTY = frozenset(("meta", "link", "br", "hr", "img", "input"))


@dataclass
class Element:
    """An element with its attributes and the text directly in it."""

    tag: str
    attributes: dict[str, str]
    text: str = ""
    inside: tuple[str, ...] = ()


@dataclass
class Reading:
    """What was read: every element in order, and what is not balanced."""

    elements: list[Element] = field(default_factory=list)
    mistakes: list[str] = field(default_factory=list)

    def of(self, tag: str) -> list[Element]:
        return [element for element in self.elements if element.tag == tag]

    @property
    def text(self) -> str:
        """Everything that can be read."""
        return " ".join(e.text for e in self.elements if e.tag not in ("script", "style"))


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.found = Reading()
        self.open: list[Element] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        element = Element(tag, {name: value or "" for name, value in attrs}, inside=tuple(e.tag for e in self.open))
        self.found.elements.append(element)
        if tag not in _EMPTY:
            self.open.append(element)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in _EMPTY:
            self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        if not self.open or self.open[-1].tag != tag:
            self.found.mistakes.append(f"</{tag}> closes {[e.tag for e in self.open][-3:]}")
            return
        self.open.pop()

    def handle_data(self, data: str) -> None:
        if self.open:
            self.open[-1].text += data


def read_page(text: str) -> Reading:
    """The elements of a page."""
    reader = _Reader()
    reader.feed(text)
    reader.close()
    reader.found.mistakes += [f"<{element.tag}> is not closed" for element in reader.open]
    return reader.found


def outside(reading: Reading) -> list[str]:
    """Whatever a browser would fetch or run from elsewhere."""
    found = []
    for element in reading.elements:
        for name, value in element.attributes.items():
            if name in ("src", "href", "xlink:href", "action", "data", "srcset") and not value.startswith(("#", "data:,")):
                found.append(f"{element.tag} {name}={value}")
            if name.startswith("on") or "javascript:" in value.lower():
                found.append(f"{element.tag} {name}={value}")
        if element.tag == "style" and ("url(" in element.text or "@import" in element.text):
            found.append("a style that fetches")
    return found
