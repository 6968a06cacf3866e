"""SSIM: structural similarity to the truth."""

from __future__ import annotations

from skimage.metrics import structural_similarity

from lossbench import MetricSpec, hookimpl
from lossbench.metrics import Images, pictures


def ssim(fake: Images, truth: Images) -> list[float]:
    """As in its paper, with a Gaussian window of sigma 1.5, on each channel (Wang et al., 2004): up to 1."""
    return [
        float(
            structural_similarity(
                a, b, data_range=255, channel_axis=-1, gaussian_weights=True, sigma=1.5, use_sample_covariance=False
            )
        )
        for a, b in zip(pictures(fake), pictures(truth), strict=True)
    ]


@hookimpl
def lossbench_metric() -> MetricSpec:
    """Mean over images, by scikit-image."""
    return MetricSpec(ssim, better="higher", unit="of 1")
