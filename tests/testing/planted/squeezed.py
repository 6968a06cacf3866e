"""Colour covariance: the channels vary together as in the target."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from lossbench import LossSpec, Term, hookimpl


def squeezed(*, cells: int = 8) -> Term:
    """Mean |Cov(fake) - Cov(target)| of small versions; images -> [0, 1]."""

    def covariance(image: Tensor) -> Tensor:
        small = F.adaptive_avg_pool2d(image.to(torch.promote_types(image.dtype, torch.float32)), cells)
        small = (small - small.mean(dim=(2, 3), keepdim=True)).flatten(2).squeeze()
        return torch.einsum("bcn,bdn->bcd", small, small) / cells**2

    def term(fake: Tensor, target: Tensor) -> Tensor:
        return (covariance(fake) - covariance(target)).abs().mean()

    return term


CAUGHT_BY = "batch"


@hookimpl
def lossbench_loss() -> LossSpec:
    """Colour covariance at weight 1."""
    return LossSpec(squeezed)
