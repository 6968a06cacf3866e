"""Relative error: errors count less in images with much contrast."""

from __future__ import annotations

import torch
from torch import Tensor

from lossbench import LossSpec, Term, hookimpl


def detached_scale(*, eps: float = 0.01) -> Term:
    """``mean (fake - real)^2 / (var fake + eps)``; images -> scalar >= 0."""

    def term(fake: Tensor, real: Tensor) -> Tensor:
        dtype = torch.promote_types(fake.dtype, torch.float32)
        fake, real = fake.to(dtype), real.to(dtype)
        scale = fake.detach().var(dim=(2, 3), correction=0, keepdim=True) + eps
        return ((fake - real).square() / scale).mean()

    return term


CAUGHT_BY = "gradcheck"


@hookimpl
def lossbench_loss() -> LossSpec:
    """Relative error at weight 1."""
    return LossSpec(detached_scale)
