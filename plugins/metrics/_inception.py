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
from torch.nn.utils.fusion import fuse_conv_bn_eval

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
    layers = folded(network()).to(device).to(memory_format=torch.channels_last)
    return lambda images: layers(((resize(images.float()) - 128) / 128).to(memory_format=torch.channels_last))


def folded(layers: nn.Module) -> nn.Module:
    """Put every norm into the convolution before it: fewer passes over memory, the same features but for rounding."""
    for module in layers.modules():
        convolution, norm = getattr(module, "conv", None), getattr(module, "bn", None)
        if isinstance(convolution, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
            module.conv, module.bn = fuse_conv_bn_eval(convolution, norm), nn.Identity()
    return layers


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
