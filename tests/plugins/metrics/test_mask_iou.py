"""Mask IoU of discs whose overlap is known."""

from __future__ import annotations

import pytest
import torch

from tests.plugins.metrics.conftest import disc, measured, plain, value


def test_it_is_the_share_of_both_masks_that_they_have_in_common():
    assert value("mask_iou", fake=disc(5, x=10), truth=disc(5, x=22)) == 0
    assert value("mask_iou", fake=disc(6), truth=disc(12)) == pytest.approx((6 / 12) ** 2, abs=0.04)
    assert value("mask_iou", fake=disc(8), truth=disc(8)) == 1


def test_a_lost_object_has_0():
    fake, truth = torch.cat((plain(0), disc(8))), torch.cat((disc(8), disc(8)))
    found = measured("mask_iou", fake=fake, truth=truth)
    assert (found["value"], found["n"]) == (0.5, 2)


def test_a_truth_without_an_object_does_not_count():
    found = measured("mask_iou", fake=torch.cat((disc(8), disc(8))), truth=torch.cat((disc(8), plain(0))))
    assert (found["value"], found["n"]) == (1, 1)
    none = measured("mask_iou", fake=plain(0), truth=plain(90))
    assert (none["value"], none["n"]) == (None, 0)
    assert none["reason"] == "there is no image in which anything can be measured"
