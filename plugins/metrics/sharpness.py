"""Sharpness: how much more or less detail the translations have, as a set, than images of the target domain."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from skimage.color import rgb2gray

from lossbench import DataError, MetricSpec, hookimpl
from lossbench.metrics import Images, pictures


def sharpness(fake: Images, target: Images) -> float:
    """``|log2|`` of the ratio of mean squared gradients of luma, in octaves: 0 as sharp, 1 twice or half as much.

    Too blurred and too noisy cost the same, and noise passes for detail. Images of another size have other gradients:
    compare at one size.

    Raises:
        DataError: one of the sets has no gradient at all.
    """
    return abs(math.log2(detail(fake) / detail(target)))


def detail(images: Images) -> float:
    """Return the mean over images of the squared gradient of luma in [0, 1], across and down."""
    found = float(np.mean([energy(rgb2gray(picture)) for picture in pictures(images)]))
    if not found:
        raise DataError("the images of one set are plain, without any detail to compare")
    return found


def energy(luma: NDArray[np.float64]) -> float:
    """Return the mean squared gradient of one image [H, W]."""
    return float((np.diff(luma, axis=0) ** 2).mean() + (np.diff(luma, axis=1) ** 2).mean())


@hookimpl
def lossbench_metric() -> MetricSpec:
    """All translations against all images of the target domain."""
    return MetricSpec(sharpness, better="lower", unit="octaves")
