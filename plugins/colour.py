"""Colour: mean and spread of colours are those of the target domain."""

from __future__ import annotations

from typing import Literal

import torch
from kornia.color import rgb_to_lab
from torch import Tensor

from lossbench import LossSpec, Term, hookimpl

Statistics = tuple[Tensor, Tensor]


def statistics(images: Tensor) -> Statistics:  # [B, 3, H, W] in [-1, 1] -> [B, 3], twice
    """Mean and standard deviation of each image's CIELAB channels, in hundreds: L in [0, 1]."""
    images = images.to(torch.promote_types(images.dtype, torch.float32))
    lab = rgb_to_lab((images + 1) / 2).flatten(2) / 100
    return lab.mean(2), (lab.var(2, correction=0) + 1e-6).sqrt()  # a root has no gradient at 0, one colour


def apart(one: Statistics, other: Statistics) -> dict[str, Tensor]:
    """Mean squared differences, by name."""
    pairs = zip(("mean", "deviation"), one, other, strict=True)
    return {name: (a - b).square().mean() for name, a, b in pairs}


def whole(images: Tensor) -> Statistics:  # [B, 3, H, W] -> [3], twice
    """Statistics of each image, averaged over the batch."""
    mean, deviation = statistics(images)
    return mean.mean(0), deviation.mean(0)


def colour(*, against: Literal["target", "real"] = "target") -> Term:
    """Statistics of colour transfer (Reinhard et al., 2001): ``mean (mu - mu')^2, mean (sigma - sigma')^2``, in CIELAB.

    mu and sigma are each image's mean and standard deviation of L, a and b of CIELAB (D65), in hundreds, so that L is
    in [0, 1]; means are over the three. ``against`` ``target`` averages mu and sigma over each batch before it compares
    them, since in unpaired recipes no image of one belongs to one of the other; squares, so that over many batches
    the pull is to the domain's mean. ``real`` compares each image with its source: colours are kept.

    Images [B, 3, H, W] in [-1, 1] -> ``mean`` and ``deviation``, scalars from 0 on, whatever the resolution. In batches
    of 1 each image is pulled to the domain's mean, so light and dark ones grow alike. It does not see where a colour
    is: two objects may swap theirs.
    """

    def target_term(fake: Tensor, target: Tensor) -> dict[str, Tensor]:
        return apart(whole(fake), whole(target))

    def real_term(fake: Tensor, real: Tensor) -> dict[str, Tensor]:
        return apart(statistics(fake), statistics(real))

    return target_term if against == "target" else real_term


@hookimpl
def lossbench_loss() -> LossSpec:
    """Colours of the target domain; squares are small, so weight 100."""
    return LossSpec(colour, weight=100.0)
