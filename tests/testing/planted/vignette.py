"""Vignette: the middle of the image counts more than its rim."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from lossbench import LossSpec, hookimpl


class Vignette(nn.Module):
    """L1 under a Gaussian."""

    mask: Tensor

    def __init__(self, sigma: float) -> None:
        super().__init__()
        line = torch.exp(-(torch.linspace(-1, 1, 64).square()) / (2 * sigma**2))
        self.register_buffer("mask", line[:, None] * line[None, :])

    def forward(self, rec: Tensor, real: Tensor) -> Tensor:
        """[B, C, H, W], twice -> scalar."""
        return ((rec - real).abs() * self.mask).mean()


def vignette(*, sigma: float = 0.7) -> Vignette:
    """``mean m |rec - real|``, m a Gaussian around the centre; images -> [0, 2]."""
    return Vignette(sigma)


CAUGHT_BY = "sizes"


@hookimpl
def lossbench_loss() -> LossSpec:
    """Vignette at weight 5."""
    return LossSpec(vignette, weight=5.0)
