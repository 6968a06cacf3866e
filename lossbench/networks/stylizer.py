"""The image transformation network of feed-forward style transfer (Johnson et al., 2016)."""

from __future__ import annotations

from typing import Literal

from pydantic import PositiveInt
from torch import Tensor, nn

from lossbench.networks.generators import ResidualBlock
from lossbench.networks.network import Init, Network, Norm, initialised, normed

BLOCKS = 5
START = 40  # px a side: what the blocks take away, 4 px each at a quarter of the size

Padding = Literal["start", "each"]


class CroppingBlock(nn.Module):
    """x, 2 px less a side, + conv(relu(norm(conv(x)))) without padding."""

    def __init__(self, channels: int, norm: Norm) -> None:
        super().__init__()
        first, second = (normed(nn.Conv2d(channels, channels, 3), norm) for _ in range(2))
        self.layers = nn.Sequential(*first, nn.ReLU(inplace=True), *second)

    def forward(self, x: Tensor) -> Tensor:
        """[B, C, H, W] -> [B, C, H - 4, W - 4]."""
        out: Tensor = x[..., 2:-2, 2:-2] + self.layers(x)
        return out


def stylizer(channels: int = 3, *, ngf: int = 32, padding: Padding = "start", norm: Norm = "instance") -> Network:
    """Two strided convolutions down, five residual blocks of 4 ngf channels, two up: images -> the same in [-1, 1].

    ``padding`` ``start``: once, 40 px reflected at the input, and blocks that crop; ``each``: before every convolution.
    """
    once = padding == "start"
    blocks = [CroppingBlock(4 * ngf, norm) if once else ResidualBlock(4 * ngf, 0, norm) for _ in range(BLOCKS)]
    return Network(
        nn.Sequential(
            *([nn.ReflectionPad2d(START)] if once else []),
            *_stage(channels, ngf, 9, 1, norm, padding),
            *_stage(ngf, 2 * ngf, 3, 2, norm, padding), *_stage(2 * ngf, 4 * ngf, 3, 2, norm, padding),
            *blocks,
            *_up(4 * ngf, norm), *_up(2 * ngf, norm),
            *_padded(ngf, channels, 9, 1, padding), nn.Tanh(),
        ),
        multiple=4,
    )  # fmt: skip


def style_generator(
    channels: int,
    *,
    ngf: PositiveInt = 32,
    padding: Padding = "start",
    norm: Norm = "instance",
    init: Init = "normal",
) -> Network:
    """Return a network that paints images in one style. ``ngf``: channels of the first layer."""
    return initialised(stylizer(channels, ngf=ngf, padding=padding, norm=norm), init)


def _padded(channels: int, wider: int, kernel: int, stride: int, padding: Padding) -> tuple[nn.Module, ...]:
    margin = kernel // 2
    if padding == "start":
        return (nn.Conv2d(channels, wider, kernel, stride, margin),)
    return nn.ReflectionPad2d(margin), nn.Conv2d(channels, wider, kernel, stride)


def _stage(channels: int, wider: int, kernel: int, stride: int, norm: Norm, padding: Padding) -> tuple[nn.Module, ...]:
    *pad, convolution = _padded(channels, wider, kernel, stride, padding)
    assert isinstance(convolution, nn.Conv2d)
    return *pad, *normed(convolution, norm), nn.ReLU(inplace=True)


def _up(channels: int, norm: Norm) -> tuple[nn.Module, ...]:
    double = nn.ConvTranspose2d(channels, channels // 2, 3, stride=2, padding=1, output_padding=1)
    return *normed(double, norm), nn.ReLU(inplace=True)
