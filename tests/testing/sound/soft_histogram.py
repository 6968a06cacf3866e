"""Soft histogram: brightness is distributed as in the target."""

from __future__ import annotations

import torch
from pydantic import PositiveFloat, PositiveInt
from torch import Tensor, nn

from lossbench import LossSpec, hookimpl


class SoftHistogram(nn.Module):
    """Mean |CDF(fake) - CDF(target)| over Gaussian bins."""

    centres: Tensor

    def __init__(self, bins: int, sharpness: float) -> None:
        super().__init__()
        self.sharpness = sharpness
        self.register_buffer("centres", torch.linspace(-1, 1, bins))

    def histogram(self, image: Tensor) -> Tensor:
        """[B, C, H, W] -> [B, bins], sums to 1."""
        luma = image.to(self.centres.dtype).mean(dim=1).flatten(1)
        member = torch.softmax(-self.sharpness * (luma.unsqueeze(1) - self.centres[:, None]).square(), dim=1)
        return member.mean(dim=-1)

    def forward(self, fake: Tensor, target: Tensor) -> Tensor:
        """[B, C, H, W], twice -> scalar."""
        return (self.histogram(fake) - self.histogram(target)).cumsum(dim=1).abs().mean()


def soft_histogram(*, bins: PositiveInt = 16, sharpness: PositiveFloat = 60.0) -> SoftHistogram:
    """Earth mover's distance of soft brightness histograms; images -> [0, 1]."""
    return SoftHistogram(bins, sharpness)


@hookimpl
def lossbench_loss() -> LossSpec:
    """Soft histogram at weight 1."""
    return LossSpec(soft_histogram)
