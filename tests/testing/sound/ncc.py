"""Correlation: the translation has the structure of the source, at whatever brightness and contrast."""

from __future__ import annotations

import torch
from torch import Tensor

from lossbench import LossSpec, Term, hookimpl


def ncc(*, eps: float = 1e-4) -> Term:
    """``1 - mean cov(fake, real) / sqrt((var fake + eps) (var real + eps))``, each channel; images -> [0, 2]."""

    def term(fake: Tensor, real: Tensor) -> Tensor:
        a, b = (x.to(torch.promote_types(x.dtype, torch.float32)) for x in (fake, real))
        a, b = (x - x.mean(dim=(2, 3), keepdim=True) for x in (a, b))
        va, vb, cov = ((x * y).mean(dim=(2, 3)) for x, y in ((a, a), (b, b), (a, b)))
        return 1 - (cov * ((va + eps) * (vb + eps)).rsqrt()).mean()

    return term


@hookimpl
def lossbench_loss() -> LossSpec:
    """Correlation at weight 1."""
    return LossSpec(ncc)
