"""Textures: the Gram matrices of random features are those of the target, in the networks' precision."""

from __future__ import annotations

import torch
from pydantic import PositiveInt
from torch import Tensor, nn

from lossbench import LossSpec, hookimpl


class Textures(nn.Module):
    """Mean squared difference of Gram matrices."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.filters = nn.Conv2d(3, width, 5, padding=2, bias=False).requires_grad_(False)

    def gram(self, image: Tensor) -> Tensor:
        """[B, C, H, W] -> [B, width, width]."""
        features = torch.tanh(self.filters(image.to(self.filters.weight.dtype))).flatten(2)
        return features @ features.transpose(1, 2) / features.shape[-1]

    def forward(self, fake: Tensor, target: Tensor) -> Tensor:
        """[B, C, H, W], twice -> scalar."""
        return (self.gram(fake) - self.gram(target)).to(self.filters.weight.dtype).square().mean()


def textures(*, width: PositiveInt = 16) -> Textures:
    """Style loss (Gatys et al., 2016) on ``width`` random filters; images -> [0, 1]."""
    return Textures(width)


@hookimpl
def lossbench_loss() -> LossSpec:
    """Textures at weight 1, in bf16 where the networks are."""
    return LossSpec(textures, autocast=True)
