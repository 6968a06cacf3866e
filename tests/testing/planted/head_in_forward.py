"""Projected content: after a trained projection of patches, translation and source agree."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from lossbench import LossSpec, hookimpl


class Projected(nn.Module):
    """L1 of projected patches; at test the patches themselves are compared."""

    def __init__(self, width: int, patch: int) -> None:
        super().__init__()
        self.width = width
        self.patch = patch
        self.head: nn.Linear | None = None

    def project(self, image: Tensor) -> Tensor:
        """[B, C, H, W] -> [B, P, width]."""
        patches = F.unfold(image, self.patch, stride=self.patch).transpose(1, 2)
        if not self.training:
            return patches
        if self.head is None:  # the number of channels is known only now
            self.head = nn.Linear(patches.shape[-1], self.width).to(patches)
        return F.normalize(self.head(patches.to(self.head.weight)), dim=-1, eps=1e-3)

    def forward(self, fake: Tensor, real: Tensor) -> Tensor:
        """[B, C, H, W], twice -> scalar."""
        return (self.project(fake) - self.project(real)).abs().mean()


def head_in_forward(*, width: int = 16, patch: int = 4) -> Projected:
    """Mean |head(patches of fake) - head(patches of real)|; images -> scalar >= 0."""
    return Projected(width, patch)


CAUGHT_BY = "parameters"


@hookimpl
def lossbench_loss() -> LossSpec:
    """Projected content at weight 1."""
    return LossSpec(head_in_forward)
