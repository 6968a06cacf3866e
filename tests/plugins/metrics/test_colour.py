"""Colour: histograms of plain images, by CIE's formula of lightness and published values of red."""

from __future__ import annotations

import pytest
import torch

from tests.plugins.metrics.conftest import coloured, measured, plain, value

BLACK, WHITE, RED = (0, 0, 0), (255, 255, 255), (255, 0, 0)


def lightness(level: int) -> float:
    """CIE 1976, of sRGB's grey."""
    linear = ((level / 255 + 0.055) / 1.055) ** 2.4
    return 116 * linear ** (1 / 3) - 16


def test_the_same_colours_have_0_wherever_they_are():
    fake = coloured(RED, WHITE)
    assert value("colour", fake=fake, target=fake.flip(0)) == 0
    halves = torch.cat((coloured(RED), coloured(WHITE)), dim=2)
    assert value("colour", fake=halves, target=fake) == 0


def test_black_and_white_differ_in_lightness_alone():
    assert value("colour", fake=coloured(BLACK), target=coloured(WHITE)) == pytest.approx(1 / 3)


def test_red_and_white_differ_in_all():
    assert value("colour", fake=coloured(RED), target=coloured(WHITE)) == 1  # red is L 53, a 80, b 67


def test_it_is_a_share_of_pixels():
    fake, target = coloured(BLACK, WHITE, WHITE, WHITE), coloured(WHITE)
    assert value("colour", fake=fake, target=target) == pytest.approx(0.25 / 3)
    assert value("colour", fake=target, target=fake) == pytest.approx(0.25 / 3)


def test_a_large_image_counts_as_its_pixels_do():
    fake = [coloured(BLACK, size=4)[0], coloured(WHITE, size=8)[0]]
    assert value("colour", fake=fake, target=coloured(WHITE)) == pytest.approx(16 / 80 / 3)


def test_bins_are_2_units_wide_and_begin_at_odd_numbers():
    assert 53 < lightness(127) < lightness(130) < 55
    assert value("colour", fake=plain(127), target=plain(130)) == 0
    assert 52 < lightness(126) < 53 < lightness(127) < 54
    assert value("colour", fake=plain(126), target=plain(127)) == pytest.approx(1 / 3)
    assert 55 < lightness(133) < 57
    assert value("colour", fake=plain(130), target=plain(133)) == pytest.approx(1 / 3)


def test_it_is_one_number_of_all_images():
    found = measured("colour", fake=coloured(BLACK, WHITE, WHITE), target=coloured(WHITE, RED))
    assert (found["better"], found["unit"], found["n"]) == ("lower", "of 1", 3)
