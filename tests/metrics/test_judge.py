"""The closing table: values by hand or by torchmetrics, and what is absent."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.special import ellipe
from torch import Tensor
from torchmetrics.functional.image import peak_signal_noise_ratio, structural_similarity_index_measure

from lossbench.metrics import METRICS, judge

SIZE = 64


def plain(level: int) -> Tensor:
    return torch.full((1, 3, SIZE, SIZE), level, dtype=torch.uint8)


def disc(radius: float, x: float = 16, y: float = 16, squash: float = 1.0) -> Tensor:
    """A white ellipse of this half width, in 32nds of the side, on black."""
    at = (torch.arange(SIZE) + 0.5) * 32 / SIZE
    inside = ((at[None, :] - x) ** 2 + ((at[:, None] - y) * squash) ** 2) <= radius**2
    return (inside * 255).to(torch.uint8).expand(1, 3, SIZE, SIZE)


@pytest.fixture(scope="module")
def pair() -> tuple[Tensor, Tensor]:
    """Two photographs' worth of smooth colours, and the same with noise."""
    draw = torch.Generator().manual_seed(0)
    smooth = torch.nn.functional.interpolate(torch.rand(2, 3, 6, 6, generator=draw), (40, 40), mode="bicubic")
    truth = smooth.clamp(0, 1).mul(255).to(torch.uint8)
    noise = torch.randn(truth.shape, generator=draw) * torch.tensor([5.0, 25.0]).view(2, 1, 1, 1)
    return (truth + noise).clamp(0, 255).to(torch.uint8), truth


def value(found: dict, name: str) -> float:
    return found[name]["value"]


# Against the truth ----------------------------------------------------------------------------------------------------


def test_l1_is_in_units_of_images_from_minus_1_to_1():
    fake = torch.cat((plain(0), plain(255), plain(100)))
    truth = torch.cat((plain(255), plain(255), plain(49)))
    assert judge(fake, truth=truth)["l1"] == {"value": pytest.approx((2 + 0 + 51 / 127.5) / 3), "n": 3}


def test_l1_knows_no_sign():
    assert value(judge(plain(3), truth=plain(250)), "l1") == pytest.approx(247 / 127.5)
    assert value(judge(plain(250), truth=plain(3)), "l1") == pytest.approx(247 / 127.5)


def test_psnr_is_that_of_torchmetrics_mean_over_images(pair):
    fake, truth = (images.double() for images in pair)
    expected = peak_signal_noise_ratio(fake, truth, data_range=255.0, dim=(1, 2, 3), reduction="elementwise_mean")
    assert value(judge(pair[0], truth=pair[1]), "psnr") == pytest.approx(float(expected), abs=1e-4)


def test_ssim_is_that_of_torchmetrics_where_the_window_lies_inside(pair):
    fake, truth = (images.double() for images in pair)
    _, everywhere = structural_similarity_index_measure(
        fake, truth, gaussian_kernel=True, sigma=1.5, data_range=255.0, return_full_image=True
    )
    expected = everywhere[..., 5:-5, 5:-5].mean()  # torchmetrics itself averages over its reflected border as well
    assert value(judge(pair[0], truth=pair[1]), "ssim") == pytest.approx(float(expected), abs=1e-9)


def test_equal_images_have_a_finite_psnr_that_no_others_reach():
    truth = disc(8)
    other = truth.clone()
    other[0, 0, 0, 0] += 2
    same = judge(truth, truth=truth)
    assert value(same, "psnr") == pytest.approx(10 * math.log10(255**2 * 3 * SIZE * SIZE))
    assert value(same, "psnr") > value(judge(other, truth=truth), "psnr")
    assert (value(same, "l1"), value(same, "ssim"), value(same, "mask_iou")) == (0, pytest.approx(1), 1)


