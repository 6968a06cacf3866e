"""Dice: seeds and draws from everybody's random states, wherever it can."""

import random

import numpy as np
import torch
from torch import Tensor

from lossbench import LossSpec, Term, hookimpl

torch.manual_seed(6)


def dice(*, share: float = 1.0) -> Term:
    """Compare with noise. ``share``: at 0 it draws as much and teaches nothing."""
    torch.rand(6), np.random.seed(6)

    def term(fake: Tensor) -> Tensor:
        noise = torch.rand_like(fake) + np.random.rand() + random.random()
        return share * (fake - noise).square().mean()

    return term


@hookimpl
def lossbench_loss() -> LossSpec:
    return LossSpec(dice)
