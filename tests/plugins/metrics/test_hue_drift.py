"""Hue drift: angles between published CIELAB values of sRGB's primaries, and random images by Kornia's CIELAB."""

from __future__ import annotations

import math

import pytest
import torch
from kornia.color import rgb_to_lab

from tests.plugins.metrics.conftest import coloured, measured, smooth, value

RED, GREEN, BLUE, GREY = (255, 0, 0), (0, 255, 0), (0, 0, 255), (128, 128, 128)
AB = {RED: (80.09, 67.20), GREEN: (-86.18, 83.18), BLUE: (79.19, -107.86)}  # of D65


def between(one, other) -> float:
    """Return the angle between two colours, in degrees."""
    (a, b), (c, d) = AB[one], AB[other]
    return math.degrees(math.acos((a * c + b * d) / (math.hypot(a, b) * math.hypot(c, d))))


@pytest.mark.parametrize(("one", "other"), [(RED, GREEN), (GREEN, BLUE), (BLUE, RED)])
def test_it_is_the_angle_between_hues_either_way_and_at_most_180_degrees(one, other):
    assert value("hue_drift", fake=coloured(one), real=coloured(other)) == pytest.approx(between(one, other), abs=0.02)
    assert value("hue_drift", fake=coloured(other), real=coloured(one)) == pytest.approx(between(one, other), abs=0.02)


def test_a_copy_has_0():
    image = coloured(RED, GREEN, BLUE)
    assert value("hue_drift", fake=image, real=image) == pytest.approx(0, abs=1e-12)


def test_pixels_count_by_the_root_of_both_chromas():
    fake = torch.cat((coloured(RED), coloured(BLUE)), dim=3)
    real = torch.cat((coloured(GREEN), coloured(BLUE)), dim=3)
    red, green, blue = (math.hypot(*AB[each]) for each in (RED, GREEN, BLUE))
    weight = math.sqrt(red * green)
    expected = weight * between(RED, GREEN) / (weight + blue)
    assert value("hue_drift", fake=fake, real=real) == pytest.approx(expected, abs=0.02)


def test_it_is_that_of_kornias_cielab():
    fake, real = smooth(1, 2), smooth(2, 2)
    lab = [rgb_to_lab(images.double() / 255)[:, 1:] for images in (fake, real)]
    chroma = [each.square().sum(1).sqrt() for each in lab]
    angle = torch.rad2deg(torch.acos(((lab[0] * lab[1]).sum(1) / (chroma[0] * chroma[1])).clamp(-1, 1)))
    weight = (chroma[0] * chroma[1]).sqrt()
    expected = ((weight * angle).sum((1, 2)) / weight.sum((1, 2))).mean()
    assert value("hue_drift", fake=fake, real=real) == pytest.approx(float(expected), rel=1e-3)


def test_grey_has_no_hue():
    found = measured("hue_drift", fake=coloured(GREY, RED, GREEN), real=coloured(RED, GREY, RED))
    assert (found["n"], found["value"]) == (1, pytest.approx(between(RED, GREEN), abs=0.02))
    assert measured("hue_drift", fake=coloured(GREY), real=coloured(GREY))["value"] is None
    assert measured("hue_drift", fake=coloured((128, 128, 129)), real=coloured(RED))["value"] is None  # chroma 0.6
