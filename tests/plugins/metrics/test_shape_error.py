"""Shape error: the difference of an ellipse's and a disc's circularity by moments."""

from __future__ import annotations

import pytest
import torch

from tests.plugins.metrics.conftest import disc, measured, plain, value

FLAT, ROUND = disc(14, squash=2.0), disc(10)


def test_it_is_the_difference_of_circularities():
    assert value("shape_error", fake=FLAT, real=ROUND) == pytest.approx(1 - 2 * 2 * 1 / (2**2 + 1**2), abs=0.03)


def test_it_is_a_mean_of_absolute_values_over_images_where_both_have_an_object():
    there = value("shape_error", fake=FLAT, real=ROUND)
    fake, real = torch.cat((FLAT, ROUND, plain(0), disc(8))), torch.cat((ROUND, FLAT, disc(8), plain(0)))
    found = measured("shape_error", fake=fake, real=real)
    assert (found["value"], found["n"]) == (pytest.approx(there), 2)


def test_the_same_shape_in_other_colours_and_another_place_has_none():
    assert value("shape_error", fake=255 - disc(8, x=12, y=18), real=disc(8)) < 0.005


def test_where_no_pair_has_two_objects_there_is_nothing_to_measure():
    assert measured("shape_error", fake=plain(0), real=disc(8))["value"] is None
