"""Matrix: one colour matrix for every pixel, learned from pairs, without a discriminator."""

from torch import nn

from lossbench import Recipe, hookimpl
from lossbench.networks import Network, patch_discriminator


def matrix(channels: int, *, bias: bool = True) -> Network:
    """[B, C, H, W] -> the same in [-1, 1]. It brings its own initial weights: the identity."""
    mix = nn.Conv2d(channels, channels, 1, bias=bias)
    nn.init.dirac_(mix.weight)
    return Network(nn.Sequential(mix, nn.Hardtanh()))


@hookimpl
def lossbench_recipe() -> Recipe:
    return Recipe(
        networks=(matrix, patch_discriminator),
        directions=("A2B",),
        paired=True,
        losses=("l1",),
        adversary=None,
        defaults=lambda size: {"l1.power": 2, "train.lr": 1e-2},
        quick={"train.steps": 30, "train.batch": 4},
    )
