"""Edges: they stay where they are, or keep their direction."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Annotated, Literal

import torch
import torch.nn.functional as F
from kornia.color import rgb_to_grayscale
from kornia.filters import sobel, spatial_gradient
from pydantic import Field, PositiveInt
from torch import Tensor

from lossbench import LossSpec, Term, hookimpl

FLAT = 1e-3  # per px, in [-1, 1]: slopes far below it are no edges, so that a flat image has a gradient, of 0
FAINT = 1e-2  # mean slope of a cell: blocks far below it are not blown up to full contrast; a grey level is 2/255


def luma(images: Tensor) -> Tensor:  # [B, 3, H, W] -> [B, 1, H, W]
    """ITU-R BT.601 luma in the range of the images; half precision has too few digits for differences."""
    return rgb_to_grayscale(images.to(torch.promote_types(images.dtype, torch.float32)))


def magnitude(image: Tensor, reference: Tensor) -> Tensor:  # [B, 3, H, W], twice -> scalar
    """L1 of Sobel magnitudes, whose kernels are divided by 8: a ramp reads its slope, border pixels are repeated."""
    return (sobel(luma(image), eps=FLAT**2) - sobel(luma(reference), eps=FLAT**2)).abs().mean()


def votes(images: Tensor, bins: int) -> Tensor:  # [B, 3, H, W] -> [B, bins, H, W]
    """Each pixel's slope, shared by the two bins next to its orientation, 0 to pi; bin k has (k + 1/2) pi / bins."""
    dx, dy = spatial_gradient(luma(images), "diff").unbind(2)  # [B, 1, H, W], central differences
    square = dx.square() + dy.square()
    slope = (square + FLAT**2).sqrt() - FLAT
    angle = torch.atan2(dy, dx.where(square > FLAT**4, 1))  # at 0 it has no gradient
    place = angle * (bins / math.pi) - 0.5
    after = (place - torch.arange(bins, device=place.device).view(-1, 1, 1)).remainder(bins)
    return slope * F.relu(1 - after.minimum(bins - after))


def descriptors(images: Tensor, bins: int, cell: int) -> Tensor:  # [B, 3, H, W] -> [B, 4 bins, blocks]
    """Histograms of cells, of what there is of them at the edge, in blocks of 2 x 2 divided by their norm."""
    cells = F.avg_pool2d(votes(images, bins), cell, ceil_mode=True)
    blocks = F.unfold(cells, 2)
    return blocks / (blocks.square().sum(1, keepdim=True) + FAINT**2).sqrt()


def orientations(image: Tensor, reference: Tensor, bins: int, cell: int) -> Tensor:  # [B, 3, H, W], twice -> scalar
    """Half the squared distance of blocks: 1 - cosine where both have edges."""
    apart = descriptors(image, bins, cell) - descriptors(reference, bins, cell)
    return apart.square().sum(1).mean() / 2


def edges(
    *,
    mode: Literal["magnitude", "orientations"] = "magnitude",
    against: Literal["truth", "real", "cycle"] = "real",
    bins: Annotated[int, Field(ge=2)] = 9,
    cell: PositiveInt = 8,
) -> Term:
    """Edges of luma, ``mean | |sobel fake| - |sobel real| |`` (Sobel & Feldman, 1968), or their orientations.

    ``mode`` ``orientations``: ``mean |h(fake) - h(real)|^2 / 2``, h the histograms of oriented gradients (Dalal &
    Triggs, 2005) in overlapping blocks of 2 x 2 cells: unsigned, ``bins`` shared linearly, weighted by slope, cells of
    ``cell`` px, L2 norm. Squares, not L1: of blocks of norm 1 that is 1 - cosine, and smooth where they are equal.
    ``against``: ``real`` compares fake with real, ``truth`` fake with truth (paired recipes), ``cycle`` the round trip
    with real.

    Images [B, 3, H, W] in [-1, 1] -> scalar. ``magnitude``: slope per px, 1 at a step over the whole range; at twice
    the size edges are half as dense, and count half. ``orientations``: in [0, 1], a flat block against edges is 1/2;
    sides longer than ``cell``, which is px and does not grow with the image. Neither sees edges of hue alone, or which
    side is the brighter. ``magnitude`` fails where the domains differ in contrast, ``orientations`` in texture; for one
    weight the latter pulls some 30 times as hard.
    """
    compare: Callable[[Tensor, Tensor], Tensor] = (
        magnitude if mode == "magnitude" else partial(orientations, bins=bins, cell=cell)
    )
    terms: dict[str, Term] = {
        "truth": lambda fake, truth: compare(fake, truth),
        "real": lambda fake, real: compare(fake, real),
        "cycle": lambda rec, real: compare(rec, real),
    }
    return terms[against]


@hookimpl
def lossbench_loss() -> LossSpec:
    """Magnitudes of the source kept, at a weight that pulls about as hard as cycle does."""
    return LossSpec(edges, weight=10.0)
