"""Measures of translations: what metric plugins are given and share, and how they are asked."""

from lossbench.metrics.distances import frechet, kernel
from lossbench.metrics.features import Space
from lossbench.metrics.measuring import Images, Metric, chosen, measure, require, unavailable
from lossbench.metrics.shape import Shape, pictures, shapes

__all__ = [
    "Images",
    "Metric",
    "Shape",
    "Space",
    "chosen",
    "frechet",
    "kernel",
    "measure",
    "pictures",
    "require",
    "shapes",
    "unavailable",
]
