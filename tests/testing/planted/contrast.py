"""Contrast: the translation has as much contrast as the target, as a ratio."""

from __future__ import annotations

import torch
from torch import Tensor

from lossbench import LossSpec, Term, hookimpl


def contrast() -> Term:
    """``mean |log std(fake) - log std(target)|`` over batch and channels; images -> scalar >= 0."""

    def term(fake: Tensor, target: Tensor) -> Tensor:
        dtype = torch.promote_types(fake.dtype, torch.float32)
        fake, target = fake.to(dtype), target.to(dtype)
        return (fake.std(dim=(2, 3)).log() - target.std(dim=(2, 3)).log()).abs().mean()

    return term


CAUGHT_BY = "constant"


@hookimpl
def lossbench_loss() -> LossSpec:
    """Contrast at weight 1."""
    return LossSpec(contrast)
