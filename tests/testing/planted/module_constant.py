"""Luma: the translation is as bright as the source, place by place."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from lossbench import LossSpec, Term, hookimpl

WEIGHTS = torch.tensor([0.299, 0.587, 0.114])  # of BT.601


def module_constant(*, cells: int = 8) -> Term:
    """Mean |Y(fake) - Y(real)| at ``cells`` x ``cells``; images -> [0, 2]."""

    def luma(image: Tensor) -> Tensor:
        weights = WEIGHTS.to(image.dtype).view(1, 3, 1, 1)
        return F.adaptive_avg_pool2d((image * weights).sum(dim=1, keepdim=True), cells)

    def term(fake: Tensor, real: Tensor) -> Tensor:
        return (luma(fake) - luma(real)).abs().mean()

    return term


CAUGHT_BY = "device"


@hookimpl
def lossbench_loss() -> LossSpec:
    """Luma at weight 1."""
    return LossSpec(module_constant)
