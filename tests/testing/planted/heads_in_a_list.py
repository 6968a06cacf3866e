"""Two heads: after trained 1 x 1 projections, at two scales, translation and source agree."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from lossbench import LossSpec, hookimpl


class Heads(nn.Module):
    """L1 after a head for each scale."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.heads = [nn.Conv2d(3, width, 1) for _ in range(2)]

    def forward(self, fake: Tensor, real: Tensor) -> Tensor:
        """[B, C, H, W], twice -> scalar."""
        values = []
        for level, head in enumerate(self.heads):
            head.to(fake)
            a, b = (F.normalize(head(F.avg_pool2d(image, 2**level)), dim=1, eps=1e-3) for image in (fake, real))
            values.append((a - b).abs().mean())
        return (values[0] + values[1]) / 2


def heads_in_a_list(*, width: int = 8) -> Heads:
    """Mean |head(fake) - head(real)| at full and half size; images -> scalar >= 0."""
    return Heads(width)


CAUGHT_BY = "parameters"


@hookimpl
def lossbench_loss() -> LossSpec:
    """Two heads at weight 1."""
    return LossSpec(heads_in_a_list)
