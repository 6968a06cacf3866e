"""FID: how far the translations, as a set, are from real images of the target domain."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from lossbench import MetricSpec, hookimpl
from lossbench.metrics import Images, frechet

from ._inception import TENSORFLOW, WEIGHTS, protocol


def fid(fake: Images, target: Images, features: Callable[..., Tensor]) -> float:
    """Squared Frechet distance of Inception's features, from 0 on (Heusel et al., 2017).

    All images, of any size. The value grows as images get fewer, several times below some thousand: compare only at
    the same n, and with what real images are apart. It sees little of whether a translation belongs to its source.
    """
    return frechet(features(TENSORFLOW, fake), features(TENSORFLOW, target))


@hookimpl
def lossbench_metric() -> MetricSpec:
    """All translations against all images of the target domain, as torch-fidelity has it."""
    return MetricSpec(fid, better="lower", protocol=protocol(TENSORFLOW, "covariances of n - 1"), weights=(WEIGHTS,))
