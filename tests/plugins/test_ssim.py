"""Structural dissimilarity, by hand and by the SSIM of scikit-image and torchmetrics.

torchmetrics mirrors the border as here; scikit-image leaves it out, so it is given images that were mirrored by 5 px.
"""

from __future__ import annotations

import inspect

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from skimage.metrics import structural_similarity
from torch import Tensor
from torchmetrics.functional.image import structural_similarity_index_measure

import lossbench
from lossbench.testing import parametrize_loss_checks

AGAINST = {"truth": ["fake", "truth"], "real": ["fake", "real"], "cycle": ["rec", "real"]}


def images(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed)) * 2 - 1


def alike(*shape: int) -> tuple[Tensor, Tensor]:
    """Return two images that are much the same."""
    one = F.avg_pool2d(images(*shape), 3, stride=1, padding=1)
    return one, 0.8 * one + 0.1 * images(*shape, seed=1) + 0.05


def ssim(one: Tensor, other: Tensor) -> Tensor:
    return lossbench.load_loss("ssim")(fake=one, truth=other)


def mirrored(image: Tensor) -> Tensor:
    return F.pad((image + 1) / 2, (5, 5, 5, 5), mode="reflect")


@pytest.mark.parametrize("shape", [(2, 3, 16, 16), (1, 1, 17, 24), (2, 3, 6, 9)])
def test_it_is_one_less_the_mean_of_scikit_image(shape):
    pair = alike(*shape)
    one, other = (np.moveaxis(mirrored(image).numpy(), 1, 3) for image in pair)
    how = {"data_range": 1, "gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False, "channel_axis": 2}
    expected = np.mean([1 - structural_similarity(a, b, **how) for a, b in zip(one, other, strict=True)])
    value = ssim(*pair)
    assert value.shape == ()
    assert 0.05 < expected < 1
    assert float(value) == pytest.approx(expected, rel=1e-9)


def test_it_is_one_less_the_mean_of_torchmetrics():
    pair = alike(2, 3, 16, 20)
    expected = 1 - structural_similarity_index_measure(*((image + 1) / 2 for image in pair), data_range=1.0)
    torch.testing.assert_close(ssim(*pair), expected, atol=1e-7, rtol=1e-6)


@pytest.mark.parametrize(("one", "other"), [(-1.0, 1.0), (-1.0, 0.0), (0.5, 0.6)])
def test_flat_images_differ_by_the_term_of_light_alone(one, other):
    x, y = (one + 1) / 2, (other + 1) / 2
    expected = 1 - (2 * x * y + 0.01**2) / (x * x + y * y + 0.01**2)
    flat = torch.ones(1, 3, 16, 16, dtype=torch.float64)
    assert float(ssim(one * flat, other * flat)) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("level", [-1.0, 0.0, 1.0])
def test_equal_images_cost_nothing_black_ones_too(level):
    flat = torch.full((1, 3, 16, 16), level)
    assert float(ssim(flat, flat.clone())) == pytest.approx(0, abs=1e-6)
    assert float(ssim(images(1, 3, 16, 16), images(1, 3, 16, 16))) == pytest.approx(0, abs=1e-12)


def test_it_is_symmetric():
    one, other = alike(2, 3, 16, 16)
    torch.testing.assert_close(ssim(one, other), ssim(other, one))


def test_an_inverted_image_costs_more_than_one_and_at_most_two():
    board = ((torch.arange(16)[:, None] + torch.arange(16)) % 2 * 2.0 - 1).expand(1, 3, 16, 16)
    assert 1.9 < float(ssim(board, -board)) <= 2


def test_every_pixel_has_a_gradient_the_corners_too():
    one, other = alike(1, 1, 16, 16)
    one.requires_grad_()
    ssim(one, other).backward()
    size = one.grad.abs()[0, 0]
    assert min(size[0, 0], size[0, -1], size[-1, 0], size[-1, -1]) > 0.1 * size.mean()


@pytest.mark.parametrize("against", AGAINST)
def test_the_gradient_is_that_of_differences(against):
    one, other = alike(1, 2, 7, 8)
    term = lossbench.load_loss("ssim", against=against)
    assert torch.autograd.gradcheck(term, (one.requires_grad_(), other))


@pytest.mark.parametrize(("against", "asked"), AGAINST.items())
def test_it_asks_for_what_it_compares(against, asked):
    term = lossbench.load_loss("ssim", against=against)
    assert list(inspect.signature(term).parameters) == asked
    one, other = alike(1, 3, 16, 16)
    torch.testing.assert_close(term(**dict(zip(asked, (one, other), strict=True))), ssim(one, other))


def test_it_is_compared_with_the_truth_by_itself():
    assert list(inspect.signature(lossbench.load_loss("ssim")).parameters) == AGAINST["truth"]


@parametrize_loss_checks("ssim", options={"against": "real"})
def test_it_is_sound_against_the_source(check):
    check()
