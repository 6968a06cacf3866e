"""Weights that change over a run: a shape, and values at points of progress.

    linear:0,5                  from 0 at the start to 5 at the end
    cosine:10,1@0.5             half a wave from 10 down to 1, reached in the middle and kept
    step:5,0@0.5                5, and off from the middle on
    step:0,1@0.3                off, and 1 from 30 % on

``SHAPE:VALUE@PROGRESS,...``: progress is (step - 1) / steps, so it begins at 0 and ends just below 1. The first value
stands at 0, and but for ``step`` the last at 1, unless they say otherwise. Before the first point and after the last,
their values hold.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

SHAPES: dict[str, Callable[[float], float]] = {  # how much of the way is gone, by how much of the time
    "linear": lambda part: part,
    "cosine": lambda part: (1 - math.cos(math.pi * part)) / 2,
    "step": lambda part: 0.0,
}
GRAMMAR = "a number from 0 on, or a schedule such as linear:0,5 or cosine:10,1@0.5 or step:5,0@0.5 (VALUE@PROGRESS)"


@dataclass(frozen=True)
class Schedule:
    """A weight as a function of progress. Its text is what it is parsed from."""

    shape: str
    points: tuple[tuple[float, float], ...]  # progress, value; progress rises

    def __call__(self, progress: float) -> float:
        """Return the weight at a progress in [0, 1]."""
        before = [point for point in self.points if point[0] <= progress]
        after = [point for point in self.points if point[0] > progress]
        if not before or not after:
            return (before or after[:1])[-1][1]
        (began, value), (ends, next_value) = before[-1], after[0]
        return value + (next_value - value) * SHAPES[self.shape]((progress - began) / (ends - began))

    def __str__(self) -> str:
        """Return for example ``step:5@0,0@0.5``."""
        return f"{self.shape}:" + ",".join(f"{_short(value)}@{_short(progress)}" for progress, value in self.points)


def _short(number: float) -> str:
    return repr(number).removesuffix(".0")


def parse(text: str) -> Schedule:
    """Return the schedule that a text means.

    Raises:
        ValueError: saying what of it cannot be.
    """
    shape, colon, rest = text.strip().partition(":")
    if shape not in SHAPES or not colon:
        raise ValueError(f"a schedule begins with {', '.join(f'{known}:' for known in SHAPES)}")
    words = [word.strip().partition("@") for word in rest.split(",")]
    points: list[tuple[float, float]] = []
    if len(words) < 2 or not all(value for value, _, _ in words):
        raise ValueError("a schedule has two values or more, such as step:0,1@0.3, which begins at 30 %")
    for place, (value, _, progress) in enumerate(words):
        where = progress or {len(words) - 1: "1", 0: "0"}.get(place)
        if where is None or (shape == "step" and place and not progress):
            raise ValueError(f"`{value}` needs a place: {value}@PROGRESS")
        try:
            points.append((float(where), float(value)))
        except ValueError:
            raise ValueError(f"`{value}@{where}` is not VALUE@PROGRESS") from None
    if not all(0 <= value < math.inf for _, value in points):
        raise ValueError("a weight is a number from 0 on")
    places = [progress for progress, _ in points]
    if not all(0 <= place <= 1 for place in places) or not all(a < b for a, b in pairwise(places)):
        raise ValueError("progress rises from 0 to 1")
    return Schedule(shape, tuple(points))
