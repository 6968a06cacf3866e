"""Total variation, by hand and by the libraries whose sums are turned into means here."""

from __future__ import annotations

import kornia
import pytest
import torch
from torch import Tensor
from torchmetrics.functional.image import total_variation

import lossbench


def images(*shape: int) -> Tensor:
    return torch.rand(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(0)) * 2 - 1


PICTURE = torch.tensor([[[[0.0, 1.0, -1.0], [0.5, 0.5, 0.0]]]])
#           dx: 1 2 | 0 .5, mean 3.5 / 4          dy: .5 .5 1, mean 2 / 3


@pytest.mark.parametrize(
    ("power", "expected"), [(1, 3.5 / 4 + 2 / 3), (2, (1 + 4 + 0 + 0.25) / 4 + (0.25 + 0.25 + 1) / 3)]
)
def test_the_value_of_six_pixels_is_that_computed_by_hand(power, expected):
    value = lossbench.load_loss("tv", power=power)(fake=PICTURE)
    assert value.shape == ()
    assert float(value) == pytest.approx(expected)


def test_the_power_is_1_by_itself():
    assert torch.equal(lossbench.load_loss("tv")(PICTURE), lossbench.load_loss("tv", power=1)(PICTURE))


def test_it_is_the_sum_of_torchmetrics_by_the_number_of_differences():
    fake = images(2, 3, 9, 9)  # a square has as many differences across as down
    expected = total_variation(fake, reduction="sum") / (2 * 3 * 9 * 8)
    torch.testing.assert_close(lossbench.load_loss("tv")(fake=fake), expected)


@pytest.mark.parametrize("shape", [(2, 3, 9, 9), (2, 3, 5, 8)])
def test_it_is_the_mean_of_kornia_over_images_and_channels(shape):
    fake = images(*shape)
    expected = kornia.losses.total_variation(fake, reduction="mean").mean()
    torch.testing.assert_close(lossbench.load_loss("tv")(fake=fake), expected)


@pytest.mark.parametrize("power", [1, 2])
def test_a_constant_image_costs_nothing_and_has_a_finite_gradient(power):
    fake = torch.full((1, 3, 4, 4), 0.3, requires_grad=True)
    value = lossbench.load_loss("tv", power=power)(fake=fake)
    value.backward()
    assert float(value.detach()) == 0
    assert fake.grad.isfinite().all()


@pytest.mark.parametrize("power", [1, 2])
def test_a_checkerboard_of_the_extremes_reaches_the_bound(power):
    board = (torch.arange(4)[:, None] + torch.arange(4)) % 2 * 2.0 - 1
    assert float(lossbench.load_loss("tv", power=power)(fake=board.expand(1, 3, 4, 4))) == 2 ** (power + 1)


@pytest.mark.parametrize("power", [1, 2])
def test_the_gradient_is_that_of_differences(power):
    fake = images(1, 2, 4, 5).requires_grad_()
    assert torch.autograd.gradcheck(lossbench.load_loss("tv", power=power), fake)


def test_another_power_is_refused():
    with pytest.raises(lossbench.OptionError, match=r"tv\.power=3.*Options of tv: power=1"):
        lossbench.load_loss("tv", power=3)
