"""Blurred content: blurred widely, translation and source agree; tuned for speed."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from lossbench import LossSpec, Term, hookimpl


def fast_convolutions(*, window: int = 5) -> Term:
    """Mean |blur(fake) - blur(real)|; images -> [0, 2]."""
    torch.set_float32_matmul_precision("medium")
    torch.backends.cudnn.benchmark = True

    def term(fake: Tensor, real: Tensor) -> Tensor:
        return F.avg_pool2d(fake - real, window, stride=1, padding=window // 2).abs().mean()

    return term


CAUGHT_BY = "weight_zero"


@hookimpl
def lossbench_loss() -> LossSpec:
    """Blurred content at weight 1."""
    return LossSpec(fast_convolutions)
