"""Shape error: how much a translation changes an object's circularity, by its moments."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from lossbench import MetricSpec, hookimpl
from lossbench.metrics import Images, shapes


def shape_error(fake: Images, real: Images, once: Callable[..., Any]) -> list[float]:
    """``|C(fake) - C(real)|`` with C = ``A^2 / (2 pi (mu20 + mu02))`` (Zunic, Hirota & Rosin, 2010): 1 for a disc."""
    pairs = zip(once(shapes, fake), once(shapes, real), strict=True)
    return [abs(a.by_moments - b.by_moments) if a and b else math.nan for a, b in pairs]


@hookimpl
def lossbench_metric() -> MetricSpec:
    """Mean over images where both have an object; see `not_found`."""
    return MetricSpec(shape_error, better="lower", unit="circularity")
