"""Circularity: objects in the translated image are as round as those in the source.

For any mask m >= 0 on the plane, integral |grad m| >= 2 sqrt(pi) ||m||_2, with equality only for a disc, at any
amplitude (Federer & Fleming, 1960; Maz'ya, 1960; Talenti, 1976). Hence

    Q(m) = 4 pi * integral m^2 / (integral |grad m|)^2

is in [0, 1], equals 4 pi area / perimeter^2 for a binary mask, and does not change under m -> c m: fading an object
out gains nothing. Below, top to bottom: image -> mask -> areas and perimeters of its objects -> Q of each -> loss.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Literal

import torch
import torch.nn.functional as F
from kornia.contrib import connected_components_union_find
from kornia.filters import gaussian_blur2d, spatial_gradient
from pydantic import PositiveInt
from torch import Tensor, nn

from lossbench import LossSpec, Term, hookimpl

Pair = tuple[Tensor, Tensor]

SHARPNESS = 14.0  # k: steepness of the threshold, in units of the gap between background and object
PLATEAU = 0.02  # membership below it is 0, above its complement 1: noise on flat regions has no perimeter
MARGIN = 8  # px around the image, and around each object: with 2 px perimeter leaks out of its object
GRID = 64  # cells per side at most, for threshold and labels; objects closer than two cells may read as one


def circularity(images: Tensor, *, mask_fn: Callable[..., Tensor] | None = None, objects: bool = True) -> Tensor:
    """Mean of 4 pi area / perimeter^2 over the objects of each image, weighted by area; differentiable.

    Args:
        images: [B, C, H, W] in [-1, 1], objects of any colour on a background that reaches the border.
        mask_fn: a segmenter, images -> masks [B, 1, H, W] in [0, 1]; photographs with clutter need one.
        objects: False takes all there is for one object; no labels, so no host sync and no graph break on a GPU.

    Returns:
        [B] in [0, 1]: 1 for discs, pi/4 for squares, 0 without objects; float64 if the images are, else float32.

    Example:
        >>> y, x = torch.meshgrid(torch.linspace(-2, 2, 64), torch.linspace(-2, 2, 64), indexing="ij")
        >>> ellipse = torch.sigmoid(40 * (1 - (x / 1.6).hypot(y / 0.8)))[None, None]  # 2:1, whose truth is 0.841
        >>> print(f"{circularity(2 * ellipse - 1).item():.2f}")
        0.84
    """
    return measure(images, mask_fn, objects)[0]


def measure(images: Tensor, mask_fn: Callable[..., Tensor] | None, objects: bool) -> Pair:  # -> circularity, presence
    """Circularity [B], and presence [B]: 0 for a blank image, 1 where something is seen."""
    dtype = torch.promote_types(images.dtype, torch.float32)  # half precision overflows in sums over 65 000 pixels
    given = None if mask_fn is None else (mask_fn(images).to(dtype), images.new_ones(len(images), dtype=dtype))
    with torch.autocast(images.device.type, enabled=False):
        return roundness(*(given or segment(images.to(dtype))), objects)


def segment(x: Tensor) -> Pair:  # [B, C, H, W] -> mask [B, 1, H, W], gate [B]
    """What differs from the border, by a threshold that each image sets itself; the gate closes on blank images."""
    x = gaussian_blur2d(x, 5, (0.7, 0.7), border_type="replicate")
    d = norm(x - background(x))  # of colours, not of luma: isoluminant objects and inverted contrast work
    mu0, mu1 = two_means(F.avg_pool2d(d, max(1, min(d.shape[-2:]) // GRID)).flatten(1))
    gap = mu1 - mu0
    return membership(d.flatten(1), mu0, mu1).view_as(d), (gap**2 / (gap**2 + 0.03**2)).squeeze(1)


def background(x: Tensor) -> Tensor:  # [B, C, H, W] -> [B, C, 1, 1]
    """Cauchy-weighted mean colour of the border: objects cut by the frame hardly count."""
    n = max(2, min(x.shape[-2:]) // GRID)
    sides = x[..., :n, :], x[..., -n:, :], x[..., n:-n, :n], x[..., n:-n, -n:]
    ring = torch.cat([side.flatten(2) for side in sides], dim=2)  # [B, C, N]
    b = ring.mean(2, keepdim=True)
    for _ in range(3):
        r2 = (ring - b).square().sum(1, keepdim=True)
        w = 1 / (1 + r2 / (0.1 * r2.mean(2, keepdim=True) + 1e-6))
        b = (w * ring).sum(2, keepdim=True) / w.sum(2, keepdim=True)
    return b.unsqueeze(3)


def norm(v: Tensor) -> Tensor:  # [B, N, H, W] -> [B, 1, H, W]
    """Euclidean norm with a finite gradient at 0, where it is 0: else flat pixels would add up to a perimeter."""
    return (v.square().sum(1, keepdim=True) + 1e-6).sqrt() - 1e-3


def two_means(d: Tensor) -> Pair:  # [B, N] -> levels of background and object, each [B, 1]
    """Soft 2-means of the distances."""
    mu1 = (d**4).sum(1, keepdim=True) / ((d**3).sum(1, keepdim=True) + 1e-8)
    mu0 = torch.zeros_like(mu1)
    for _ in range(4):
        w1 = membership(d, mu0, mu1)
        mu0, mu1 = ((w * d).sum(1, keepdim=True) / (w.sum(1, keepdim=True) + 1e-6) for w in (1 - w1, w1))
    return mu0, mu1


def membership(d: Tensor, mu0: Tensor, mu1: Tensor) -> Tensor:  # [B, N] -> [B, N]
    """A sigmoid that is 0 at mu0 and 1 at mu1, exactly: with its plateaus left on, a disc reads 1.26."""
    s = torch.sigmoid(SHARPNESS * (d - (mu0 + mu1) / 2) / (mu1 - mu0 + 1e-4))
    return ((s - PLATEAU) / (1 - 2 * PLATEAU)).clamp(0, 1)


def roundness(masks: Tensor, gate: Tensor, objects: bool) -> Pair:  # [B, 1, H, W], [B] -> circularity, presence
    """Q of each object and the mean by area, without gradient: else growing the round object hides the other."""
    m = F.pad(masks, (MARGIN,) * 4)  # an object cut by the frame is closed by the frame
    slope = norm(spatial_gradient(m, "sobel", normalized=True).squeeze(1))
    owner = labels(m) if objects else None
    a1, a2, perimeter = (per_object(v, owner) for v in (m, m * m, slope))  # [B, N]
    # m^2 misses about half of the soft rim: give it back, up to half a pixel of it, or small discs read low
    area = a2 + (a1 - a2).clamp(min=0).minimum(0.5 * perimeter)
    q = (4 * math.pi * area / (perimeter**2 + 1)).clamp(max=1)
    w = (area.detach() - 0.001 * masks[0].numel()).clamp(min=0)
    scale = gate / (w.sum(1) + 1e-3)
    return scale * (w * q).sum(1), scale * w.sum(1)


@torch.no_grad()
def labels(m: Tensor) -> Tensor:  # [B, 1, H, W] -> int64: which object owns each pixel, 0 for none
    """Connected components on a coarse grid, grown so that each object owns its whole rim."""
    cell = max(2, math.ceil(max(m.shape[-2:]) / GRID))
    found = connected_components_union_find(F.max_pool2d(m, cell, ceil_mode=True) > 0.5)
    blocks = math.prod((n + 1) // 2 for n in found.shape[-2:])  # kornia numbers 2 x 2 blocks, on through the batch
    owner = torch.where(found > 0, (found - 1) % blocks + 1, 0).to(m.dtype)
    for _ in range(math.ceil(MARGIN / cell)):
        owner = torch.where(owner > 0, owner, F.max_pool2d(owner, 3, stride=1, padding=1))
    return F.interpolate(owner, scale_factor=cell)[..., : m.shape[-2], : m.shape[-1]].long()


def per_object(v: Tensor, owner: Tensor | None) -> Tensor:  # [B, 1, H, W] -> [B, N]
    """Sum over the pixels of each object, or over the image."""
    if owner is None:
        return v.flatten(1).sum(1, keepdim=True)
    return v.new_zeros(len(v), GRID**2 // 4 + 1).scatter_add(1, owner.flatten(1), v.flatten(1))[:, 1:]


class Reference(nn.Module):
    """Hinge to the middle 80 % of what the target domain has shown lately."""

    history: Tensor  # [memory], a ring; -1 where nothing was measured
    seen: Tensor

    def __init__(self, look: Callable[[Tensor], Pair], memory: int) -> None:
        super().__init__()
        self.look = look
        self.register_buffer("history", torch.full((memory,), -1.0))
        self.register_buffer("seen", torch.zeros((), dtype=torch.int64))

    def forward(self, fake: Tensor, target: Tensor) -> Tensor:
        """[B, C, H, W] in [-1, 1], twice -> scalar."""
        with torch.no_grad():
            c, presence = self.look(target)
            new = torch.where(presence > 0.5, c, -1).to(self.history)
            known = torch.cat([self.history, new])
            known = known.where(known >= 0, torch.nan)
            low, high = known.nanquantile(0.1).nan_to_num(0), known.nanquantile(0.9).nan_to_num(1)
            if self.training:
                new = new[-len(self.history) :]
                self.history[(self.seen + torch.arange(len(new), device=new.device)) % len(self.history)] = new
                self.seen += len(new)
        c = self.look(fake)[0]
        return (F.relu(low - c) + F.relu(c - high)).mean()


def circularity_loss(
    *,
    mode: Literal["match", "reference", "maximise"] = "match",
    mask_fn: Callable[..., Tensor] | None = None,
    objects: bool = True,
    memory: PositiveInt = 256,
) -> Term:
    """With C = 4 pi area / perimeter^2 of soft masks (Talenti, 1976): ``mean smooth_l1(C(fake), C(real))``, beta 0.02.

    ``mode`` ``reference``: ``mean relu(q10 - C(fake)) + relu(C(fake) - q90)``, quantiles of C over the last ``memory``
    images of the target domain. ``maximise``: ``mean relu(0.98 - C(fake))``. ``mask_fn``, ``objects``: as
    ``circularity(images)`` has them. A source without objects does not count.

    Images [B, C, H, W] in [-1, 1] -> scalar in [0, 1]. It does not depend on the resolution, but corners are rounded
    by about 1 / size in px, and objects below a thousandth of the image do not count. It fails on clutter without a
    ``mask_fn``. ``maximise`` can be met by blur or by a disc behind the object: only the other losses price that.
    """
    look = functools.partial(measure, mask_fn=mask_fn, objects=objects)  # not a module: no optimiser sees mask_fn

    def match(fake: Tensor, real: Tensor) -> Tensor:
        with torch.no_grad():
            goal, presence = look(real)
        return (presence * F.smooth_l1_loss(look(fake)[0], goal, reduction="none", beta=0.02)).mean()

    def maximise(fake: Tensor) -> Tensor:
        return F.relu(0.98 - look(fake)[0]).mean()

    terms: dict[str, Term] = {"match": match, "maximise": maximise, "reference": Reference(look, memory)}
    return terms[mode]


@hookimpl
def lossbench_loss() -> LossSpec:
    """Roundness of the source kept, at weight 1."""
    return LossSpec(circularity_loss)
