"""The Inception of 2015-12-05 by torch-fidelity, with verified weights, and the two ways to bring images to it.

Its features are what FID and KID are defined by. No file of torch-fidelity's is fetched.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from io import BytesIO

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lossbench import pretrained
from lossbench.metrics import Space

WEIGHTS = "fid-inception"
SIDE = 299  # px


def tensorflows(images: Tensor) -> Tensor:
    """Resize as TensorFlow 1 did: bilinear from the upper left corners of pixels, without antialiasing."""
    from torch_fidelity.interpolate_compat_tensorflow import (  # type: ignore[import-untyped]
        interpolate_bilinear_2d_like_tensorflow1x,
    )

    resized: Tensor = interpolate_bilinear_2d_like_tensorflow1x(images, size=(SIDE, SIDE), align_corners=False)
    return resized


def clean(images: Tensor) -> Tensor:
    """Resize bicubic and antialiased, without rounding (Parmar et al., 2022)."""
    return F.interpolate(images, (SIDE, SIDE), mode="bicubic", antialias=True).clamp(0, 255)


def build(resize: Callable[[Tensor], Tensor], device: torch.device) -> Callable[[Tensor], Tensor]:
    """Return the network up to its classes: uint8 [B, 3, H, W] -> [B, 2048]."""
    layers = network().to(device)
    return lambda images: layers((resize(images.float()) - 128) / 128)


def network() -> nn.Module:
    """Return torch-fidelity's layers in their order: [B, 3, 299, 299] in [-1, 1] -> [B, 2048]."""
    from torch_fidelity.feature_extractor_inceptionv3 import (  # type: ignore[import-untyped]
        FeatureExtractorInceptionV3,
    )

    classes = {"fc.weight": torch.zeros(1008, 2048), "fc.bias": torch.zeros(1008)}  # which no feature passes
    file = BytesIO()
    torch.save(pretrained(WEIGHTS) | classes, file)
    file.seek(0)
    with torch.random.fork_rng(devices=[]):  # it draws weights before it reads these
        whole = FeatureExtractorInceptionV3("inception", ["2048"], feature_extractor_weights_path=file)
    *layers, _ = whole.children()
    return nn.Sequential(*layers, nn.Flatten())


TENSORFLOW = Space(WEIGHTS, "tf1 bilinear 299", partial(build, tensorflows))
CLEAN = Space(WEIGHTS, "bicubic 299, antialiased, float, clamped", partial(build, clean))


def protocol(space: Space, distance: str) -> str:
    """Return what values of a distance depend on."""
    return f"inception-2015-12-05, {space.preprocessing}, 2048 features, {distance}"
