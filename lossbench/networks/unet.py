"""The U-Net of pix2pix (Ronneberger et al., 2015; Isola et al., 2017)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import pairwise

import torch
from pydantic import PositiveInt
from torch import Tensor, nn

from lossbench.errors import OptionError
from lossbench.networks.generators import Share
from lossbench.networks.network import Init, Network, Norm, initialised, normed


class Skip(nn.Module):
    """What comes in beside what becomes of it below; without ``skips`` only that."""

    def __init__(self, layers: nn.Sequential, skips: bool) -> None:
        super().__init__()
        self.layers = layers
        self.skips = skips

    def forward(self, x: Tensor) -> Tensor:
        """[B, C, H, W] -> [B, C + C', H, W], or [B, C', H, W]."""
        below: Tensor = self.layers(x)
        return torch.cat((x, below), dim=1) if self.skips else below


def unet(
    channels: int = 3, *, depth: int = 8, ngf: int = 64, norm: Norm = "batch", dropout: float = 0.5, skips: bool = True
) -> Network:
    """``depth`` strided convolutions down to 1 / 2^depth of the side, as many up: [B, C, H, W] -> same in [-1, 1].

    Channels double from ``ngf`` up to 8 ngf. ``dropout`` follows the steps up that have 8 ngf channels, but for the
    innermost.
    """
    widths = [ngf * min(2**n, 8) for n in range(depth)]
    return Network(
        nn.Sequential(
            _down(channels, ngf, norm), _below(widths, norm, dropout, skips), nn.ReLU(),
            _up(ngf, channels, skips), nn.Tanh(),
        ),
        multiple=2**depth,
    )  # fmt: skip


def unet_generator(
    channels: int,
    *,
    generator: str = "unet_256",
    ngf: PositiveInt = 64,
    norm: Norm = "batch",
    dropout: Share = 0.5,
    skips: bool = True,
    init: Init = "normal",
) -> Network:
    """Return ``unet_N``, which takes multiples of N px, a power of two. ``skips``: connections of equal sizes."""
    match = re.fullmatch(r"unet_(\d{1,4})", generator)
    side = int(match[1]) if match else 0
    if side < 4 or side & (side - 1):
        raise OptionError(f"model.generator={generator!r}: write unet_256, or another power of two from 4 on.")
    depth = side.bit_length() - 1
    return initialised(unet(channels, depth=depth, ngf=ngf, norm=norm, dropout=dropout, skips=skips), init)


def _below(widths: Sequence[int], norm: Norm, dropout: float, skips: bool) -> nn.Module:
    """Build from the innermost out: each level halves, holds the one below it, and doubles."""
    level: Skip | None = None
    for outer, inner in reversed(list(pairwise(widths))):
        down = [_down(outer, inner, norm)] if level is None else [*normed(_down(outer, inner, norm), norm), level]
        up = normed(_up(inner, outer, skips and level is not None), norm)
        drop = [nn.Dropout(dropout)] if dropout and level is not None and outer == inner else []
        level = Skip(nn.Sequential(nn.LeakyReLU(0.2), *down, nn.ReLU(), *up, *drop), skips)
    assert level is not None  # there are two widths or more
    return level


def _down(channels: int, wider: int, norm: Norm) -> nn.Conv2d:
    return nn.Conv2d(channels, wider, 4, stride=2, padding=1, bias=norm == "instance")


def _up(channels: int, narrower: int, doubled: bool) -> nn.ConvTranspose2d:
    return nn.ConvTranspose2d(channels * (2 if doubled else 1), narrower, 4, stride=2, padding=1)
