"""Pyramid: the round trip has the structure of the source at three scales."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from lossbench import LossSpec, Term, hookimpl


def pyramid_ssim(*, window: int = 7) -> Term:
    """``1 - product of SSIM^w`` over scales, weights w as Wang et al., 2003; images -> scalar."""

    def ssim(one: Tensor, other: Tensor) -> Tensor:
        def mean(image: Tensor) -> Tensor:
            return F.avg_pool2d(image, window, stride=1, padding=window // 2)

        mu, nu = mean(one), mean(other)
        covariance = mean(one * other) - mu * nu
        variances = mean(one * one) - mu * mu + mean(other * other) - nu * nu
        return ((2 * covariance + 0.03) / (variances + 0.03)).mean()

    def term(rec: Tensor, real: Tensor) -> Tensor:
        value = rec.new_ones(())
        for weight in (0.3, 0.3, 0.4):
            value = value * ssim(rec, real).pow(weight)
            rec, real = F.avg_pool2d(rec, 2), F.avg_pool2d(real, 2)
        return 1 - value

    return term


CAUGHT_BY = "opposite"


@hookimpl
def lossbench_loss() -> LossSpec:
    """Pyramid at weight 1."""
    return LossSpec(pyramid_ssim)
