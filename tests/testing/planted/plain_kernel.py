"""Laplacian: the translation has the fine detail of the source."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lossbench import LossSpec, hookimpl


class Laplacian(nn.Module):
    """L1 of second differences."""

    def __init__(self) -> None:
        super().__init__()
        self.kernel = torch.tensor([[0.0, 1.0, 0.0], [1.0, -4.0, 1.0], [0.0, 1.0, 0.0]]).view(1, 1, 3, 3) / 8

    def forward(self, fake: Tensor, real: Tensor) -> Tensor:
        """[B, C, H, W], twice -> scalar."""
        grey = (fake - real).mean(dim=1, keepdim=True)
        return F.conv2d(grey, self.kernel.to(grey.dtype), padding=1).abs().mean()


def plain_kernel() -> Laplacian:
    """``mean |lap(fake - real)| / 8``; images -> [0, 2]."""
    return Laplacian()


CAUGHT_BY = "device"


@hookimpl
def lossbench_loss() -> LossSpec:
    """Laplacian at weight 5."""
    return LossSpec(plain_kernel, weight=5.0)
