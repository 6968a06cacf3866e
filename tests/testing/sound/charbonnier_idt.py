"""Charbonnier identity: an image of the target domain stays as it is, small errors mattering less."""

from __future__ import annotations

import torch
from pydantic import PositiveFloat
from torch import Tensor

from lossbench import LossSpec, Term, hookimpl


def charbonnier_idt(*, eps: PositiveFloat = 0.01) -> Term:
    """``mean sqrt((idt - target)^2 + eps^2) - eps`` (Charbonnier et al., 1994); images -> [0, 2)."""

    def term(idt: Tensor, target: Tensor) -> Tensor:
        difference = (idt - target).to(torch.promote_types(idt.dtype, torch.float32))
        return ((difference.square() + eps**2).sqrt() - eps).mean()

    return term


@hookimpl
def lossbench_loss() -> LossSpec:
    """Charbonnier identity at weight 5."""
    return LossSpec(charbonnier_idt, weight=5.0)
