"""Coarse to fine: at first only large shapes have to stay, at the end every pixel."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from lossbench import LossSpec, Term, hookimpl


def coarse_to_fine() -> Term:
    """``(1 - p) mean |low(fake) - low(real)| + p mean |fake - real|``, p the progress; images -> [0, 2]."""

    def term(fake: Tensor, real: Tensor, progress: Tensor) -> Tensor:
        difference = (fake - real).to(torch.promote_types(fake.dtype, torch.float32))
        low = F.adaptive_avg_pool2d(difference, 4)
        return torch.lerp(low.abs().mean(), difference.abs().mean(), progress.to(difference.dtype))

    return term


@hookimpl
def lossbench_loss() -> LossSpec:
    """Coarse to fine at weight 2."""
    return LossSpec(coarse_to_fine, weight=2.0)
