"""The closing table: translations beside their sources and, where it is known, the truth."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from skimage.metrics import peak_signal_noise_ratio, structural_similarity
from torch import Tensor

from lossbench.metrics.shape import Shape, measure


@dataclass(frozen=True)
class Metric:
    """What a number means."""

    unit: str
    better: str
    meaning: str


METRICS: Mapping[str, Metric] = {
    "l1": Metric("of 2", "lower", "mean |fake - truth|, images in [-1, 1]"),
    "psnr": Metric("dB", "higher", "peak signal to noise ratio to the truth, mean over images"),
    "ssim": Metric("of 1", "higher", "structural similarity to the truth, Gaussian window of sigma 1.5"),
    "mask_iou": Metric("of 1", "higher", "intersection over union of the object's mask in fake and truth"),
    "shape_error": Metric("circularity", "lower", "mean |C(fake) - C(real)|, C by second moments"),
    "contour_error": Metric("circularity", "lower", "mean |C(fake) - C(real)|, C by sub-pixel contour"),
    "not_found": Metric("images", "lower", "sources with an object whose translation has none"),
}


def judge(
    fake: Tensor, *, real: Tensor | None = None, truth: Tensor | None = None
) -> dict[str, dict[str, float | int]]:
    """Compare translations with the images they come from and with the truth, all uint8 [N, 3, H, W].

    Returns:
        Metric -> ``value`` and ``n``, how many images it is over. What cannot be measured is absent.
    """
    fakes = _pictures(fake)
    shapes = [measure(image) for image in fakes]
    found: dict[str, list[float]] = {}
    if truth is not None:
        pairs = list(zip(fakes, _pictures(truth), strict=True))
        found["l1"] = [float(np.abs(a.astype(float) - b).mean()) / 127.5 for a, b in pairs]
        found["psnr"] = [_psnr(a, b) for a, b in pairs]
        found["ssim"] = [_ssim(a, b) for a, b in pairs]
        found["mask_iou"] = [_iou(a, b) for a, (_, t) in zip(shapes, pairs, strict=True) if (b := measure(t))]
    values: dict[str, dict[str, float | int]] = {}
    if real is not None:
        sources = [measure(image) for image in _pictures(real)]
        both = [(a, b) for a, b in zip(sources, shapes, strict=True) if a and b]
        found["shape_error"] = [abs(a.by_moments - b.by_moments) for a, b in both]
        found["contour_error"] = [abs(a.by_contour - b.by_contour) for a, b in both]
        lost = sum(a is not None and b is None for a, b in zip(sources, shapes, strict=True))
        values["not_found"] = {"value": lost, "n": sum(a is not None for a in sources)}
    return {name: {"value": float(np.mean(each)), "n": len(each)} for name, each in found.items() if each} | values


def _pictures(images: Tensor) -> list[NDArray[np.uint8]]:
    return list(images.permute(0, 2, 3, 1).numpy())


def _psnr(a: NDArray[np.uint8], b: NDArray[np.uint8]) -> float:
    """PSNR, of equal images that of one level in one value, so that a mean stays finite."""
    if np.array_equal(a, b):
        return float(10 * np.log10(255**2 * a.size))
    return float(peak_signal_noise_ratio(b, a, data_range=255))


def _ssim(a: NDArray[np.uint8], b: NDArray[np.uint8]) -> float:
    """SSIM as its paper computes it (Wang et al., 2004)."""
    return float(
        structural_similarity(
            a, b, data_range=255, channel_axis=-1, gaussian_weights=True, sigma=1.5, use_sample_covariance=False
        )
    )


def _iou(a: Shape | None, b: Shape) -> float:
    """Return the overlap of two masks; no object where there should be one is 0."""
    if a is None:
        return 0.0
    return float((a.mask & b.mask).sum() / (a.mask | b.mask).sum())
