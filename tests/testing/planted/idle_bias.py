"""Trained balance: structure and colour, balanced by trained weights."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from lossbench import LossSpec, hookimpl


class Balanced(nn.Module):
    """Two parts with a trained uncertainty each."""

    def __init__(self) -> None:
        super().__init__()
        self.log_structure = nn.Parameter(torch.zeros(()))
        self.log_colour = nn.Parameter(torch.zeros(()))

    def forward(self, fake: Tensor, real: Tensor, target: Tensor) -> Tensor:
        """[B, C, H, W], three times -> scalar."""
        dtype = self.log_structure.dtype
        structure = (fake - real).to(dtype).diff(dim=-1).abs().mean()
        colour = (fake.to(dtype).mean(dim=(2, 3)) - target.to(dtype).mean(dim=(2, 3))).abs().mean()
        weight = self.log_colour.detach().exp()
        return structure * (-self.log_structure).exp() + self.log_structure + weight * colour


def idle_bias() -> Balanced:
    """``structure / s + log s + c colour`` with s and c trained; images -> scalar."""
    return Balanced()


CAUGHT_BY = "parameters"


@hookimpl
def lossbench_loss() -> LossSpec:
    """Trained balance at weight 1."""
    return LossSpec(idle_bias)
