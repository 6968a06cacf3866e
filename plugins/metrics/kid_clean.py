"""Clean KID: KID of images that are made smaller without aliasing."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from lossbench import MetricSpec, hookimpl
from lossbench.metrics import Images, kernel

from ._inception import CLEAN, WEIGHTS, protocol


def kid_clean(fake: Images, target: Images, features: Callable[..., Tensor]) -> float:
    """Squared maximum mean discrepancy of Inception's features, after another resizing (Parmar et al., 2022).

    Images reach 299 px bicubic, antialiased and without rounding; otherwise it is `kid`, and may be below 0 as that.
    """
    return kernel(features(CLEAN, fake), features(CLEAN, target))


@hookimpl
def lossbench_metric() -> MetricSpec:
    """All translations against all images of the target domain, shown times 100."""
    return MetricSpec(
        kid_clean, better="lower", shown=100, protocol=protocol(CLEAN, "cubic kernel, u-statistic"), weights=(WEIGHTS,)
    )
