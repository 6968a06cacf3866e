"""The residual generator of CycleGAN (Johnson et al., 2016; Zhu et al., 2017)."""

from __future__ import annotations

import re
from typing import Annotated

import torch
import torch.nn.functional as F
from pydantic import Field, PositiveInt
from torch import Tensor, nn

from lossbench.errors import OptionError
from lossbench.networks.network import Init, Network, Norm, initialised, normed

Share = Annotated[float, Field(ge=0, lt=1)]


class ResidualBlock(nn.Module):
    """x + conv(relu(norm(conv(x)))), padded by reflection."""

    def __init__(self, channels: int, dropout: float, norm: Norm) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.ReflectionPad2d(1),
            *normed(nn.Conv2d(channels, channels, 3), norm),
            nn.ReLU(inplace=True),
            *([nn.Dropout(dropout)] if dropout else []),
            nn.ReflectionPad2d(1),
            *normed(nn.Conv2d(channels, channels, 3), norm),
        )

    def forward(self, x: Tensor) -> Tensor:
        """[B, C, H, W] -> [B, C, H, W]."""
        out: Tensor = x + self.layers(x)
        return out


class ToPixels(nn.Conv2d):
    """A convolution to few channels, at stride 1 and without padding.

    A CPU's vectors are wider than three channels: it computes the four pixels of a 2 x 2 square at once, as twelve
    channels of a convolution at stride 2, whose kernels are this one's in its four places. The sums are the same.
    """

    def forward(self, x: Tensor) -> Tensor:
        """[B, C, H, W] -> [B, channels, H - k + 1, W - k + 1]."""
        odd = any((side - k + 1) % 2 for side, k in zip(x.shape[2:], self.kernel_size, strict=True))
        if odd or x.device.type != "cpu":
            return super().forward(x)
        places = [F.pad(self.weight, (left, 1 - left, top, 1 - top)) for top in (0, 1) for left in (0, 1)]
        out = F.pixel_shuffle(F.conv2d(x, torch.stack(places, 1).flatten(0, 1), stride=2), 2)
        return out if self.bias is None else out + self.bias[:, None, None]


class Blur(nn.Module):
    """Every second pixel of a blur by [1 2 1] x [1 2 1] / 16, borders reflected (Zhang, 2019)."""

    taps: Tensor  # [1, 1, 3, 3]

    def __init__(self) -> None:
        super().__init__()
        side = torch.tensor([1.0, 2.0, 1.0]) / 4
        self.register_buffer("taps", torch.outer(side, side)[None, None], persistent=False)
        self.pad = nn.ReflectionPad2d(1)

    def forward(self, x: Tensor) -> Tensor:
        """[B, C, H, W] -> [B, C, H / 2, W / 2], odd sides rounded up."""
        channels = x.shape[1]
        return F.conv2d(self.pad(x), self.taps.expand(channels, -1, -1, -1), stride=2, groups=channels)


def resnet(
    channels: int = 3,
    *,
    blocks: int = 9,
    ngf: int = 64,
    dropout: float = 0.0,
    norm: Norm = "instance",
    antialias: bool = False,
) -> Network:
    """Two strided convolutions down, residual blocks, two up: [B, C, H, W] -> the same in [-1, 1], H and W by 4."""
    return Network(
        nn.Sequential(
            nn.ReflectionPad2d(3), *_stage(nn.Conv2d(channels, ngf, 7), norm),
            *_down(ngf, norm, antialias), *_down(2 * ngf, norm, antialias),
            *(ResidualBlock(4 * ngf, dropout, norm) for _ in range(blocks)),
            *_up(4 * ngf, norm, antialias), *_up(2 * ngf, norm, antialias),
            nn.ReflectionPad2d(3), ToPixels(ngf, channels, 7), nn.Tanh(),
        ),
        multiple=4,
    )  # fmt: skip


def resnet_generator(
    channels: int,
    *,
    generator: str = "resnet_9blocks",
    ngf: PositiveInt = 64,
    dropout: Share = 0.0,
    norm: Norm = "instance",
    init: Init = "normal",
    antialias: bool = False,
) -> Network:
    """Return ``resnet_Nblocks`` for any N. ``ngf``: channels of the first layer; ``dropout``: in the blocks.

    ``antialias``: no convolution strides, a ``Blur`` halves and [1 3 3 1] / 4 doubles (Zhang, 2019; Park et al., 2020).
    """
    match = re.fullmatch(r"resnet_(\d{1,3})blocks", generator)
    if not match:
        raise OptionError(f"model.generator={generator!r}: write resnet_9blocks, or another number of blocks.")
    network = resnet(channels, blocks=int(match[1]), ngf=ngf, dropout=dropout, norm=norm, antialias=antialias)
    return initialised(network, init)


def _stage(convolution: nn.Conv2d | nn.ConvTranspose2d, norm: Norm) -> tuple[nn.Module, ...]:
    return *normed(convolution, norm), nn.ReLU(inplace=True)


def _down(channels: int, norm: Norm, antialias: bool) -> tuple[nn.Module, ...]:
    convolution = nn.Conv2d(channels, 2 * channels, 3, stride=1 if antialias else 2, padding=1)
    return *_stage(convolution, norm), *([Blur()] if antialias else [])


def _up(channels: int, norm: Norm, antialias: bool) -> tuple[nn.Module, ...]:
    if not antialias:
        return _stage(nn.ConvTranspose2d(channels, channels // 2, 3, stride=2, padding=1, output_padding=1), norm)
    double = nn.Upsample(scale_factor=2, mode="bilinear")  # between pixels that is [1 3 3 1] / 4, borders repeated
    return double, *_stage(nn.Conv2d(channels, channels // 2, 3, padding=1), norm)
