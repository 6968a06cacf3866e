"""Hue drift: by what angle a translation turns the hues of its source."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from skimage.color import rgb2lab

from lossbench import MetricSpec, hookimpl
from lossbench.metrics import Images, pictures

GREY = 1.0  # CIELAB units of chroma: a hue of less is rounding


def hue_drift(fake: Images, real: Images) -> list[float]:
    """Mean angle between the CIELAB hues of fake and real, pixel by pixel, in degrees from 0 to 180.

    Pixels count by ``sqrt(C(fake) C(real))`` with the chromas C, as in the hue difference of CIE 1976. Nothing where
    one of both images is grey: a translation that takes all colour away has no hues to drift, see `colour`. Where an
    object moves, the angle is that of what came in its place.
    """
    return [turned(rgb2lab(a), rgb2lab(b)) for a, b in zip(pictures(fake), pictures(real), strict=True)]


def turned(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    """Return the mean angle between two images [H, W, 3] in CIELAB."""
    one, other = a[..., 1] + 1j * a[..., 2], b[..., 1] + 1j * b[..., 2]
    weight = np.sqrt(abs(one * other)) * (abs(one) > GREY) * (abs(other) > GREY)
    angle = abs(np.angle(one * other.conj(), deg=True))
    return float((weight * angle).sum() / weight.sum()) if weight.any() else math.nan


@hookimpl
def lossbench_metric() -> MetricSpec:
    """Mean over images with colours."""
    return MetricSpec(hue_drift, better="lower", unit="degrees", protocol="CIELAB, D65, chroma above 1")
