"""Contour error: the difference of a square's and a disc's circularity by perimeter."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from tests.plugins.metrics.conftest import disc, measured, plain, value

FLAT, ROUND = disc(14, squash=2.0), disc(10)


def square(side: int) -> Tensor:
    image = plain(0)
    image[:, :, 32 - side // 2 : 32 + side // 2, 32 - side // 2 : 32 + side // 2] = 255
    return image


def test_it_is_the_difference_of_circularities():
    # by perimeter a square has pi / 4, a little more where smoothing rounds its corners; by moments it has 3 / pi
    assert value("contour_error", fake=square(48), real=disc(14)) == pytest.approx(1 - math.pi / 4, abs=0.06)


def test_it_is_a_mean_of_absolute_values_over_images_where_both_have_an_object():
    there = value("contour_error", fake=FLAT, real=ROUND)
    fake, real = torch.cat((FLAT, ROUND, plain(0), disc(8))), torch.cat((ROUND, FLAT, disc(8), plain(0)))
    found = measured("contour_error", fake=fake, real=real)
    assert (found["value"], found["n"]) == (pytest.approx(there), 2)


def test_where_no_pair_has_two_objects_there_is_nothing_to_measure():
    assert measured("contour_error", fake=plain(0), real=disc(8))["value"] is None
