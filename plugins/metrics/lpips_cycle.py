"""LPIPS of the cycle: how different from its source people would find an image that went there and back."""

from __future__ import annotations

from lossbench import MetricSpec, hookimpl
from lossbench.metrics import Images

from ._lpips import PROTOCOL, WEIGHTS, apart


def lpips_cycle(rec: Images, real: Images) -> list[float]:
    """LPIPS by AlexNet of each round trip and its source, from 0 on (Zhang et al., 2018).

    Two generators that do nothing have 0; so do two that hide the source in their translation (Chu et al., 2017).
    """
    return apart(rec, real)


@hookimpl
def lossbench_metric() -> MetricSpec:
    """Mean over images; it needs generators both ways."""
    return MetricSpec(lpips_cycle, better="lower", protocol=PROTOCOL, weights=WEIGHTS)
