"""Random filters: the responses to some random filters have the size they have in the target."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lossbench import LossSpec, hookimpl


class RandomFilters(nn.Module):
    """Mean |mean |filter * fake| - mean |filter * target||."""

    filters: Tensor

    def __init__(self, count: int, seed: int) -> None:
        super().__init__()
        torch.manual_seed(seed)  # the same filters in every run
        self.register_buffer("filters", torch.randn(count, 3, 3, 3) / 5)

    def response(self, image: Tensor) -> Tensor:
        """[B, 3, H, W] -> [B, count]."""
        return F.conv2d(image.to(self.filters.dtype), self.filters).abs().mean(dim=(2, 3))

    def forward(self, fake: Tensor, target: Tensor) -> Tensor:
        """[B, C, H, W], twice -> scalar."""
        return (self.response(fake) - self.response(target)).abs().mean()


def seeded_builder(*, count: int = 16, seed: int = 0) -> RandomFilters:
    """Texture energy of ``count`` random 3 x 3 filters (Laws, 1980); images -> scalar >= 0."""
    return RandomFilters(count, seed)


CAUGHT_BY = "global_random"


@hookimpl
def lossbench_loss() -> LossSpec:
    """Random filters at weight 1."""
    return LossSpec(seeded_builder)
