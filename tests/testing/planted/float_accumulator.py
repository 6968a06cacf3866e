"""Pyramid: the round trip is right at several scales."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from lossbench import LossSpec, Term, hookimpl


def float_accumulator(*, levels: int = 3) -> Term:
    """Mean L1 over ``levels`` halvings; images -> [0, 2]."""

    def term(rec: Tensor, real: Tensor) -> Tensor:
        values = torch.zeros(levels, device=rec.device)
        difference = rec - real
        for level in range(levels):
            values[level] = F.avg_pool2d(difference, 2**level).abs().mean()
        return values.mean()

    return term


CAUGHT_BY = "dtype"


@hookimpl
def lossbench_loss() -> LossSpec:
    """Pyramid at weight 5."""
    return LossSpec(float_accumulator, weight=5.0)
