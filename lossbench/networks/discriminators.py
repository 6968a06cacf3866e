"""The patch discriminators of pix2pix and CycleGAN (Isola et al., 2017)."""

from __future__ import annotations

from typing import Literal

from pydantic import PositiveInt
from torch import nn

from lossbench.networks.generators import Blur
from lossbench.networks.network import Init, Network, Norm, initialised, normed


def patch_discriminator(
    channels: int,
    *,
    discriminator: Literal["n_layers", "pixel"] = "n_layers",
    ndf: PositiveInt = 64,
    n_layers: PositiveInt = 3,
    norm: Norm = "instance",
    init: Init = "normal",
    antialias: bool = False,
) -> Network:
    """[B, C, H, W] -> [B, 1, h, w], one answer a patch.

    ``n_layers`` 3 looks at patches of 70 x 70 px (256 px in, 30 x 30 out), 1 at 16 x 16, 5 at 286 x 286; ``pixel``
    judges each pixel by itself. ``ndf``: channels of the first layer. ``antialias``: no convolution strides, a
    ``Blur`` halves (Zhang, 2019; Park et al., 2020).
    """
    patches = discriminator == "n_layers"
    network = n_layer_patches(channels, ndf, n_layers, norm, antialias) if patches else pixels(channels, ndf, norm)
    return initialised(network, init)


def n_layer_patches(channels: int, ndf: int, n_layers: int, norm: Norm, antialias: bool = False) -> Network:
    """PatchGAN: ``n_layers`` strided 4 x 4 convolutions, two more at stride 1; channels double up to 8 ndf."""
    widths = [ndf * min(2**n, 8) for n in range(n_layers + 1)]
    layers: list[nn.Module] = []
    for n, width in enumerate(widths):
        halves = n < n_layers
        convolution = nn.Conv2d(channels, width, 4, stride=2 if halves and not antialias else 1, padding=1)
        layers += [*(normed(convolution, norm) if n else [convolution]), nn.LeakyReLU(0.2, inplace=True)]
        layers += [Blur()] if halves and antialias else []
        channels = width
    return Network(nn.Sequential(*layers, nn.Conv2d(channels, 1, 4, padding=1)))


def pixels(channels: int, ndf: int, norm: Norm) -> Network:
    """PixelGAN: 1 x 1 convolutions only."""
    return Network(
        nn.Sequential(
            nn.Conv2d(channels, ndf, 1), nn.LeakyReLU(0.2, inplace=True),
            *normed(nn.Conv2d(ndf, 2 * ndf, 1), norm), nn.LeakyReLU(0.2, inplace=True),
            nn.Conv2d(2 * ndf, 1, 1),
        )
    )  # fmt: skip
