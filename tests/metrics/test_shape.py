"""The shape of an object, held against the formulas of figures whose circularity is known."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.special import ellipe

from lossbench.metrics.shape import shape as shape_of

RED, BLUE = (200, 60, 50), (20, 30, 80)
TIMES = 8  # points a pixel's side


def grid(size: int) -> tuple[np.ndarray, np.ndarray]:
    """Return x and y of TIMES x TIMES points in each of size x size pixels, in units of the side."""
    at = (np.arange(size * TIMES) + 0.5) / (size * TIMES)
    return at[None, :], at[:, None]


def painted(inside: np.ndarray, front=RED, ground=BLUE) -> np.ndarray:
    """Points inside or not -> an anti-aliased picture."""
    size = len(inside) // TIMES
    share = inside.reshape(size, TIMES, size, TIMES).mean((1, 3))[..., None]
    return (share * np.array(front) + (1 - share) * np.array(ground)).round().astype(np.uint8)


def ellipse(a: float, b: float, *, x=0.5, y=0.5, angle=0.0, size=64) -> np.ndarray:
    dx, dy = (at - centre for at, centre in zip(grid(size), (x, y), strict=True))
    u, v = math.cos(angle) * dx + math.sin(angle) * dy, math.cos(angle) * dy - math.sin(angle) * dx
    return (u / a) ** 2 + (v / b) ** 2 <= 1


def rectangle(width: float, height: float, angle: float) -> np.ndarray:
    x, y = (at - 0.5 for at in grid(96))
    u, v = math.cos(angle) * x + math.sin(angle) * y, math.cos(angle) * y - math.sin(angle) * x
    return (abs(u) <= width / 2) & (abs(v) <= height / 2)


def overlap(one: np.ndarray, other: np.ndarray) -> float:
    return float((one & other).sum() / (one | other).sum())


# Figures --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("radius", "x", "y"), [(0.12, 0.5, 0.5), (0.2, 0.43, 0.61), (0.34, 0.51, 0.52)])
def test_a_disc_is_round(radius, x, y):
    shape = shape_of(painted(ellipse(radius, radius, x=x, y=y)))
    assert shape.by_moments == pytest.approx(1, abs=0.006)
    assert shape.by_contour == pytest.approx(1, abs=0.012)


@pytest.mark.parametrize(("a", "b", "angle"), [(0.3, 0.2, 0.0), (0.36, 0.18, 0.6), (0.4, 0.15, 2.0)])
def test_an_ellipse_has_the_circularity_of_its_axes(a, b, angle):
    shape = shape_of(painted(ellipse(a, b, angle=angle)))
    perimeter = 4 * a * ellipe(1 - (b / a) ** 2)
    assert shape.by_moments == pytest.approx(2 * a * b / (a**2 + b**2), abs=0.02)
    assert shape.by_contour == pytest.approx(4 * math.pi * math.pi * a * b / perimeter**2, abs=0.015)


@pytest.mark.parametrize("angle", [0.0, 0.3, math.pi / 4])
def test_a_square_has_a_circularity_of_3_by_pi(angle):
    shape = shape_of(painted(rectangle(0.5, 0.5, angle)))
    assert shape.by_moments == pytest.approx(3 / math.pi, abs=0.004)
    assert shape.by_contour == pytest.approx(math.pi / 4, abs=0.04)  # the picture is smoothed, which rounds corners


def test_a_rectangle_has_the_circularity_of_its_moments():
    width, height = 0.6, 0.3
    second = (width * height**3 + height * width**3) / 12
    expected = (width * height) ** 2 / (2 * math.pi * second)
    assert shape_of(painted(rectangle(width, height, 0.3))).by_moments == pytest.approx(expected, abs=0.015)


def test_the_mask_is_where_the_object_is():
    inside = ellipse(0.3, 0.2, x=0.4)
    truth = painted(inside, (255, 255, 255), (0, 0, 0))[..., 0] > 127
    assert overlap(shape_of(painted(inside)).mask, truth) > 0.9


# The border -----------------------------------------------------------------------------------------------------------


def test_a_disc_cut_in_half_by_the_border_is_a_half_disc():
    shape = shape_of(painted(ellipse(0.3, 0.3, x=0.0)))
    second = math.pi / 8 + (math.pi / 8 - 8 / (9 * math.pi))  # along the cut and across it, of radius 1
    assert shape.by_moments == pytest.approx((math.pi / 2) ** 2 / (2 * math.pi * second), abs=0.006)
    assert shape.by_contour == pytest.approx(2 * math.pi**2 / (math.pi + 2) ** 2, abs=0.025)


def test_a_disc_in_the_corner_is_a_quarter_disc():
    shape = shape_of(painted(ellipse(0.4, 0.4, x=1.0, y=1.0)))
    second = 2 * (math.pi / 16 - 4 / (9 * math.pi))
    assert shape.by_moments == pytest.approx((math.pi / 4) ** 2 / (2 * math.pi * second), abs=0.006)
    assert shape.by_contour == pytest.approx(math.pi**2 / (math.pi / 2 + 2) ** 2, abs=0.04)


# Objects and grounds --------------------------------------------------------------------------------------------------


def test_colours_of_equal_brightness_are_told_apart():
    red, green = (255, 0, 0), (0, 130, 0)
    brightness = [0.299 * r + 0.587 * g + 0.114 * b for r, g, b in (red, green)]
    assert brightness[0] == pytest.approx(brightness[1], abs=0.1)
    assert shape_of(painted(ellipse(0.3, 0.3), red, green)).by_moments == pytest.approx(1, abs=0.005)


def test_light_on_dark_and_dark_on_light_are_the_same_shape():
    inside = ellipse(0.3, 0.15)
    one, other = shape_of(painted(inside, RED, BLUE)), shape_of(painted(inside, BLUE, RED))
    assert one.by_moments == pytest.approx(other.by_moments, abs=0.003)
    assert overlap(one.mask, other.mask) > 0.97


def test_holes_are_filled():
    ring = ellipse(0.3, 0.3) & ~ellipse(0.15, 0.15)
    shape, disc = shape_of(painted(ring)), shape_of(painted(ellipse(0.3, 0.3)))
    assert shape.by_moments == pytest.approx(1, abs=0.005)
    assert shape.by_contour == pytest.approx(disc.by_contour, abs=0.005)
    assert overlap(shape.mask, disc.mask) == 1


def test_of_several_parts_the_largest_is_the_object():
    large, small = ellipse(0.2, 0.2, x=0.3, y=0.3), ellipse(0.15, 0.05, x=0.75, y=0.85)
    shape, alone = shape_of(painted(large | small)), shape_of(painted(large))
    assert shape.by_moments == pytest.approx(alone.by_moments, abs=0.005)
    assert shape.by_contour == pytest.approx(alone.by_contour, abs=0.005)
    assert not shape.mask[48:, 36:].any()


@pytest.mark.parametrize("colour", [(0, 0, 0), (77, 140, 20), (255, 255, 255)])
def test_a_plain_picture_has_no_object(colour):
    assert shape_of(np.full((64, 64, 3), colour, np.uint8)) is None


def test_a_faint_object_is_none_and_a_clear_one_is():
    ground = (100, 100, 100)
    assert shape_of(painted(ellipse(0.3, 0.3), (105, 105, 105), ground)) is None
    assert shape_of(painted(ellipse(0.3, 0.3), (130, 130, 130), ground)) is not None


def test_faint_noise_is_no_object():
    noise = np.random.default_rng(0).normal(120, 4, (64, 64, 3)).round().astype(np.uint8)
    assert shape_of(noise) is None


def test_a_single_bright_pixel_is_no_object():
    picture = np.zeros((128, 128, 3), np.uint8)
    picture[30, 30] = 255
    assert shape_of(picture) is None


def test_the_picture_is_left_as_it_was():
    picture = painted(ellipse(0.3, 0.3))
    before = picture.copy()
    shape_of(picture)
    np.testing.assert_array_equal(picture, before)
