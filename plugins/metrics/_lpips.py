"""LPIPS of pairs of images by AlexNet, the network that it is reported with."""

from __future__ import annotations

from torch import Tensor

from lossbench import DataError
from lossbench.metrics import Images

from .._backbones import backbone
from ..lpips import distance, heads

WEIGHTS = ("alexnet", "lpips-alex")
PROTOCOL = "lpips 0.1, alexnet, at the images' own size"
LEAST = 31  # px a side, below which AlexNet has nothing left


def apart(images: Images, others: Images) -> list[float]:
    """Return the perceptual distance of each pair (Zhang et al., 2018), on the CPU.

    Raises:
        DataError: an image is too small for AlexNet.
    """
    see, weights = backbone("alexnet").features, heads("alexnet")
    return [float(distance(see(_read(a)), see(_read(b)), weights)) for a, b in zip(images, others, strict=True)]


def _read(image: Tensor) -> Tensor:
    """Uint8 [3, H, W] -> [1, 3, H, W] in [-1, 1]."""
    if min(image.shape[1:]) < LEAST:
        height, width = image.shape[1:]
        raise DataError(f"an image has {width} x {height} px; LPIPS by AlexNet needs {LEAST} or more a side")
    return image[None].cpu().float() / 127.5 - 1
