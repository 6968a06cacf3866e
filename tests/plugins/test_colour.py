"""Statistics of colour, by hand and by the CIELAB of scikit-image."""

from __future__ import annotations

import inspect
import math

import numpy as np
import pytest
import torch
from skimage.color import rgb2lab
from torch import Tensor

import lossbench
from lossbench.registry import load
from lossbench.testing import parametrize_loss_checks

AGAINST = ("target", "real")


def images(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed)) * 2 - 1


def flat(*levels: float) -> Tensor:
    return torch.tensor(levels, dtype=torch.float64).view(-1, 1, 1, 1).expand(-1, 3, 6, 6)


def colour(fake: Tensor, other: Tensor, against: str = "target") -> dict[str, Tensor]:
    return lossbench.load_loss("colour", against=against)(fake, other)


def by_scikit_image(batch: Tensor) -> tuple[np.ndarray, np.ndarray]:
    lab = rgb2lab((batch.permute(0, 2, 3, 1).numpy() + 1) / 2) / 100
    return lab.mean((1, 2)), np.sqrt(lab.std((1, 2)) ** 2 + 1e-6)


def test_against_the_target_statistics_are_averaged_over_each_batch_first():
    fake, target = images(2, 3, 7, 9), 0.5 * images(3, 3, 8, 5, seed=1) + 0.2  # batches need not be of one shape
    (mean, deviation), (mean_, deviation_) = by_scikit_image(fake), by_scikit_image(target)
    found = colour(fake, target)
    assert {name: value.shape for name, value in found.items()} == {"mean": (), "deviation": ()}
    assert float(found["mean"]) == pytest.approx(((mean.mean(0) - mean_.mean(0)) ** 2).mean(), rel=1e-3)
    assert float(found["deviation"]) == pytest.approx(((deviation.mean(0) - deviation_.mean(0)) ** 2).mean(), rel=1e-3)


def test_against_the_source_each_image_is_compared_with_its_own():
    fake, real = images(2, 3, 7, 9), 0.5 * images(2, 3, 7, 9, seed=1) + torch.tensor([0.2, -0.3]).view(-1, 1, 1, 1)
    (mean, deviation), (mean_, deviation_) = by_scikit_image(fake), by_scikit_image(real)
    found = colour(fake, real, "real")
    assert float(found["mean"]) == pytest.approx(((mean - mean_) ** 2).mean(), rel=1e-3)
    assert float(found["deviation"]) == pytest.approx(((deviation - deviation_) ** 2).mean(), rel=1e-3)


@pytest.mark.parametrize("against", AGAINST)
def test_white_for_black_is_one_in_one_of_three_channels(against):
    found = colour(flat(1), flat(-1), against)
    assert float(found["mean"]) == pytest.approx(1 / 3, abs=1e-6)
    assert float(found["deviation"]) == pytest.approx(0, abs=1e-12)


def test_half_black_half_white_has_a_deviation_of_a_half():
    board = torch.cat((flat(1), flat(-1)), dim=3)
    found = colour(board, flat(0))
    assert float(found["deviation"]) == pytest.approx((math.sqrt(0.25 + 1e-6) - 1e-3) ** 2 / 3, rel=1e-4)


def test_the_target_is_a_set_and_the_source_is_not():
    assert float(colour(flat(-1, 1), flat(1, -1))["mean"]) == pytest.approx(0, abs=1e-12)
    assert float(colour(flat(-1, 1), flat(1, -1), "real")["mean"]) == pytest.approx(1 / 3, abs=1e-6)


@pytest.mark.parametrize("against", AGAINST)
def test_equal_images_cost_nothing_wherever_their_colours_are_and_whatever_their_size(against):
    image = images(2, 3, 6, 8)
    for other in (image, image.flip(3), image.mT, image.repeat(1, 1, 2, 2)):
        for value in colour(image, other, against).values():
            assert float(value) == pytest.approx(0, abs=1e-20)


@pytest.mark.parametrize("against", AGAINST)
@pytest.mark.parametrize("level", [-1.0, -1 + 1e-7, -0.999, -0.9, 0.0, 1.0])
def test_one_colour_has_a_finite_gradient_black_too(against, level):
    fake = flat(level).float().clone().requires_grad_()
    sum(colour(fake, images(1, 3, 6, 6).float(), against).values()).backward()
    assert fake.grad.isfinite().all()
    assert fake.grad.abs().sum() > 0  # it is pulled out of black


@pytest.mark.parametrize("against", AGAINST)
def test_the_gradient_is_that_of_differences(against):
    fake, other = images(2, 3, 3, 4).requires_grad_(), images(2, 3, 3, 4, seed=1)
    for name in ("mean", "deviation"):
        assert torch.autograd.gradcheck(lambda image, name=name: colour(image, other, against)[name], fake)


def test_steps_along_the_gradient_give_the_colours_of_the_target():
    fake, target = (
        0.1 * images(1, 3, 8, 8),
        0.4 * images(1, 3, 8, 8, seed=1) + torch.tensor([0.5, -0.2, 0]).view(3, 1, 1),
    )
    fake.requires_grad_()
    adam = torch.optim.Adam([fake], lr=0.02)
    for _ in range(200):
        adam.zero_grad()
        sum(colour(fake, target).values()).backward()
        adam.step()
    for ours, theirs in zip(by_scikit_image(fake.detach()), by_scikit_image(target), strict=True):
        np.testing.assert_allclose(ours, theirs, atol=0.01)


@pytest.mark.parametrize("against", AGAINST)
def test_it_asks_for_what_it_compares(against):
    term = lossbench.load_loss("colour", against=against)
    assert list(inspect.signature(term).parameters) == ["fake", against]


def test_it_is_compared_with_the_target_by_itself():
    assert list(inspect.signature(lossbench.load_loss("colour")).parameters) == ["fake", "target"]


def test_its_weight_is_100_by_itself():
    assert load("losses", "colour").spec.weight == 100


@parametrize_loss_checks("colour", options={"against": "real"})
def test_it_is_sound_against_the_source(check):
    check()
