"""Perceptual: translation and source have the same features in a small VGG."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from lossbench import LossSpec, Term, hookimpl


def vgg(width: int) -> nn.Sequential:
    """Two stages of VGG."""
    layers: list[nn.Module] = []
    channels = 3
    for stage in (width, 2 * width):
        layers += [nn.Conv2d(channels, stage, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2, ceil_mode=True)]
        channels = stage
    return nn.Sequential(*layers).requires_grad_(False)


def rebuilt_network(*, width: int = 16) -> Term:
    """Mean |features(fake) - features(real)|; images -> scalar >= 0."""

    def term(fake: Tensor, real: Tensor) -> Tensor:
        dtype = torch.promote_types(fake.dtype, torch.float32)
        with torch.device(fake.device):
            network = vgg(width).to(dtype).eval()
        return (network(fake.to(dtype)) - network(real.to(dtype))).abs().mean()

    return term


CAUGHT_BY = "global_random"


@hookimpl
def lossbench_loss() -> LossSpec:
    """Perceptual at weight 1."""
    return LossSpec(rebuilt_network)
