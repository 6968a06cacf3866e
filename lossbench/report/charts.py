"""Charts as plain SVG: every number is in the text of the picture, every colour is a class that follows the theme."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

from markupsafe import Markup, escape

Said = str | Markup
Series = Mapping[str, Sequence[float | None]]  # by label, a value for each step
PADDING = 0.06  # of a scale's range, on both sides
WIDE, TALL = 320, 150  # units of a chart over steps
COLOURS = 8  # that the page's style has


def element(name: str, attributes: Mapping[str, object], *inside: Said) -> Markup:
    """Return an element; what is inside is escaped unless it is an element."""
    own = "".join(f' {key}="{escape(str(value))}"' for key, value in attributes.items())
    return Markup(f"<{name}{own}>{''.join(escape(each) for each in inside)}</{name}>")


def picture(kind: str, size: Mapping[str, object], title: str, parts: Iterable[Said]) -> Markup:
    """Return an SVG that says what it shows; one without a title is decoration."""
    role: Mapping[str, object] = {"role": "img"} if title else {"aria-hidden": "true"}
    told = [element("title", {}, title)] if title else []
    return element("svg", {"class": kind, **size, **role}, *told, *parts)


@dataclass(frozen=True)
class Scale:
    """Values to percent of a width."""

    low: float
    high: float

    @classmethod
    def of(cls, values: Iterable[float | None], padding: float = PADDING) -> Scale:
        """Return the scale that all values lie on, with some room beside them."""
        there = [value for value in values if value is not None]
        low, high = (min(there), max(there)) if there else (0.0, 1.0)
        room = (high - low) * padding or abs(low) * padding or 1.0
        return cls(low - room, high + room)

    def at(self, value: float) -> float:
        """Return where a value lies, in percent."""
        return 100 * (value - self.low) / (self.high - self.low)

    def has(self, value: float) -> bool:
        """Return whether a value lies on it."""
        return self.low <= value <= self.high

    def ticks(self, most: int = 6) -> list[float]:
        """Return round values on it, ``most`` or fewer."""
        rough = (self.high - self.low) / most
        power = 10.0 ** math.floor(math.log10(rough))
        step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= rough)
        return [step * count for count in range(math.ceil(self.low / step), math.floor(self.high / step) + 1)]


def _percent(value: float) -> str:
    return f"{value:.2f}%"


def _upright(kind: str, at: float, top: str = "0%", bottom: str = "100%") -> Markup:
    return element("line", {"class": kind, "x1": _percent(at), "x2": _percent(at), "y1": top, "y2": bottom})


def _level(kind: str, low: float, high: float, y: object) -> Markup:
    return element("line", {"class": kind, "x1": _percent(low), "x2": _percent(high), "y1": y, "y2": y})


def _dot(kind: str, x: float, y: object, radius: float) -> Markup:
    return element("circle", {"class": kind, "cx": _percent(x), "cy": y, "r": radius})


class Interval(NamedTuple):
    """A value and its interval, where there is one."""

    value: float
    low: float | None
    high: float | None


def strip(
    title: str, scale: Scale, values: Sequence[float], middle: Interval | None, marks: Mapping[str, float | None]
) -> Markup:
    """Draw a row: each value as a dot, their mean with its interval, and lines that all rows share."""
    return picture("strip", {}, title, _strip(scale, values, middle, marks))


def _strip(
    scale: Scale, values: Sequence[float], middle: Interval | None, marks: Mapping[str, float | None]
) -> Iterator[Markup]:
    yield from (_upright("grid", scale.at(tick)) for tick in scale.ticks())
    yield from (_upright(kind, scale.at(at)) for kind, at in marks.items() if at is not None and scale.has(at))
    if middle and middle.low is not None and middle.high is not None:
        yield _level("interval", scale.at(middle.low), scale.at(middle.high), "50%")
    yield from (_dot("seed", scale.at(value), "50%", 3.5) for value in values)
    if middle:
        yield _upright("mean", scale.at(middle.value), "18%", "82%")


def axis(scale: Scale, factor: float = 1.0) -> Markup:
    """Draw the numbers beneath rows; a factor turns values into those that people know."""
    texts = (
        element("text", {"x": _percent(scale.at(tick)), "y": 14, "text-anchor": "middle"}, f"{tick * factor:.4g}")
        for tick in scale.ticks()
    )
    return picture("axis", {}, "", texts)


class Point(NamedTuple):
    """A combination between quality and cost; ``front``: nothing is better in both."""

    name: str
    x: float
    y: float
    front: bool


def on_front(points: Sequence[tuple[float, float]], better: str) -> list[bool]:
    """Return which points no other is at least as good as in both and better in one; of x less is better."""
    sign = 1 if better == "lower" else -1

    def beaten(x: float, y: float) -> bool:
        return any(a <= x and sign * b <= sign * y and (a, b) != (x, y) for a, b in points)

    return [not beaten(*point) for point in points]


def scatter(title: str, points: Sequence[Point], units: tuple[float, float]) -> Markup:
    """Draw numbered points and the front through the best; units are the factors of what is written at the sides."""
    across = Scale.of((point.x for point in points), 2.5 * PADDING)  # the numbers of the other axis stand there
    up = Scale.of(point.y for point in points)
    return picture("scatter", {}, title, _scatter(points, across, up, units))


def _scatter(points: Sequence[Point], across: Scale, up: Scale, units: tuple[float, float]) -> Iterator[Markup]:
    for tick in across.ticks():
        yield _upright("grid", across.at(tick), bottom="93%")
        place = {"x": _percent(across.at(tick)), "y": "99%", "text-anchor": "middle"}
        yield element("text", place, f"{tick * units[0]:.4g}")
    for tick in up.ticks():
        y = _height(up, tick)
        yield _level("grid", 0, 100, _percent(y))
        yield element("text", {"x": 2, "y": _percent(y - 1)}, f"{tick * units[1]:.4g}")
    front = sorted((point for point in points if point.front), key=lambda point: point.x)
    for a, b in pairwise(front):
        ends = {"x1": across.at(a.x), "x2": across.at(b.x), "y1": _height(up, a.y), "y2": _height(up, b.y)}
        yield element("line", {"class": "front", **{key: _percent(end) for key, end in ends.items()}})
    for number, point in enumerate(points, 1):
        x, y = across.at(point.x), _height(up, point.y)
        told = element("title", {}, f"{number}: {point.name}")
        place = {"x": _percent(x), "y": _percent(y), "dy": "0.35em", "text-anchor": "middle"}
        kind = "point on-front" if point.front else "point"
        yield element("g", {"class": kind}, told, _dot("", x, _percent(y), 9), element("text", place, str(number)))


def _height(scale: Scale, value: float) -> float:
    """Return where a value lies from the top, above the numbers of the other axis."""
    return 0.93 * (100 - scale.at(value))


def by_loss(terms: Series) -> dict[str, list[float]]:
    """Return the size of each loss at each step, its parts and directions together; what is missing is 0."""
    found: dict[str, list[float]] = {}
    for label, values in terms.items():
        sizes = [abs(value or 0.0) for value in values]
        name = loss_of(label)
        found[name] = [a + b for a, b in zip(found[name], sizes, strict=True)] if name in found else sizes
    return found


def loss_of(label: str) -> str:
    """Return ``style`` of ``A2B/style/relu3_3`` and ``gan`` of ``A2B/gan:D``."""
    return label.split("/")[1].partition(":")[0]


def portions(sizes: Mapping[str, Sequence[float]]) -> dict[str, list[float]]:
    """Return each loss's share of all at each step, from 0 to 1; where nothing is, 0."""
    sums = [math.fsum(some) or 1.0 for some in zip(*sizes.values(), strict=True)]
    return {name: [value / total for value, total in zip(values, sums, strict=True)] for name, values in sizes.items()}


