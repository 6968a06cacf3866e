"""Cycle consistency, by hand on four pixels and by the l1_loss of torch."""

from __future__ import annotations

import inspect

import pytest
import torch

import lossbench


def test_the_loss_is_the_mean_absolute_difference_of_the_round_trip():
    draw = torch.Generator().manual_seed(0)
    real, rec = (torch.rand(2, 3, 5, 7, dtype=torch.float64, generator=draw) * 2 - 1 for _ in range(2))
    value = lossbench.load_loss("cycle")(real=real, rec=rec)
    assert value.shape == ()
    torch.testing.assert_close(value, torch.nn.functional.l1_loss(rec, real))


def test_the_value_of_four_pixels_is_that_computed_by_hand():
    real = torch.tensor([[[[1.0, -1.0], [0.0, 0.5]]]])
    rec = torch.tensor([[[[-1.0, -1.0], [0.25, 0.25]]]])
    assert float(lossbench.load_loss("cycle")(real, rec)) == pytest.approx((2 + 0 + 0.25 + 0.25) / 4)


def test_a_round_trip_that_comes_back_costs_nothing():
    real = torch.rand(1, 3, 4, 4)
    assert float(lossbench.load_loss("cycle")(real=real, rec=real.clone())) == 0


def test_the_gradient_is_the_sign_over_the_number_of_values():
    real, rec = torch.zeros(1, 1, 1, 4), torch.tensor([[[[0.5, -0.25, 2.0, -1.0]]]], requires_grad=True)
    lossbench.load_loss("cycle")(real=real, rec=rec).backward()
    torch.testing.assert_close(rec.grad, torch.tensor([[[[0.25, -0.25, 0.25, -0.25]]]]))


def test_it_asks_for_source_and_round_trip():
    assert list(inspect.signature(lossbench.load_loss("cycle")).parameters) == ["real", "rec"]
