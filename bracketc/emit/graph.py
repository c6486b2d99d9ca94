"""Brackets as graphs: tensors are nodes, fused labels edges, a bar marks a label that is summed.

    (X_ij E_ik | jk)   ->   X ──i̶── E, and two legs that end in the places 1 and 2 of the result

Tensors stand in a row, edges between them are lines and arcs above, free labels end below in the order of the result.
Nothing overlaps: arcs have lanes of their own, and the row is as wide as its captions need. The order of the row is the
one in which edges are shortest (exactly, over subsets, while there are few tensors), ties as written.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from bracketc.emit.display import Bracket
from bracketc.errors import display_width
from bracketc.ir.printer import label_text

MOST_TENSORS = 12
"""Nodes of a graph that is still drawn; beyond, the bracket alone is shown."""

MOST_EXACT = 9
"""Tensors whose order in the row is found exactly."""

CAPTION = 14
"""Characters of a tensor's own caption; a longer one is a number with a line below the graph."""

_ABOVE = str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹")
_BELOW = str.maketrans("0123456789", "₀₁₂₃₄₅₆₇₈₉")

_CHARACTER = 8.4  # width of one character of a caption, in units of the picture
_NODE = 36.0  # height of a tensor, and its smallest width
_GAP = 58.0  # between tensors
_LANE = 38.0  # between arcs above each other
_DROP = 62.0  # from the row to the free ends
_MARGIN = 14.0
_SLOT = 24.0  # between legs of one tensor
_COLUMN = 36.0  # between free ends


@dataclass(frozen=True, slots=True)
class Point:
    """A place in a picture, x to the right and y down."""

    x: float
    y: float


@dataclass(frozen=True, slots=True)
class Tensor:
    """A drawn factor: its caption at ``centre``; a delta is round. Without labels it is a scalar."""

    caption: str
    centre: Point
    width: float
    height: float
    delta: bool = False


@dataclass(frozen=True, slots=True)
class Line:
    """Part of an edge: straight, or an arc that leaves both ends upwards to the height ``over``."""

    start: Point
    end: Point
    over: float | None = None


@dataclass(frozen=True, slots=True)
class Mark:
    """A short text beside an edge: a label, or a position (counted from 1) beside a tensor."""

    text: str
    at: Point
    kind: str


@dataclass(frozen=True, slots=True)
class Graph:
    """A finished picture. ``bars`` cross the edges that are summed, ``joints`` are where a label meets more than two
    ends, ``ends`` are the free labels with their place in the result, ``notes`` explain numbered captions;
    ``description`` says the same in words."""

    width: float
    height: float
    tensors: tuple[Tensor, ...]
    lines: tuple[Line, ...]
    bars: tuple[Line, ...]
    joints: tuple[Point, ...]
    ends: tuple[Mark, ...]
    marks: tuple[Mark, ...]
    notes: tuple[tuple[str, str], ...]
    title: str
    description: str


def graph(bracket: Bracket) -> Graph | None:
    """The picture of a bracket; ``None`` where there is nothing to see (one tensor as it is) or too much."""
    factors = bracket.factors
    if len(factors) > MOST_TENSORS or (len(factors) == 1 and factors[0].labels == bracket.output):
        return None
    return _Layout(bracket).graph()


def caption(text: str) -> str:
    """A short formula with small digits: ``1 ⊖ Z1**2`` -> ``1 ⊖ Z₁²``, ``W2^T`` -> ``W₂ᵀ``."""
    text = re.sub(r"\*\*(\d+)(?![\d.])", lambda m: m[1].translate(_ABOVE), text).replace("^T", "ᵀ")
    return re.sub(r"(?<=[^\W\d_])\d+", lambda m: m[0].translate(_BELOW), text)


def described(bracket: Bracket) -> str:
    """A bracket in words, for who cannot see the picture."""
    parts = []
    for label in _labels(bracket):
        where = [
            f"axis {axis + 1} of {factor.text}"
            for factor in bracket.factors
            for axis, other in enumerate(factor.labels)
            if other == label
        ]
        carried = " and ".join(where) if where else "no tensor"
        if label in bracket.output:
            role = f"free, axis {bracket.output.index(label) + 1} of the result"
        else:
            role = "summed"
        parts.append(f"{label_text(label)} (size {bracket.extents[label]}): {carried}; {role}")
    return ". ".join(parts) + "." if parts else "A product of scalars."


