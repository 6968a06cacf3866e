"""Headroom: the translation does not run into the ends of the range."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from lossbench import LossSpec, Term, hookimpl


def headroom(*, limit: float = 0.9) -> Term:
    """``mean relu(|fake| - limit)``; image -> [0, 1 - limit], and 0 without gradient for most images."""

    def term(fake: Tensor) -> Tensor:
        return F.relu(fake.to(torch.promote_types(fake.dtype, torch.float32)).abs() - limit).mean()

    return term


@hookimpl
def lossbench_loss() -> LossSpec:
    """Headroom at weight 10."""
    return LossSpec(headroom, weight=10.0)