def areas(title: str, steps: Sequence[int], portion: Mapping[str, Sequence[float]], colours: Sequence[str]) -> Markup:
    """Draw shares as areas on each other, the first at the bottom."""
    return picture("areas", {"viewBox": f"0 0 {WIDE} {TALL + 18}"}, title, _areas(steps, portion, colours))


def _areas(steps: Sequence[int], portion: Mapping[str, Sequence[float]], colours: Sequence[str]) -> Iterator[Markup]:
    height, across = [0.0] * len(steps), _across(steps)
    drawn = []
    for name, values in portion.items():
        height = [a + b for a, b in zip(height, values, strict=True)]
        line = _line(across, [TALL * (1 - min(each, 1.0)) for each in height])
        path = {"class": f"area {_colour(name, colours)}", "d": f"{line}V{TALL}H{across[0]:.1f}Z"}
        drawn.append(element("path", path, element("title", {}, name)))
    yield from reversed(drawn)  # each reaches the ground, so that the lowest has to lie on top
    for share in (0.0, 0.5, 1.0):
        yield element("text", {"x": 4, "y": f"{TALL * (1 - share) + (12 if share else -4):g}"}, f"{share:.0%}")
    yield from _steps(steps)


def _across(steps: Sequence[int]) -> list[float]:
    span = max(steps[-1] - steps[0], 1)
    return [WIDE * (step - steps[0]) / span for step in steps] if len(steps) > 1 else [0.0]


