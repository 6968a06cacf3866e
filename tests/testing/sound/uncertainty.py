"""Uncertainty: the round trip is right, as exactly as each colour channel can be."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from lossbench import LossSpec, hookimpl


class Uncertainty(nn.Module):
    """Laplace likelihood with a trained scale for each channel."""

    def __init__(self, start: float) -> None:
        super().__init__()
        self.log_scale = nn.Parameter(torch.full((3,), start))

    def forward(self, rec: Tensor, real: Tensor) -> Tensor:
        """[B, C, H, W], twice -> scalar."""
        error = (rec - real).to(self.log_scale.dtype).abs().mean(dim=(0, 2, 3))
        return (error * (-self.log_scale).exp() + self.log_scale).mean()


def uncertainty(*, start: float = 0.0) -> Uncertainty:
    """``mean |rec - real| / s + log s`` with trained s (Kendall & Gal, 2017); images -> scalar, also below 0."""
    return Uncertainty(start)


@hookimpl
def lossbench_loss() -> LossSpec:
    """Uncertainty at weight 1."""
    return LossSpec(uncertainty)
