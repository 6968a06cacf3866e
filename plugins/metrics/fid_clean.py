"""Clean FID: FID of images that are made smaller without aliasing."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from lossbench import MetricSpec, hookimpl
from lossbench.metrics import Images, frechet

from ._inception import CLEAN, WEIGHTS, protocol


def fid_clean(fake: Images, target: Images, features: Callable[..., Tensor]) -> float:
    """Squared Frechet distance of Inception's features, from 0 on, after another resizing (Parmar et al., 2022).

    Images reach 299 px bicubic, antialiased and without rounding. It is no `fid`: the resizing moves the value more
    than a small difference of two models does. As there, the value grows as images get fewer.
    """
    return frechet(features(CLEAN, fake), features(CLEAN, target))


@hookimpl
def lossbench_metric() -> MetricSpec:
    """All translations against all images of the target domain."""
    return MetricSpec(fid_clean, better="lower", protocol=protocol(CLEAN, "covariances of n - 1"), weights=(WEIGHTS,))
