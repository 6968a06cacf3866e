"""Structural similarity: light, contrast and structure around each pixel are those of the reference."""

from __future__ import annotations

from typing import Literal

import kornia
from torch import Tensor

from lossbench import LossSpec, Term, hookimpl


def dissimilarity(image: Tensor, reference: Tensor) -> Tensor:
    """1 - mean SSIM of images [B, C, H, W] in [-1, 1] -> scalar."""
    image, reference = (image + 1) / 2, (reference + 1) / 2
    return 1 - kornia.metrics.ssim(image, reference, window_size=11, eps=0.0).mean()  # eps: black would not equal black


def ssim(*, against: Literal["truth", "real", "cycle"] = "truth") -> Term:
    """Structural dissimilarity, ``1 - mean SSIM`` of each channel and pixel (Wang et al., 2004, eq. 13).

    ``against``: ``truth`` compares fake with truth (paired recipes), ``real`` fake with real, ``cycle`` the round trip
    with real. Images [B, C, H, W] in [-1, 1], 6 px or more a side -> scalar in [0, 2]: 0 equal, above 1
    inverted. Windows are Gaussian, 11 px, sigma 1.5 px, whatever the resolution. The border is mirrored, so that every
    pixel counts; the paper leaves out the 5 px next to it. An offset of bright places costs little, noise on flat ones
    much.
    """
    terms: dict[str, Term] = {
        "truth": lambda fake, truth: dissimilarity(fake, truth),
        "real": lambda fake, real: dissimilarity(fake, real),
        "cycle": lambda rec, real: dissimilarity(rec, real),
    }
    return terms[against]


@hookimpl
def lossbench_loss() -> LossSpec:
    """Dissimilarity from the truth, at weight 1."""
    return LossSpec(ssim)
