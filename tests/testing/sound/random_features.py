"""Random features: translation and source look alike to a random convolutional network."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from pydantic import PositiveInt
from torch import Tensor, nn

from lossbench import LossSpec, hookimpl


class RandomFeatures(nn.Module):
    """Two layers that are drawn once, from a seed of their own, and never trained."""

    def __init__(self, width: int, seed: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(3, width, 3, padding=1), nn.ReLU(), nn.Conv2d(width, 2 * width, 3, stride=2, padding=1)
        )
        generator = torch.Generator().manual_seed(seed)
        for parameter in self.layers.parameters():
            parameter.data.normal_(0, 0.2, generator=generator)
        self.requires_grad_(False)

    def features(self, image: Tensor) -> Tensor:
        """[B, 3, H, W] -> [B, 2 width, H / 2, W / 2]."""
        found: Tensor = self.layers(image.to(next(self.parameters()).dtype))
        return found

    def forward(self, fake: Tensor, real: Tensor, once: Callable[..., Any]) -> Tensor:
        """[B, C, H, W], twice -> scalar."""
        return (once(self.features, fake) - once(self.features, real)).square().mean()


def random_features(*, width: PositiveInt = 8, seed: int = 0) -> RandomFeatures:
    """Mean squared difference of random features (Saxe et al., 2011); images -> scalar >= 0."""
    return RandomFeatures(width, seed)


@hookimpl
def lossbench_loss() -> LossSpec:
    """Random features at weight 1."""
    return LossSpec(random_features)
