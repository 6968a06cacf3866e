"""Not found: how many objects a translation has lost; an error of shape counts only those that are left."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from lossbench import MetricSpec, hookimpl
from lossbench.metrics import Images, shapes


def not_found(fake: Images, real: Images, once: Callable[..., Any]) -> list[float]:
    """1 where the source has an object and the translation none, otherwise 0; nothing where the source has none."""
    pairs = zip(once(shapes, fake), once(shapes, real), strict=True)
    return [float(a is None) if b else math.nan for a, b in pairs]


@hookimpl
def lossbench_metric() -> MetricSpec:
    """Share of the sources with an object."""
    return MetricSpec(not_found, better="lower", unit="of 1")
