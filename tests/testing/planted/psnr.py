"""PSNR: the round trip has a high signal-to-noise ratio."""

from __future__ import annotations

import torch
from torch import Tensor

from lossbench import LossSpec, Term, hookimpl


def psnr() -> Term:
    """``10 log10(mean (rec - real)^2 / 4)`` of each image, on average, in dB; 0 at worst."""

    def term(rec: Tensor, real: Tensor) -> Tensor:
        error = (rec - real).to(torch.promote_types(rec.dtype, torch.float32)).square().mean(dim=(1, 2, 3))
        return 10 * (error / 4).log10().mean()

    return term


CAUGHT_BY = "identical"


@hookimpl
def lossbench_loss() -> LossSpec:
    """PSNR, lightly."""
    return LossSpec(psnr, weight=0.05)
