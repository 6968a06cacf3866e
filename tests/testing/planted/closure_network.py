"""Perceptual: translation and source have the same features in a fixed network."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn

from lossbench import LossSpec, Term, hookimpl


def closure_network(*, width: int = 8) -> Term:
    """Mean squared difference of features; images -> scalar >= 0."""
    network = nn.Sequential(nn.Conv2d(3, width, 3, padding=1), nn.Tanh(), nn.Conv2d(width, width, 3, stride=2))
    network.requires_grad_(False).eval()
    by_dtype = {dtype: copy.deepcopy(network).to(dtype) for dtype in (torch.float32, torch.float64)}

    def term(fake: Tensor, real: Tensor) -> Tensor:
        dtype = torch.promote_types(fake.dtype, torch.float32)
        features = by_dtype[dtype]
        return (features(fake.to(dtype)) - features(real.to(dtype))).square().mean()

    return term


CAUGHT_BY = "device"


@hookimpl
def lossbench_loss() -> LossSpec:
    """Perceptual at weight 1."""
    return LossSpec(closure_network)
