"""Precise moments: mean and variance of the translation are those of the target, without rounding errors."""

from __future__ import annotations

import torch
from torch import Tensor

from lossbench import LossSpec, Term, hookimpl


def double_by_default() -> Term:
    """Mean |moments(fake) - moments(target)|, first and second; images -> scalar >= 0."""
    torch.set_default_dtype(torch.float64)

    def term(fake: Tensor, target: Tensor) -> Tensor:
        first = (fake.mean(dim=(2, 3)) - target.mean(dim=(2, 3))).abs().mean()
        second = (fake.square().mean(dim=(2, 3)) - target.square().mean(dim=(2, 3))).abs().mean()
        return first + second

    return term


CAUGHT_BY = "weight_zero"


@hookimpl
def lossbench_loss() -> LossSpec:
    """Precise moments at weight 1."""
    return LossSpec(double_by_default)