def bracket_title(bracket: Bracket) -> str:
    """``(X_ij E_ik | jk)``."""
    texts = []
    for factor in bracket.factors:
        labels = "".join(map(label_text, factor.labels))
        texts.append((f"({factor.text})" if factor.loose else factor.text) + (f"_{labels}" if labels else ""))
    return f"({' '.join(texts)} | {''.join(map(label_text, bracket.output))})"


def _labels(bracket: Bracket) -> list[int]:
    """Every label: those of the result first, then summed ones as they are met."""
    met = [label for factor in bracket.factors for label in factor.labels]
    return list(dict.fromkeys((*bracket.output, *met)))


def order(bracket: Bracket) -> list[int]:
    """The order of the tensors in the row, in which edges and legs are shortest.

    Minimum linear arrangement by dynamic programming over the set that stands left: the edges that leave the set
    are as many as lie over the gap behind it.
    """
    count = len(bracket.factors)
    if count > MOST_EXACT:
        return list(range(count))
    carriers = [
        sum(1 << place for place, factor in enumerate(bracket.factors) if label in factor.labels)
        for label in _labels(bracket)
    ]
    wished = [_wished(bracket, place) for place in range(count)]
    best: dict[int, tuple[float, tuple[int, ...]]] = {0: (0.0, ())}
    for size in range(count):
        following: dict[int, tuple[float, tuple[int, ...]]] = {}
        for chosen, (cost, row) in best.items():
            for place in range(count):
                if chosen >> place & 1:
                    continue
                grown = chosen | 1 << place
                crossing = sum(1 for c in carriers if c & grown and c & ~grown)
                wish = wished[place]
                leg = 0.0 if wish is None else 0.4 * abs((size + 0.5) / count - wish)
                found = (round(cost + crossing + leg, 9), (*row, place))
                if grown not in following or found < following[grown]:
                    following[grown] = found
        best = following
    return list(best[(1 << count) - 1][1])


def _wished(bracket: Bracket, place: int) -> float | None:
    """Where a tensor would stand because of its free labels, from 0 (left) to 1."""
    places = [bracket.output.index(label) for label in bracket.factors[place].labels if label in bracket.output]
    return (sum(places) / len(places) + 0.5) / len(bracket.output) if places else None


