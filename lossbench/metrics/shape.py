"""The shape of the object in a picture, by scikit-image: another estimator than the circularity loss.

The object is what differs from the background, whose colour is the median of the border: the largest connected part
above half of Otsu's threshold that reaches the whole of it somewhere (hysteresis, because an object may be striped),
holes filled.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_fill_holes
from skimage.filters import apply_hysteresis_threshold, gaussian, threshold_otsu
from skimage.measure import find_contours, label, moments_central
from torch import Tensor

CONTRAST = 0.1  # colours closer than this (of a side of the RGB cube) are no object
SMALLEST = 0.002  # share of the picture
LARGEST = 0.9


@dataclass(frozen=True)
class Shape:
    """Two measures of circularity, 1 for a disc: by area and second moments, and by area and perimeter."""

    mask: NDArray[np.bool_]
    by_moments: float
    by_contour: float


def pictures(images: Sequence[Tensor]) -> list[NDArray[np.uint8]]:
    """Uint8 images [3, H, W] -> arrays [H, W, 3], as scikit-image takes them."""
    return [image.permute(1, 2, 0).cpu().numpy() for image in images]


def shapes(images: Sequence[Tensor]) -> list[Shape | None]:
    """Uint8 images [3, H, W] -> the shape in each, or None."""
    return [shape(picture) for picture in pictures(images)]


def shape(image: NDArray[np.uint8]) -> Shape | None:
    """RGB [H, W, 3] -> its shape, or None where no object stands out.

    ``by_moments`` is A^2 / (2 pi (mu20 + mu02)) (Zunic, Hirota & Rosin, 2010). ``by_contour`` is 4 pi A / P^2 along the
    longest contour at the threshold, placed between pixels.
    """
    pixels = gaussian(image.astype(np.float64) / 255, sigma=0.7, channel_axis=-1)
    border = np.concatenate([pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]])
    distance = np.linalg.norm(pixels - np.median(border, axis=0), axis=-1)
    if np.ptp(distance) < CONTRAST:
        return None
    otsu = threshold_otsu(distance)
    level = otsu / 2
    parts = label(apply_hysteresis_threshold(distance, level, otsu))
    sizes = np.bincount(parts.ravel())[1:]
    mask = binary_fill_holes(parts == 1 + int(sizes.argmax()))
    if not SMALLEST < mask.mean() < LARGEST:
        return None
    mu = moments_central(mask.astype(np.float64), order=2)
    area = float(mu[0, 0])
    by_moments = area**2 / (2 * math.pi * float(mu[2, 0] + mu[0, 2] + area / 6))  # + a pixel's own second moments
    return Shape(mask, by_moments, _by_contour(np.where(mask | (parts == 0), distance, 0.0), level))


def _by_contour(distance: NDArray[np.float64], level: float) -> float:
    """Return 4 pi A / P^2 of the longest contour; the picture's edge closes what it cuts."""
    contours = find_contours(np.pad(distance, 1), level)
    points = max(contours, key=len)
    x, y = points[:, 1], points[:, 0]
    area = abs(float(np.sum(x[:-1] * y[1:] - x[1:] * y[:-1]))) / 2
    perimeter = float(np.hypot(np.diff(x), np.diff(y)).sum())
    return 4 * math.pi * area / perimeter**2
