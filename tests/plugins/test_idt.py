"""Identity, by hand on four pixels and by the l1_loss of torch."""

from __future__ import annotations

import inspect

import pytest
import torch

import lossbench


def test_the_loss_is_the_mean_absolute_difference_to_the_target():
    draw = torch.Generator().manual_seed(0)
    target, idt = (torch.rand(2, 3, 5, 7, dtype=torch.float64, generator=draw) * 2 - 1 for _ in range(2))
    value = lossbench.load_loss("idt")(target=target, idt=idt)
    assert value.shape == ()
    torch.testing.assert_close(value, torch.nn.functional.l1_loss(idt, target))


def test_the_value_of_four_pixels_is_that_computed_by_hand():
    target = torch.tensor([[[[1.0, -1.0], [0.0, 0.5]]]])
    idt = torch.tensor([[[[-1.0, -1.0], [0.25, 0.25]]]])
    assert float(lossbench.load_loss("idt")(target, idt)) == pytest.approx((2 + 0 + 0.25 + 0.25) / 4)


def test_an_image_that_stays_costs_nothing():
    target = torch.rand(1, 3, 4, 4)
    assert float(lossbench.load_loss("idt")(target=target, idt=target.clone())) == 0


def test_it_asks_for_target_and_identity():
    assert list(inspect.signature(lossbench.load_loss("idt")).parameters) == ["target", "idt"]
