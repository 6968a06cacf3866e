"""Images of any size through a network: padded to sides that it takes, and where they are large, in tiles that overlap.

A tile's own border spoils what is near it. So a tile is not used in the outer quarter of an overlap, and fades into its
neighbour over the half between.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.func import functional_call

from lossbench.errors import OptionError
from lossbench.networks import Network

TILE = 512  # px: an instance norm's statistics are nearer to the whole image's than in tiles of 256
LEAST, MOST = 4, 8192  # px a side
PROBES = 16  # multiples of a network's that are tried until it takes one


@dataclass(frozen=True)
class Tiles:
    """How a network is led over an image: sides are ``multiple``s and no less than ``least``; all in px."""

    multiple: int
    least: int
    tile: int
    overlap: int

    def axis(self, length: int) -> tuple[int, list[int]]:
        """Return the side of a tile and where tiles begin, along one side of an image; the last may end behind it.

        They begin at multiples, so that strides fall as they do in the whole image, unless tiles are too small.
        """
        if length <= self.tile:
            return max(_up_to(length, self.multiple), self.least), [0]
        room = self.tile - self.overlap
        step = room // self.multiple * self.multiple or room
        grain = math.gcd(step, self.multiple)
        grains = math.ceil((length - self.tile) / grain)
        count = math.ceil(grains * grain / step)
        return self.tile, [n * grains // count * grain for n in range(count + 1)]

    def count(self, height: int, width: int) -> int:
        """Return how many tiles an image takes."""
        return len(self.axis(height)[1]) * len(self.axis(width)[1])

    def __call__(self, network: Callable[[Tensor], Tensor], image: Tensor, done: Callable[[], object]) -> Tensor:
        """Translate [N, C, H, W] -> the same, in the memory of a tile; ``done`` is called after each."""
        height, width = image.shape[-2:]
        (tall, tops), (wide, lefts) = self.axis(height), self.axis(width)
        padded = pad(image, tops[-1] + tall, lefts[-1] + wide)
        out = torch.zeros_like(padded)
        for top, down in zip(tops, ramps(tops, tall), strict=True):
            for left, across in zip(lefts, ramps(lefts, wide), strict=True):
                place = (..., slice(top, top + tall), slice(left, left + wide))
                out[place] += network(padded[place]) * (down[:, None] * across).to(out)
                done()
        return middle(out, height, width)


def tiles_for(network: Network, tile: int | None = None, overlap: int | None = None) -> Tiles:
    """Return tiles that a network takes: of 512 px if it can be, which overlap by a quarter of that.

    Raises:
        OptionError: a side that it does not take, or an overlap that is no smaller than a tile.
    """
    multiple, least = network.multiple, least_side(network)
    tile = max(_up_to(TILE, multiple), least) if tile is None else tile
    check_side(network, tile, "--tile")
    overlap = tile // 4 if overlap is None else overlap
    if not 0 <= overlap < tile:
        raise OptionError(f"--overlap {overlap}: tiles of {tile} px overlap by 0 to {tile - 1} px. Drop it, or --tile.")
    return Tiles(multiple, least, tile, overlap)


def ramps(starts: Sequence[int], side: int) -> Tensor:
    """Return the share that each tile has in each of its pixels along one side, [tiles, side]; they add up to 1."""
    overlap = side - max((after - before for before, after in pairwise(starts)), default=side)
    rise = (torch.arange(side, dtype=torch.float64) + 0.5 - overlap / 4).clamp(min=0)
    flat, last = torch.full_like(rise, side), len(starts) - 1
    shares = [torch.minimum(rise if n else flat, rise.flip(0) if n < last else flat) for n in range(len(starts))]
    total = torch.zeros(starts[-1] + side, dtype=torch.float64)
    for start, share in zip(starts, shares, strict=True):
        total[start : start + side] += share
    return torch.stack([share / total[start : start + side] for start, share in zip(starts, shares, strict=True)])


def pad(image: Tensor, height: int, width: int) -> Tensor:
    """Pad [N, C, H, W] on all sides by reflection; by its border where it is too small to be reflected."""
    tall, wide = image.shape[-2:]
    top, left = (height - tall) // 2, (width - wide) // 2
    bottom, right = height - tall - top, width - wide - left
    mode = "reflect" if bottom < tall and right < wide else "replicate"
    return F.pad(image, (left, right, top, bottom), mode=mode)


def middle(padded: Tensor, height: int, width: int) -> Tensor:
    """Cut off what ``pad`` added."""
    tall, wide = padded.shape[-2:]
    top, left = (tall - height) // 2, (wide - width) // 2
    return padded[..., top : top + height, left : left + width]


def check_side(network: Network, side: int, flag: str) -> None:
    """Refuse a side in px that a network cannot take, before anything is computed.

    Raises:
        OptionError: naming the flag and one that it takes.
    """
    if not LEAST <= side <= MOST:
        raise OptionError(f"{flag} {side}: a side has {LEAST} to {MOST} px.")
    if side % network.multiple:
        near = max(network.multiple, round(side / network.multiple) * network.multiple)
        raise OptionError(f"{flag} {side}: this generator takes multiples of {network.multiple} px. Use {flag} {near}.")
    if reason := unfit(network, side):
        raise OptionError(f"{flag} {side}: this generator cannot: {reason}. Use {flag} {least_side(network)} or more.")


def least_side(network: Network) -> int:
    """Return the smallest side that a network takes, px."""
    sides = [network.multiple * n for n in range(1, PROBES + 1) if network.multiple * n >= LEAST]
    for side in sides:
        if not (reason := unfit(network, side)):
            return side
    raise OptionError(f"This generator takes no image of up to {sides[-1]} px: {reason}.")


def unfit(network: Network, side: int) -> str:
    """Return why a network cannot translate squares of a side, or nothing: a forward without data."""
    state = {name: tensor.to("meta") for name, tensor in (*network.named_parameters(), *network.named_buffers())}
    image = torch.zeros(1, 3, side, side, device="meta")
    try:
        with torch.no_grad():
            fake = functional_call(network, state, (image,))
    except (RuntimeError, ValueError) as error:
        return str(error).splitlines()[0]
    return "" if fake.shape == image.shape else f"it returns {fake.shape[-1]} px"


def _up_to(length: int, multiple: int) -> int:
    return math.ceil(length / multiple) * multiple