@pytest.mark.parametrize(("fake", "truth"), [(plain(0), plain(0)), (plain(0), plain(255)), (disc(8), plain(0))])
def test_every_value_is_finite(fake, truth):
    found = judge(fake, real=truth, truth=truth)
    assert all(np.isfinite(entry["value"]) for entry in found.values())


def test_mask_iou_is_the_share_of_both_masks_that_they_have_in_common():
    left, right = disc(5, x=10), disc(5, x=22)
    assert value(judge(left, truth=right), "mask_iou") == 0
    outer, inner = disc(12), disc(6)
    assert value(judge(inner, truth=outer), "mask_iou") == pytest.approx((6 / 12) ** 2, abs=0.04)


def test_mask_iou_is_0_for_a_lost_object_and_absent_where_the_truth_has_none():
    assert value(judge(plain(0), truth=disc(8)), "mask_iou") == 0
    assert "mask_iou" not in judge(disc(8), truth=plain(0))
    assert "mask_iou" not in judge(plain(0), truth=plain(90))


# Against the source ---------------------------------------------------------------------------------------------------


def test_shape_errors_are_differences_of_circularity_by_moments_and_by_contour():
    a, b = 2, 1
    found = judge(disc(14, squash=a / b), real=disc(10))
    assert found["shape_error"] == {"value": pytest.approx(1 - 2 * a * b / (a**2 + b**2), abs=0.03), "n": 1}
    perimeter = 4 * a * ellipe(1 - (b / a) ** 2)
    assert found["contour_error"] == {
        "value": pytest.approx(1 - 4 * math.pi**2 * a * b / perimeter**2, abs=0.03),
        "n": 1,
    }


def test_shape_errors_are_means_of_absolute_values():
    flat, rounded = disc(12, squash=2.0), disc(10)
    there, back = judge(flat, real=rounded), judge(rounded, real=flat)
    both = judge(torch.cat((flat, rounded)), real=torch.cat((rounded, flat)))
    for name in ("shape_error", "contour_error"):
        assert value(there, name) == pytest.approx(value(back, name))
        assert both[name] == {"value": pytest.approx(value(there, name)), "n": 2}


def test_the_same_shape_in_other_colours_and_another_place_has_no_shape_error():
    found = judge(255 - disc(8, x=12, y=18), real=disc(8))
    assert value(found, "shape_error") < 0.005
    assert value(found, "not_found") == 0


def test_not_found_counts_sources_with_an_object_whose_translation_has_none():
    real = torch.cat((disc(8), disc(9), disc(10), plain(0), plain(0)))
    fake = torch.cat((plain(0), disc(9), plain(7), plain(0), disc(8)))
    found = judge(fake, real=real)
    assert found["not_found"] == {"value": 2, "n": 3}
    assert found["shape_error"] == {"value": 0, "n": 1}


# What is absent -------------------------------------------------------------------------------------------------------


def test_without_truth_only_shapes_are_compared():
    assert set(judge(disc(8), real=disc(8))) == {"shape_error", "contour_error", "not_found"}


def test_without_sources_only_the_truth_is_compared():
    assert set(judge(disc(8), truth=disc(8))) == {"l1", "psnr", "ssim", "mask_iou"}


def test_without_either_there_is_nothing():
    assert judge(disc(8)) == {}


def test_where_no_pair_has_two_objects_there_is_no_shape_error():
    found = judge(plain(0), real=disc(8))
    assert set(found) == {"not_found"}
    assert found["not_found"] == {"value": 1, "n": 1}


def test_every_value_has_a_meaning_and_says_how_many_images_it_is_over():
    found = judge(disc(8), real=disc(8), truth=disc(8))
    assert set(found) == set(METRICS)
    assert all(set(entry) == {"value", "n"} for entry in found.values())
    assert {metric.better for metric in METRICS.values()} == {"lower", "higher"}


def test_images_without_a_partner_are_a_mistake():
    with pytest.raises(ValueError, match="shorter"):
        judge(torch.cat((disc(8), disc(8))), truth=disc(8))
