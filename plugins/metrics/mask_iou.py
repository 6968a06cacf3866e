"""Mask IoU: how far the object in a translation covers that in the truth."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from lossbench import MetricSpec, hookimpl
from lossbench.metrics import Images, Shape, shapes


def mask_iou(fake: Images, truth: Images, once: Callable[..., Any]) -> list[float]:
    """Intersection over union of both masks; 0 where the object is lost, nothing where the truth has none."""
    return [overlap(a, b) for a, b in zip(once(shapes, fake), once(shapes, truth), strict=True)]


def overlap(a: Shape | None, b: Shape | None) -> float:
    """Return what two masks have in common, as a share of both."""
    if b is None:
        return math.nan
    return 0.0 if a is None else float((a.mask & b.mask).sum() / (a.mask | b.mask).sum())


@hookimpl
def lossbench_metric() -> MetricSpec:
    """Mean over images whose truth has an object."""
    return MetricSpec(mask_iou, better="higher", unit="of 1")
