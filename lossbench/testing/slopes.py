"""How a loss changes along a direction: what its gradient is held against."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor

from lossbench import rng
from lossbench.testing.probe import SEED, Look, forgetful


def directions(look: Look, gradients: Mapping[str, Tensor]) -> dict[str, dict[str, Tensor]]:
    """Return where to look for slopes, each of norm 1 over all that the gradient reaches."""
    tensors = {name: tensor.detach() for name, tensor in look.reachable().items() if name in gradients}
    generator = rng.stream(SEED, "directions")
    ways = {
        "the gradient": gradients,
        "the images": tensors,
        "a shift": {name: torch.ones_like(tensor) for name, tensor in tensors.items()},
        "a random direction": {
            name: torch.randn(tensor.shape, generator=generator, dtype=tensor.dtype) for name, tensor in tensors.items()
        },
    }
    return {
        title: {name: each / size(way) for name, each in way.items()} for title, way in ways.items() if size(way) > 0
    }


def size(tensors: Mapping[str, Tensor]) -> float:
    """Return the norm over all tensors."""
    return math.sqrt(sum(float(each.square().sum()) for each in tensors.values()))


def slope(look: Look, direction: Mapping[str, Tensor], h: float) -> float:
    """Return the central difference of the value along a direction."""
    tensors, values = look.reachable(), []
    for shift in (h, -2 * h, h):  # there, to the other side, and back
        for name, change in direction.items():
            tensors[name].data.add_(change, alpha=shift)
        values.append(Look(forgetful(look.bound), look.recipe, look.images, look.networks).total().item())
    return (values[0] - values[1]) / (2 * h)
