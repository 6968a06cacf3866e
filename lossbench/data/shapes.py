"""The built-in set: discs in A, striped ellipses in B, and the truth for every test image.

Drawn from a seed, 64 px, 400 training images a side, 64 test pairs. A translation should change the style and keep
the shape; nothing in the unpaired data says so. Two controls tell whether a gain is due to that: in ``shapes-same``
both domains have the discs, so there is nothing to lose; in ``shapes-squash`` B's shapes are A's, squashed, so keeping
circularity is wrong.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lossbench.data.dataset import Dataset
from lossbench.data.images import Image, resized

SIZE = 64
TRAIN = 400
TEST = 64
SQUASH = 1.8
VARIANTS = ("shapes", "shapes-same", "shapes-squash")

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Ellipses:
    """A batch of ellipses in units of the image's side, angle in radians."""

    x: Floats
    y: Floats
    a: Floats
    b: Floats
    angle: Floats

    def squashed(self) -> Ellipses:
        """Return discs squashed in height."""
        return Ellipses(self.x, self.y, self.a, self.b / SQUASH, self.angle)

    def coverage(self) -> Floats:
        """Return how much of each pixel is inside, [N, 64, 64] in [0, 1]: anti-aliased by first-order distance."""
        at = (np.arange(SIZE) + 0.5) / SIZE
        dx = at[None, None, :] - self.x[:, None, None]
        dy = at[None, :, None] - self.y[:, None, None]
        cos, sin = np.cos(self.angle)[:, None, None], np.sin(self.angle)[:, None, None]
        a, b = self.a[:, None, None], self.b[:, None, None]
        u, v = (cos * dx + sin * dy) / a, (cos * dy - sin * dx) / b
        radius = np.hypot(u, v)
        slope = np.hypot(u / a, v / b) / np.maximum(radius, 1e-9)  # |grad radius|
        inside: Floats = np.clip(0.5 - (radius - 1) / np.maximum(slope, 1e-9) * SIZE, 0, 1)
        return inside


def discs(count: int, draw: np.random.Generator) -> Ellipses:
    """Radius U(.18, .34) of the side, centre U(.38, .62)."""
    radius = draw.uniform(0.18, 0.34, count)
    x, y = draw.uniform(0.38, 0.62, (2, count))
    return Ellipses(x, y, radius, radius, np.zeros(count))


def ellipses(count: int, draw: np.random.Generator) -> Ellipses:
    """The discs' areas, aspect U(1.5, 2.2), any angle."""
    disc = discs(count, draw)
    stretch = np.sqrt(draw.uniform(1.5, 2.2, count))
    return Ellipses(disc.x, disc.y, disc.a * stretch, disc.b / stretch, draw.uniform(0, np.pi, count))


def style_a(shapes: Ellipses, draw: np.random.Generator) -> list[Image]:
    """Paint red on cream."""
    return _paint(shapes, (0.85, 0.25, 0.20), 0.1, np.ones(SIZE), (0.92, 0.90, 0.85), draw)


def style_b(shapes: Ellipses, draw: np.random.Generator) -> list[Image]:
    """Paint orange with vertical stripes on blue."""
    stripes = 0.55 + 0.45 * (0.5 + 0.5 * np.sin(np.arange(SIZE) / 2.2))
    return _paint(shapes, (0.95, 0.60, 0.10), 0.08, stripes, (0.12, 0.20, 0.35), draw)


@dataclass(frozen=True)
class Shapes:
    """The source of ``shapes`` or one of its controls.

    ``paired``: B's training images are the truth for A's. ``quick``: settings that make a run on these images short.
    """

    variant: str
    seed: int
    paired: bool = False
    quick: Mapping[str, Any] = field(default_factory=dict, hash=False)

    def defaults(self, size: int | None) -> dict[str, Any]:
        """Return what suits these images: no flip, since the stripes keep their place, and no crop."""
        return {**self.quick, "data.flip": False, "data.size": size or SIZE, "data.load_size": size or SIZE}

    def dataset(self, size: int, load_size: int) -> Dataset:
        """Draw at 64 px; another size is resized."""
        draw = np.random.default_rng([self.seed, VARIANTS.index(self.variant)])
        train_a = discs(TRAIN, draw)
        train_b = ellipses(TRAIN, draw) if self.variant == "shapes" else discs(TRAIN, draw)
        train_b = train_a if self.paired else train_b
        test = truth = discs(TEST, draw)
        if self.variant == "shapes-squash":
            train_b, truth = train_b.squashed(), test.squashed()
        names = [f"{index:03}.png" for index in range(TEST)]
        return Dataset(
            name=self.variant,
            train={"A": resized(style_a(train_a, draw), load_size), "B": resized(style_b(train_b, draw), load_size)},
            test={"A": resized(style_a(test, draw), size), "B": resized(style_b(truth, draw), size)},
            test_names={"A": names, "B": names},
            paired_test=True,
        )


def _paint(
    shapes: Ellipses,
    colour: tuple[float, ...],
    spread: float,
    stripes: Floats,
    ground: tuple[float, ...],
    draw: np.random.Generator,
) -> list[Image]:
    """-> N images [64, 64, 3]."""
    inside = shapes.coverage()[:, None]
    count = len(inside)
    front = draw.normal(colour, spread, (count, 3))[:, :, None, None] * stripes
    back = draw.normal(ground, 0.04, (count, 3))[:, :, None, None]
    image = np.clip(inside * front + (1 - inside) * back, 0, 1)
    return list((image * 255).round().astype(np.uint8).transpose(0, 2, 3, 1))
