"""KID: how far the translations, as a set, are from real images of the target domain; unbiased, for few images too."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from lossbench import MetricSpec, hookimpl
from lossbench.metrics import Images, kernel

from ._inception import TENSORFLOW, WEIGHTS, protocol


def kid(fake: Images, target: Images, features: Callable[..., Tensor]) -> float:
    """Squared maximum mean discrepancy of Inception's features under a cubic kernel (Binkowski et al., 2018).

    All images at once, of any size, no subsets: the same number every time. Two sets of the same kind have 0 on
    average, so half of them less. At some hundred images the value itself is uncertain by about as much as it is;
    the difference of two models on the same images far less.
    """
    return kernel(features(TENSORFLOW, fake), features(TENSORFLOW, target))


@hookimpl
def lossbench_metric() -> MetricSpec:
    """All translations against all images of the target domain, shown times 100."""
    return MetricSpec(
        kid, better="lower", shown=100, protocol=protocol(TENSORFLOW, "cubic kernel, u-statistic"), weights=(WEIGHTS,)
    )
