"""L1: how far pixels are from the truth."""

from __future__ import annotations

from lossbench import MetricSpec, hookimpl
from lossbench.metrics import Images


def l1(fake: Images, truth: Images) -> list[float]:
    """``mean |fake - truth|`` over pixels and channels of images in [-1, 1]: from 0 to 2."""
    return [float((a.double() - b).abs().mean()) / 127.5 for a, b in zip(fake, truth, strict=True)]


@hookimpl
def lossbench_metric() -> MetricSpec:
    """Mean over images."""
    return MetricSpec(l1, better="lower", unit="of 2")
