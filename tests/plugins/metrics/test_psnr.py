"""PSNR is torchmetrics', and finite where images are equal."""

from __future__ import annotations

import math

import pytest
from torchmetrics.functional.image import peak_signal_noise_ratio

from tests.plugins.metrics.conftest import SIZE, disc, measured, plain, value


def test_psnr_is_that_of_torchmetrics_mean_over_images(pair):
    fake, truth = (images.double() for images in pair)
    expected = peak_signal_noise_ratio(fake, truth, data_range=255.0, dim=(1, 2, 3), reduction="elementwise_mean")
    found = measured("psnr", fake=pair[0], truth=pair[1])
    assert (found["value"], found["n"]) == (pytest.approx(float(expected), abs=1e-4), 2)


def test_equal_images_have_a_finite_psnr_that_no_others_reach():
    truth = disc(8)
    other = truth.clone()
    other[0, 0, 0, 0] += 2
    same = value("psnr", fake=truth, truth=truth)
    assert same == pytest.approx(10 * math.log10(255**2 * 3 * SIZE * SIZE))
    assert same > value("psnr", fake=other, truth=truth)


def test_the_worst_is_0():
    assert value("psnr", fake=plain(0), truth=plain(255)) == 0
