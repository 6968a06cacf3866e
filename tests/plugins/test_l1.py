"""L1 to the truth, by hand and by torch."""

from __future__ import annotations

import inspect

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

import lossbench
from lossbench.registry import load


def images(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed)) * 2 - 1


@pytest.mark.parametrize(("power", "expected"), [(1, (2 + 0 + 0.25 + 0.25) / 4), (2, (4 + 0 + 0.0625 + 0.0625) / 4)])
def test_the_value_of_four_pixels_is_that_computed_by_hand(power, expected):
    truth = torch.tensor([[[[1.0, -1.0], [0.0, 0.5]]]])
    fake = torch.tensor([[[[-1.0, -1.0], [0.25, 0.25]]]])
    value = lossbench.load_loss("l1", power=power)(fake=fake, truth=truth)
    assert value.shape == ()
    assert float(value) == pytest.approx(expected)


@pytest.mark.parametrize(("power", "oracle"), [(1, F.l1_loss), (2, F.mse_loss)])
def test_it_is_the_mean_of_torch(power, oracle):
    fake, truth = images(2, 3, 5, 7), images(2, 3, 5, 7, seed=1)
    torch.testing.assert_close(lossbench.load_loss("l1", power=power)(fake=fake, truth=truth), oracle(fake, truth))


def test_the_power_is_1_by_itself():
    fake, truth = images(2, 3, 5, 7), images(2, 3, 5, 7, seed=1)
    torch.testing.assert_close(lossbench.load_loss("l1")(fake=fake, truth=truth), F.l1_loss(fake, truth))


@pytest.mark.parametrize(("power", "slopes"), [(1, (0.25, -0.25, 0.25, -0.25)), (2, (0.25, -0.125, 1.0, -0.5))])
def test_the_gradient_is_that_of_each_difference_over_their_number(power, slopes):
    truth, fake = torch.zeros(1, 1, 1, 4), torch.tensor([[[[0.5, -0.25, 2.0, -1.0]]]], requires_grad=True)
    lossbench.load_loss("l1", power=power)(fake=fake, truth=truth).backward()
    torch.testing.assert_close(fake.grad, torch.tensor([[[slopes]]]))


@pytest.mark.parametrize("power", [1, 2])
def test_what_is_true_costs_nothing_and_has_a_gradient_of_0(power):
    fake = images(1, 3, 4, 4).requires_grad_()
    value = lossbench.load_loss("l1", power=power)(fake=fake, truth=fake.detach().clone())
    value.backward()
    assert float(value.detach()) == 0
    assert torch.equal(fake.grad, torch.zeros_like(fake))


@pytest.mark.parametrize("power", [1, 2])
def test_black_for_white_reaches_the_bound(power):
    white = torch.ones(1, 3, 4, 4)
    assert float(lossbench.load_loss("l1", power=power)(fake=-white, truth=white)) == 2**power


def test_it_asks_for_translation_and_truth():
    assert list(inspect.signature(lossbench.load_loss("l1")).parameters) == ["fake", "truth"]


def test_its_weight_is_100_by_itself():
    assert load("losses", "l1").spec.weight == 100


def test_another_power_is_refused():
    with pytest.raises(lossbench.OptionError, match=r"l1\.power=3.*Options of l1: power=1"):
        lossbench.load_loss("l1", power=3)
