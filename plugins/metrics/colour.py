"""Colour: how far the translations' colours, as a set, are from those of the target domain."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from skimage.color import rgb2lab

from lossbench import MetricSpec, hookimpl
from lossbench.metrics import Images, pictures

EDGES = np.arange(-111, 112, 2)  # of bins of 2 units, one of them around grey; a and b of sRGB are from -108 to 99


def colour(fake: Images, target: Images) -> float:
    """1 - intersection of the CIELAB histograms of all pixels, mean over L, a and b: 0 alike, 1 disjoint.

    As pix2pix is judged (Isola et al., 2017, section 4.2). It knows nothing of where a colour is, and a large image
    counts as much as its pixels do.
    """
    return float(1 - np.minimum(histograms(fake), histograms(target)).sum(1).mean())


def histograms(images: Images) -> NDArray[np.float64]:
    """Return the share of pixels in each bin of L, a and b, [3, bins]."""
    counts = sum(counted(rgb2lab(picture)) for picture in pictures(images))
    return np.asarray(counts / np.sum(counts, 1, keepdims=True), np.float64)


def counted(lab: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return the pixels in each bin, [3, bins], of an image [H, W, 3]."""
    return np.stack([np.histogram(lab[..., channel], EDGES)[0] for channel in range(3)])


@hookimpl
def lossbench_metric() -> MetricSpec:
    """All translations against all images of the target domain."""
    return MetricSpec(colour, better="lower", unit="of 1", protocol="CIELAB, D65, bins of 2 units")
