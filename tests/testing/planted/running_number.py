"""Usual brightness: the translation is as bright as target images have been so far."""

from __future__ import annotations

from torch import Tensor, nn

from lossbench import LossSpec, hookimpl


class UsualBrightness(nn.Module):
    """Squared distance to a running mean."""

    def __init__(self, decay: float) -> None:
        super().__init__()
        self.decay = decay
        self.usual = 0.0

    def forward(self, fake: Tensor, target: Tensor) -> Tensor:
        """[B, C, H, W], twice -> scalar."""
        value = (fake.mean(dim=(1, 2, 3)) - self.usual).square().mean()
        if self.training:
            self.usual = self.decay * self.usual + (1 - self.decay) * target.mean().item()
        return value


def running_number(*, decay: float = 0.9) -> UsualBrightness:
    """``mean (mean fake - m)^2``, m the running mean of the target; images -> [0, 4]."""
    return UsualBrightness(decay)


CAUGHT_BY = "state"


@hookimpl
def lossbench_loss() -> LossSpec:
    """Usual brightness at weight 1."""
    return LossSpec(running_number)
