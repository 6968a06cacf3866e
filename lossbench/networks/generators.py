"""The residual generator of CycleGAN (Johnson et al., 2016; Zhu et al., 2017)."""

from __future__ import annotations

import re
from typing import Annotated

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


def resnet(
    channels: int = 3, *, blocks: int = 9, ngf: int = 64, dropout: float = 0.0, norm: Norm = "instance"
) -> Network:
    """Two strided convolutions down, residual blocks, two up: [B, C, H, W] -> the same in [-1, 1], H and W by 4."""
    return Network(
        nn.Sequential(
            nn.ReflectionPad2d(3), *_stage(nn.Conv2d(channels, ngf, 7), norm),
            *_stage(nn.Conv2d(ngf, 2 * ngf, 3, stride=2, padding=1), norm),
            *_stage(nn.Conv2d(2 * ngf, 4 * ngf, 3, stride=2, padding=1), norm),
            *(ResidualBlock(4 * ngf, dropout, norm) for _ in range(blocks)),
            *_stage(nn.ConvTranspose2d(4 * ngf, 2 * ngf, 3, stride=2, padding=1, output_padding=1), norm),
            *_stage(nn.ConvTranspose2d(2 * ngf, ngf, 3, stride=2, padding=1, output_padding=1), norm),
            nn.ReflectionPad2d(3), nn.Conv2d(ngf, channels, 7), nn.Tanh(),
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
) -> Network:
    """Return ``resnet_Nblocks`` for any N. ``ngf``: channels of the first layer; ``dropout``: in the blocks."""
    match = re.fullmatch(r"resnet_(\d{1,3})blocks", generator)
    if not match:
        raise OptionError(f"model.generator={generator!r}: write resnet_9blocks, or another number of blocks.")
    return initialised(resnet(channels, blocks=int(match[1]), ngf=ngf, dropout=dropout, norm=norm), init)


def _stage(convolution: nn.Conv2d | nn.ConvTranspose2d, norm: Norm) -> tuple[nn.Module, ...]:
    return *normed(convolution, norm), nn.ReLU(inplace=True)
