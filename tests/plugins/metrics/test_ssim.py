"""SSIM is torchmetrics' where its window lies inside."""

from __future__ import annotations

import pytest
from torchmetrics.functional.image import structural_similarity_index_measure

from tests.plugins.metrics.conftest import disc, measured, plain, value


def test_ssim_is_that_of_torchmetrics_where_the_window_lies_inside(pair):
    fake, truth = (images.double() for images in pair)
    _, everywhere = structural_similarity_index_measure(
        fake, truth, gaussian_kernel=True, sigma=1.5, data_range=255.0, return_full_image=True
    )
    expected = everywhere[..., 5:-5, 5:-5].mean()  # torchmetrics itself averages over its reflected border as well
    found = measured("ssim", fake=pair[0], truth=pair[1])
    assert (found["value"], found["n"]) == (pytest.approx(float(expected), abs=1e-9), 2)


def test_equal_images_have_1_and_plain_ones_a_value():
    assert value("ssim", fake=disc(8), truth=disc(8)) == pytest.approx(1)
    assert value("ssim", fake=plain(0), truth=plain(255)) == pytest.approx(0, abs=1e-3)
