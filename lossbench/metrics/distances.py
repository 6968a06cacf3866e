"""Distances of two sets of features, exact, in float64."""

from __future__ import annotations

import torch
from torch import Tensor

from lossbench.errors import DataError


def frechet(x: Tensor, y: Tensor) -> float:
    """Features [N, d] and [M, d] -> squared Frechet distance of the normal distributions that fit them.

    ``|mean x - mean y|^2 + tr(Sx + Sy - 2 (Sx Sy)^1/2)`` with covariances of N - 1 and M - 1 (Dowson & Landau, 1982;
    Heusel et al., 2017), in units of a feature squared. With ``Sx = A^T A`` the trace of the root is the sum of the
    singular values of ``A B^T``: no root of a matrix is taken, and no covariance is formed.

    Raises:
        DataError: a set has fewer than 2 images.
    """
    _check(x, y)
    x, y = x.double(), y.double()
    away = (x.mean(0) - y.mean(0)).square().sum()
    a, b = ((each - each.mean(0)) / (len(each) - 1) ** 0.5 for each in (x, y))
    if min(len(a), len(b)) > a.shape[1]:  # R of a = Q R has the same covariance in fewer rows
        a, b = (torch.linalg.qr(each, mode="r").R for each in (a, b))
    common = torch.linalg.svdvals(a @ b.T).sum()
    return max(0.0, float(away + a.square().sum() + b.square().sum() - 2 * common))


def kernel(x: Tensor, y: Tensor) -> float:
    """Features [N, d] and [M, d] -> squared maximum mean discrepancy, unbiased, so below 0 half of the time at none.

    The kernel is ``(x.y / d + 1)^3``; the estimate is the U-statistic over all images, no subsets (Binkowski et al.,
    2018).

    Raises:
        DataError: a set has fewer than 2 images.
    """
    _check(x, y)
    x, y = x.double(), y.double()
    n, m = len(x), len(y)
    xx, yy, xy = (_cubic(a, b) for a, b in ((x, x), (y, y), (x, y)))
    own = [(each.sum() - each.diagonal().sum()) / (k * (k - 1)) for each, k in ((xx, n), (yy, m))]
    return float(own[0] + own[1] - 2 * xy.mean())


def _cubic(a: Tensor, b: Tensor) -> Tensor:
    return (a @ b.T / a.shape[1] + 1) ** 3


def _check(x: Tensor, y: Tensor) -> None:
    if min(len(x), len(y)) < 2:
        raise DataError(f"sets of {len(x)} and {len(y)} images have no distance; each needs 2 or more")
