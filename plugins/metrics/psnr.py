"""PSNR: peak signal to noise ratio to the truth."""

from __future__ import annotations

import math

from torch import Tensor

from lossbench import MetricSpec, hookimpl
from lossbench.metrics import Images


def psnr(fake: Images, truth: Images) -> list[float]:
    """``10 log10(255^2 / mean squared error)`` in dB. Equal images have that of one level in one value."""
    return [one(a, b) for a, b in zip(fake, truth, strict=True)]


def one(a: Tensor, b: Tensor) -> float:
    """Return the ratio of one image: finite, so that a mean stays so."""
    squared = float((a.double() - b).square().mean())
    return 10 * math.log10(255**2 / (squared or 1 / a.numel()))


@hookimpl
def lossbench_metric() -> MetricSpec:
    """Mean over images."""
    return MetricSpec(psnr, better="higher", unit="dB")
