"""Huber by hand: a fast Huber distance with its own backward."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from lossbench import LossSpec, Term, hookimpl


class Huber(torch.autograd.Function):
    """0.5 d^2 up to delta, delta (|d| - delta / 2) beyond."""

    @staticmethod
    def forward(ctx: Any, difference: Tensor, delta: float) -> Tensor:
        """Any shape -> the same."""
        ctx.save_for_backward(difference)
        ctx.delta = delta
        size = difference.abs()
        return torch.where(size <= delta, 0.5 * difference.square(), delta * (size - delta / 2))

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        """Slope of the above."""
        (difference,) = ctx.saved_tensors
        inside = difference.abs() <= ctx.delta
        return grad * torch.where(inside, difference, difference.sign()), None


def wrong_backward(*, delta: float = 0.25) -> Term:
    """Mean Huber distance of round trip and source (Huber, 1964); images -> scalar >= 0."""

    def term(rec: Tensor, real: Tensor) -> Tensor:
        distance: Tensor = Huber.apply(rec - real, delta)
        return distance.mean()

    return term


CAUGHT_BY = "gradcheck"


@hookimpl
def lossbench_loss() -> LossSpec:
    """Huber at weight 10."""
    return LossSpec(wrong_backward, weight=10.0)
