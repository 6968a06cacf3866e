"""Correlation: the translation has the structure of the source, at whatever contrast."""

from __future__ import annotations

import torch
from torch import Tensor

from lossbench import LossSpec, Term, hookimpl


def correlation() -> Term:
    """``1 - mean Pearson(fake, real)`` over the batch; images -> [0, 2]."""

    def unit(image: Tensor) -> Tensor:
        flat = image.to(torch.promote_types(image.dtype, torch.float32)).flatten(1)
        flat = flat - flat.mean(dim=1, keepdim=True)
        return flat / flat.norm(dim=1, keepdim=True)

    def term(fake: Tensor, real: Tensor) -> Tensor:
        return 1 - (unit(fake) * unit(real)).sum(dim=1).mean()

    return term


CAUGHT_BY = "constant"


@hookimpl
def lossbench_loss() -> LossSpec:
    """Correlation at weight 1."""
    return LossSpec(correlation)
