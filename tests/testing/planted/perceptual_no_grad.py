"""Perceptual: translation and source have the same features in a fixed convolutional network."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from lossbench import LossSpec, hookimpl


class Perceptual(nn.Module):
    """Mean squared difference of features."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(3, width, 3, padding=1), nn.ReLU(), nn.Conv2d(width, 2 * width, 3, stride=2, padding=1), nn.ReLU()
        )
        self.layers.requires_grad_(False)

    @torch.no_grad()
    def features(self, image: Tensor) -> Tensor:
        """[B, 3, H, W] -> [B, 2 width, H / 2, W / 2]; the network is fixed, so no gradients are needed."""
        found: Tensor = self.layers(image.to(next(self.layers.parameters()).dtype))
        return found

    def forward(self, fake: Tensor, real: Tensor) -> Tensor:
        """[B, C, H, W], twice -> scalar."""
        return (self.features(fake) - self.features(real)).square().mean()


def perceptual_no_grad(*, width: int = 8) -> Perceptual:
    """Mean squared difference of features (Johnson et al., 2016); images -> scalar >= 0."""
    return Perceptual(width)


CAUGHT_BY = "gradient"


@hookimpl
def lossbench_loss() -> LossSpec:
    """Perceptual at weight 1."""
    return LossSpec(perceptual_no_grad)
