"""Steady colour: the translation's mean colour does not jump from step to step."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from lossbench import LossSpec, hookimpl


class SteadyColour(nn.Module):
    """Squared distance to the running mean of what was translated."""

    usual: Tensor

    def __init__(self, decay: float) -> None:
        super().__init__()
        self.decay = decay
        self.register_buffer("usual", torch.zeros(3))

    def forward(self, fake: Tensor) -> Tensor:
        """[B, C, H, W] -> scalar."""
        now = fake.to(self.usual.dtype).mean(dim=(0, 2, 3))
        usual = self.decay * self.usual + (1 - self.decay) * now
        if self.training:
            self.usual = usual
        return (now - usual).square().mean()


def undetached_average(*, decay: float = 0.9) -> SteadyColour:
    """``mean (m - a)^2``, m the mean colour of the batch, a its running mean; image -> [0, 4]."""
    return SteadyColour(decay)


CAUGHT_BY = "steps"


@hookimpl
def lossbench_loss() -> LossSpec:
    """Steady colour at weight 1."""
    return LossSpec(undetached_average)
