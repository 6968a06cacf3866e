"""Judges of pictures: measured with other estimators than the losses that train them."""

from lossbench.metrics.judge import METRICS, judge
from lossbench.metrics.shape import Shape, measure

__all__ = ["METRICS", "Shape", "judge", "measure"]