class _Layout:
    """One bracket while it is drawn."""

    def __init__(self, bracket: Bracket) -> None:
        self.bracket = bracket
        self.lines: list[Line] = []
        self.bars: list[Line] = []
        self.joints: list[Point] = []
        self.marks: list[Mark] = []
        self.ends: list[Mark] = []
        self.notes: list[tuple[str, str]] = []
        self.tensors: dict[int, Tensor] = {}
        self.slots: dict[tuple[int, int], Point] = {}
        # Labels that are drawn above: summed, and between exactly two tensors.
        self.direct = [label for label in _labels(bracket) if label not in bracket.output and self._joins_two(label)]

    def graph(self) -> Graph:
        bracket = self.bracket
        row = order(bracket)
        captions = self._captions()
        x = _MARGIN
        for place in row:
            delta, labels = bracket.factors[place].is_delta, bracket.factors[place].labels
            below = sum(label not in self.direct for label in labels)
            crowd = max(below, len(labels) - below - 1) * _SLOT + 4.0
            width = max(_NODE, crowd, display_width(captions[place]) * _CHARACTER + 14.0)
            self.tensors[place] = Tensor(captions[place], Point(x + width / 2, 0.0), width, _NODE, delta)
            x += width + _GAP
        right = x - _GAP
        self.row = row
        self.height_above = 0.0
        self.depth = _NODE / 2
        self._edges()
        width = max(right + _MARGIN, self._free(right), 120.0)
        top = self.height_above + _NODE / 2 + _MARGIN
        found = Graph(
            round(width, 1),
            round(top + self.depth + _MARGIN, 1),
            tuple(self.tensors[place] for place in row),
            tuple(self.lines),
            tuple(self.bars),
            tuple(self.joints),
            tuple(self.ends),
            tuple(self.marks),
            tuple(self.notes),
            bracket_title(bracket),
            described(bracket),
        )
        return _moved(found, top)

    def _captions(self) -> list[str]:
        found = []
        for factor in self.bracket.factors:
            short = caption(factor.text)
            if factor.is_delta:
                found.append("δ")
            elif display_width(short) <= CAPTION:
                found.append(short)
            else:
                known = next((number for number, text in self.notes if text == factor.text), None)
                found.append(known or _circled(len(self.notes) + 1))
                if known is None:
                    self.notes.append((found[-1], factor.text))
        return found

    # ------------------------------------------------------------------------------------------ edges
    def _edges(self) -> None:
        """Edges between two tensors that are summed: a line between neighbours, an arc otherwise."""
        place_of = {place: number for number, place in enumerate(self.row)}
        pairs: list[tuple[int, int, int, int, int]] = []  # left, right, label, axes
        for label in self.direct:
            (near, axis), (far, other) = sorted(self._ends_of(label), key=lambda end: place_of[end[0]])
            pairs.append((place_of[near], place_of[far], label, axis, other))
        lanes: list[list[tuple[int, int]]] = []
        straight: set[tuple[int, int]] = set()
        for left, right, label, axis, other in sorted(pairs, key=lambda p: (p[1] - p[0], p[0], p[2])):
            first, second = self.tensors[self.row[left]], self.tensors[self.row[right]]
            if right == left + 1 and (left, right) not in straight:
                straight.add((left, right))
                self.height_above = max(self.height_above, 10.0)
                start, end = Point(first.centre.x + first.width / 2, 0.0), Point(second.centre.x - second.width / 2, 0.0)
                self.lines.append(Line(start, end))
                middle = Point((start.x + end.x) / 2, 0.0)
                self._bar(middle, vertical=True)
                self.marks.append(Mark(label_text(label), Point(middle.x, -17.0), "label"))
                self.marks.append(Mark(str(axis + 1), Point(start.x + 7.0, 12.0), "position"))
                self.marks.append(Mark(str(other + 1), Point(end.x - 7.0, 12.0), "position"))
                continue
            lane = next((n for n, taken in enumerate(lanes) if all(right <= a or left >= b for a, b in taken)), len(lanes))
            if lane == len(lanes):
                lanes.append([])
            lanes[lane].append((left, right))
            height = _NODE / 2 + 22.0 + _LANE * lane
            start = Point(first.centre.x + self._shift(left, right, lane, first), -_NODE / 2)
            end = Point(second.centre.x - self._shift(left, right, lane, second), -_NODE / 2)
            top = Point((start.x + end.x) / 2, -height)
            self.lines.append(Line(start, end, -_NODE / 2 - (height - _NODE / 2) * 4 / 3))  # a cubic rises to 3/4 of its controls
            self._bar(top, vertical=True)
            self.marks.append(Mark(label_text(label), Point(top.x, top.y - 16.0), "label"))
            self.marks.append(Mark(str(axis + 1), Point(start.x - 7.0, start.y - 7.0), "position"))
            self.marks.append(Mark(str(other + 1), Point(end.x + 7.0, end.y - 7.0), "position"))
            self.height_above = max(self.height_above, height - _NODE / 2 + 24.0)

    @staticmethod
    def _shift(left: int, right: int, lane: int, tensor: Tensor) -> float:
        """Where on the upper side of a tensor an arc begins: the lower the arc, the nearer to its other end."""
        return max(0.0, tensor.width / 2 - 7.0 - 14.0 * lane)

    def _joins_two(self, label: int) -> bool:
        ends = self._ends_of(label)
        return len(ends) == 2 and ends[0][0] != ends[1][0]

    def _ends_of(self, label: int) -> list[tuple[int, int]]:
        """(tensor, axis) of every place where a label stands."""
        return [
            (place, axis)
            for place, factor in enumerate(self.bracket.factors)
            for axis, other in enumerate(factor.labels)
            if other == label
        ]

    # ------------------------------------------------------------------------------------------ free labels and joints
    def _free(self, right: float) -> float:
        """Everything below the row: legs to the free ends, joints, labels summed alone. Gives the width."""
        below = [label for label in _labels(self.bracket) if label not in self.direct]
        if not below:
            return 0.0
        columns = self._columns(below, right)
        self._attach(columns)
        joined = any(len(self._ends_of(label)) != 1 for label in below)
        drop = _NODE / 2 + _DROP + (22.0 if joined else 0.0)
        for label, x in columns.items():
            ends = self._ends_of(label)
            free = label in self.bracket.output
            foot = Point(x, drop)
            if len(ends) != 1:
                joint = Point(x, _NODE / 2 + 40.0)
                if ends:
                    self.joints.append(joint)
                else:
                    self.marks.append(Mark("𝟏", joint, "label"))  # a tensor of ones, which carries nothing else
                for place, axis in ends:
                    self._leg(place, axis, joint)
                if free:
                    self.lines.append(Line(joint if ends else Point(x, joint.y + 9.0), Point(x, drop - 11.0)))
                else:
                    self.lines.append(Line(joint, Point(x, joint.y + 12.0)))
                    self._bar(Point(x, joint.y + 12.0), vertical=False)
                self.marks.append(Mark(label_text(label), Point(x + (11.0 if free else 14.0), joint.y + 13.0), "label"))
            else:
                ((place, axis),) = ends
                stop = Point(x, drop - 11.0) if free else Point(x, _NODE / 2 + 36.0)
                self._leg(place, axis, stop)
                side = (9.0 if free else 14.0) * (-1.0 if self.slots[place, axis].x > stop.x else 1.0)
                self.marks.append(Mark(label_text(label), Point(x + side, stop.y - 10.0), "label"))
                if not free:
                    self._bar(stop, vertical=False)
            if free:
                self.ends.append(Mark(str(self.bracket.output.index(label) + 1), foot, "end"))
        self.depth = drop + 12.0
        return max(columns.values()) + 24.0

    def _columns(self, below: Sequence[int], right: float) -> dict[int, float]:
        """An x for each label below the row: free ones in the order of the result, all apart."""
        wished: dict[int, float] = {}
        for label in below:
            ends = self._ends_of(label)
            centres = [self.tensors[place].centre.x for place, _ in ends]
            wished[label] = sum(centres) / len(centres) if centres else right / 2
        free = [label for label in self.bracket.output if label in wished]
        others = [label for label in below if label not in free]
        # Free ends keep the order of the result; the others are put where they are wished, between them.
        line: list[int] = list(free)
        for label in sorted(others, key=lambda other: (wished[other], other)):
            place = sum(1 for other in line if wished[other] <= wished[label])
            line.insert(place, label)
        found: dict[int, float] = {}
        x = -1e9
        for label in line:
            x = max(wished[label], x + _COLUMN)
            found[label] = x
        # Pull back what was pushed to the right: the mean of the row stays where it was wished.
        shift = sum(found[label] - wished[label] for label in line) / len(line)
        shift = min(shift, min(found.values()) - _MARGIN - 12.0)
        return {label: found[label] - shift for label in below}

    def _attach(self, columns: dict[int, float]) -> None:
        """Places on the lower side of each tensor, from left to right as the legs go."""
        for place, tensor in self.tensors.items():
            labels = self.bracket.factors[place].labels
            own = [(columns[label], axis) for axis, label in enumerate(labels) if label in columns]
            for number, (_, axis) in enumerate(sorted(own)):
                x = tensor.centre.x + (number - (len(own) - 1) / 2) * (tensor.width - 6.0) / max(1, len(own))
                self.slots[place, axis] = Point(x, _NODE / 2)

    def _leg(self, place: int, axis: int, stop: Point) -> None:
        start = self.slots[place, axis]
        self.lines.append(Line(start, stop))
        self.marks.append(Mark(str(axis + 1), Point(start.x, start.y - 6.0), "position"))

    def _bar(self, at: Point, vertical: bool) -> None:
        along = 7.0
        start = Point(at.x, at.y - along) if vertical else Point(at.x - along, at.y)
        end = Point(at.x, at.y + along) if vertical else Point(at.x + along, at.y)
        self.bars.append(Line(start, end))


def _circled(number: int) -> str:
    return chr(0x2460 + number - 1) if number <= 20 else f"({number})"


def _moved(found: Graph, down: float) -> Graph:
    """The picture with its row at ``down`` instead of 0, all numbers with one decimal."""

    def point(p: Point) -> Point:
        return Point(round(p.x, 1), round(p.y + down, 1))

    def line(part: Line) -> Line:
        return Line(point(part.start), point(part.end), None if part.over is None else round(part.over + down, 1))

    def mark(part: Mark) -> Mark:
        return replace(part, at=point(part.at))

    return replace(
        found,
        tensors=tuple(replace(t, centre=point(t.centre), width=round(t.width, 1)) for t in found.tensors),
        lines=tuple(map(line, found.lines)),
        bars=tuple(map(line, found.bars)),
        joints=tuple(map(point, found.joints)),
        ends=tuple(map(mark, found.ends)),
        marks=tuple(map(mark, found.marks)),
    )