def _line(across: Sequence[float], heights: Sequence[float | None]) -> str:
    """Return a path that stops where a value is missing."""
    said, pen = [], "M"
    for x, y in zip(across, heights, strict=True):
        said.append("" if y is None else f"{pen}{x:.1f} {y:.1f}")
        pen = "M" if y is None else "L"
    return "".join(said)


def _colour(name: str, colours: Sequence[str]) -> str:
    return f"c{colours.index(name) % COLOURS}"


def _steps(steps: Sequence[int]) -> Iterator[Markup]:
    yield element("text", {"x": 0, "y": TALL + 14}, f"step {steps[0]}")
    yield element("text", {"x": WIDE, "y": TALL + 14, "text-anchor": "end"}, str(steps[-1]))


def lines(title: str, steps: Sequence[int], terms: Series, colours: Sequence[str]) -> Markup:
    """Draw weighted terms, a loss a colour, further directions dashed; upright in powers of ten where that helps."""
    return picture("lines", {"viewBox": f"0 0 {WIDE} {TALL + 18}"}, title, _lines(steps, terms, colours))


def _lines(steps: Sequence[int], terms: Series, colours: Sequence[str]) -> Iterator[Markup]:
    there = [value for values in terms.values() for value in values if value is not None]
    powers = logarithmic(there)
    scale = Scale.of(math.log10(value) for value in there) if powers else Scale.of(there)
    ticks = decades(scale) if powers else [(tick, f"{tick:.3g}") for tick in scale.ticks(4)]
    for tick, _ in ticks:
        y = _upward(scale, tick)
        yield element("line", {"class": "grid", "x1": 0, "x2": WIDE, "y1": f"{y:.1f}", "y2": f"{y:.1f}"})
    ways = list(dict.fromkeys(label.partition("/")[0] for label in terms))
    for label, values in terms.items():
        own = [value if value is None or not powers else math.log10(value) for value in values]
        heights = [None if value is None else _upward(scale, value) for value in own]
        dashed = " dashed" * (ways.index(label.partition("/")[0]) > 0)
        path = {"class": f"line {_colour(loss_of(label), colours)}{dashed}", "d": _line(_across(steps), heights)}
        yield element("path", path, element("title", {}, label))
    yield from (element("text", {"x": 2, "y": f"{_upward(scale, tick) - 3:.1f}"}, said) for tick, said in ticks)
    yield from _steps(steps)


def _upward(scale: Scale, value: float) -> float:
    return TALL * (1 - scale.at(value) / 100)


def decades(scale: Scale) -> list[tuple[float, str]]:
    """Return marks of a scale of powers of ten: 1, 2 and 5 of each where they are few, otherwise 1."""
    powers = range(math.floor(scale.low), math.ceil(scale.high) + 1)
    for digits in ((1, 2, 5), (1,)):
        found = [(power + math.log10(digit), f"{digit * 10.0**power:g}") for power in powers for digit in digits]
        shown = [(tick, said) for tick, said in found if scale.has(tick)]
        if len(shown) <= 5:
            return shown
    return shown[::2]


def logarithmic(values: Sequence[float]) -> bool:
    """Return whether values are all above 0 and reach over more than a power of ten."""
    return bool(values) and min(values) > 0 and max(values) / min(values) > 10
