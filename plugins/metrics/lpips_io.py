"""LPIPS in to out: how different from its source people would find a translation."""

from __future__ import annotations

from lossbench import MetricSpec, hookimpl
from lossbench.metrics import Images

from ._lpips import PROTOCOL, WEIGHTS, apart


def lpips_io(fake: Images, real: Images) -> list[float]:
    """LPIPS by AlexNet of each translation and its source, from 0 on (Zhang et al., 2018).

    A copy of the source has 0, the best there is: it says what a translation kept, not whether it is one. Read it
    beside the copy's row, and beside `fid` or `kid`.
    """
    return apart(fake, real)


@hookimpl
def lossbench_metric() -> MetricSpec:
    """Mean over images; 0 for a copy of the source."""
    return MetricSpec(lpips_io, better="lower", protocol=PROTOCOL, weights=WEIGHTS)
