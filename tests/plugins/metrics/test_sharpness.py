"""Sharpness: stripes whose gradient is known."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from tests.plugins.metrics.conftest import measured, plain, value


def stripes(*colour: int, every: int = 2) -> Tensor:
    """Return an image [1, 3, 64, 64] of black and coloured stripes; of ``every`` 4, half as many edges."""
    on = torch.arange(64) % every < every // 2
    return (on * torch.tensor(colour, dtype=torch.uint8)[:, None, None]).expand(1, 3, 64, 64)


def test_twice_the_contrast_is_two_octaves_either_way():
    low, high = stripes(51, 51, 51), stripes(102, 102, 102)
    assert value("sharpness", fake=low, target=high) == pytest.approx(2)
    assert value("sharpness", fake=high, target=low) == pytest.approx(2)
    assert value("sharpness", fake=low, target=low) == 0


def test_edges_across_and_down_count_the_same():
    both = torch.maximum(stripes(51, 51, 51), stripes(51, 51, 51).mT)
    one = stripes(51, 51, 51)
    assert value("sharpness", fake=one, target=one.mT) == pytest.approx(0)
    assert value("sharpness", fake=both, target=one) == pytest.approx(0)  # half as often in each of both directions


def test_fewer_edges_are_less_detail():
    edges = [63, 31]  # in 64 columns
    found = value("sharpness", fake=stripes(90, 90, 90, every=4), target=stripes(90, 90, 90))
    assert found == pytest.approx(math.log2(edges[0] / edges[1]))


def test_it_is_of_luma():
    luma = 0.2125, 0.7154, 0.0721  # of ITU-R BT.709, as scikit-image rounds it
    grey = stripes(200, 200, 200)
    for channel, weight in enumerate(luma):
        colour = [0, 0, 0]
        colour[channel] = 200
        assert value("sharpness", fake=stripes(*colour), target=grey) == pytest.approx(-2 * math.log2(weight))


def test_it_is_of_the_means_of_both_sets():
    fake = torch.cat((stripes(51, 51, 51), plain(9), plain(9), plain(9)))
    assert value("sharpness", fake=fake, target=stripes(51, 51, 51)) == pytest.approx(2)
    assert measured("sharpness", fake=fake, target=stripes(51, 51, 51))["n"] == 4


@pytest.mark.parametrize("swapped", [False, True])
def test_without_any_detail_there_is_nothing_to_compare(swapped):
    fake, target = (plain(3), stripes(9, 9, 9))[:: -1 if swapped else 1]
    found = measured("sharpness", fake=fake, target=target)
    assert found["value"] is None
    assert found["reason"] == "the images of one set are plain, without any detail to compare"
