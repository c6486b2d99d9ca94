"""The digits: 1,797 handwritten ones of 8×8 pixels, split, scaled, and shifted.

Source and licence: see README.md beside this file.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

FILE = Path(__file__).with_name("digits.npz")
SIDE = 8
CLASSES = 10


@dataclass(frozen=True, slots=True)
class Digits:
    """Images as rows of 64 numbers, labels as numbers 0 to 9."""

    images: np.ndarray
    labels: np.ndarray

    def __len__(self) -> int:
        return len(self.labels)


def load(file: Path = FILE) -> Digits:
    """Every digit, pixels 0 to 16, in the order of the source."""
    with np.load(file) as archive:
        return Digits(archive["images"].astype(np.float64), archive["labels"].astype(np.int64))


def split(digits: Digits) -> tuple[Digits, Digits]:
    """Training and test digits: every third one, beginning with the third, is held back for the test."""
    test = np.arange(len(digits)) % 3 == 2
    return (
        Digits(digits.images[~test], digits.labels[~test]),
        Digits(digits.images[test], digits.labels[test]),
    )


def one_hot(labels: np.ndarray, classes: int = CLASSES) -> np.ndarray:
    """A row for each label: 1 in the place of the label, 0 elsewhere."""
    rows: np.ndarray = np.eye(classes)[labels]
    return rows


def shift(images: np.ndarray, down: float, right: float) -> np.ndarray:
    """Move images by a part of a pixel, each way at most one; what moves in is 0, what moves out is lost."""
    moved = images.reshape(-1, SIDE, SIDE)
    for axis, amount in ((1, down), (2, right)):
        neighbour = np.zeros_like(moved)
        ahead, behind = [slice(None)] * 3, [slice(None)] * 3
        ahead[axis], behind[axis] = slice(1, None), slice(None, -1)
        if amount < 0:
            ahead, behind = behind, ahead
        neighbour[tuple(ahead)] = moved[tuple(behind)]
        moved = (1 - abs(amount)) * moved + abs(amount) * neighbour
    return moved.reshape(images.shape)


def augment(digits: Digits, amount: float = 0.5) -> Digits:
    """The digits and their copies moved by half a pixel in eight directions: a shifted 3 is still a 3."""
    steps = [(down, right) for down in (0, amount, -amount) for right in (0, amount, -amount)]
    images = np.concatenate([shift(digits.images, *step) for step in steps])
    return Digits(images, np.tile(digits.labels, len(steps)))


@dataclass(frozen=True, slots=True)
class Scaling:
    """Centre and width of every pixel, taken from the training digits alone."""

    centre: np.ndarray
    width: np.ndarray

    def __call__(self, images: np.ndarray) -> np.ndarray:
        scaled: np.ndarray = (images - self.centre) / self.width
        return scaled


def scaling(digits: Digits) -> Scaling:
    """Standardise each pixel; the added 1 keeps pixels that are almost always empty from being blown up."""
    return Scaling(digits.images.mean(0), digits.images.std(0) + 1)
