"""Running style: channel means of the translation are the running means of the target."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from lossbench import LossSpec, hookimpl


class RunningStyle(nn.Module):
    """Squared distance to running means, whose bookkeeping is kept out of the weights."""

    means: Tensor

    def __init__(self, decay: float) -> None:
        super().__init__()
        self.decay = decay
        self.register_buffer("means", torch.zeros(3), persistent=False)

    def forward(self, fake: Tensor, target: Tensor) -> Tensor:
        """[B, C, H, W], twice -> scalar."""
        dtype = self.means.dtype
        value = (fake.to(dtype).mean(dim=(2, 3)) - self.means.clone()).square().mean()
        if self.training:
            self.means.lerp_(target.detach().to(dtype).mean(dim=(0, 2, 3)), 1 - self.decay)
        return value


def unsaved_buffer(*, decay: float = 0.9) -> RunningStyle:
    """``mean (mean fake - m)^2`` by channel, m the running mean; images -> [0, 4]."""
    return RunningStyle(decay)


CAUGHT_BY = "state"


@hookimpl
def lossbench_loss() -> LossSpec:
    """Running style at weight 1."""
    return LossSpec(unsaved_buffer)
