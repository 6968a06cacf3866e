"""From a recipe and its options to initialised networks, one generator and at most one discriminator a direction."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from lossbench import rng
from lossbench.errors import LossbenchError, OptionError, PluginError
from lossbench.hookspecs import Recipe
from lossbench.networks.network import Network
from lossbench.options import declared

CHANNELS = 3
LEAST_UNET = 16  # px; one of fewer levels is none to speak of
SMALL = 256  # px, up to which a forward of narrow networks takes no time
WIDTHS = ("ngf", "ndf")  # options that say how wide networks are, and not how large their images


@dataclass(frozen=True)
class Networks:
    """Generators and discriminators by direction; a direction without adversary has no discriminator."""

    G: Mapping[str, Network]
    D: Mapping[str, Network]

    def named(self) -> dict[str, Network]:
        """Return all by file name: ``G_A2B``, ``D_A2B``, ..."""
        both = {"G": self.G, "D": self.D}
        return {f"{kind}_{d}": network for kind, some in both.items() for d, network in some.items()}


def build(recipe: Recipe, options: Mapping[str, Any], judged: Iterable[str], seed: int) -> Networks:
    """Build and initialise; every network under a random stream of its own."""
    generator, discriminator = recipe.networks
    seen = 2 * CHANNELS if recipe.conditional else CHANNELS
    return Networks(
        {d: _made(generator, CHANNELS, options, seed, "G", d) for d in recipe.directions},
        {d: _made(discriminator, seen, options, seed, "D", d) for d in judged},
    )


def _made(builder: Any, channels: int, options: Mapping[str, Any], *key: object) -> Network:
    with rng.isolated(*key):
        network = builder(channels, **{name: options[name] for name in declared(builder)})
    if not isinstance(network, Network):
        raise PluginError(
            f"{builder.__name__} returned a {type(network).__name__}; return its layers as lossbench has networks: "
            "lossbench.networks.Network(nn.Sequential(...))."
        )
    return network


def check(recipe: Recipe, options: Mapping[str, Any], size: int) -> None:
    """Refuse a size that the networks cannot take, by a forward of networks as narrow as they can be made.

    Large images are without data; small ones are not, for which PyTorch would import its compiler, and double the time
    to a first step.
    """
    if size < 4:
        raise OptionError(f"data.size={size}: images have at least 4 px a side.")
    try:
        with torch.device("meta"):
            build(recipe, options, recipe.directions[:1], seed=0)
    except (RuntimeError, TypeError, OverflowError) as error:  # numbers that no tensor can have
        raise OptionError(
            f"model: such networks cannot be built ({str(error).splitlines()[0]:.100}). Use smaller numbers."
        ) from error
    narrow = {name: 1 for name in WIDTHS if name in options}
    with torch.device("cpu" if size <= SMALL else "meta"):
        networks = build(recipe, {**options, **narrow}, recipe.directions[:1], seed=0)
        image = torch.zeros(1, CHANNELS, size, size)
    multiple = networks.G[recipe.directions[0]].multiple
    if size % multiple:
        near = max(multiple, round(size / multiple) * multiple)
        smaller = size & -size  # the largest power of two in it
        unet = str(options.get("generator")).startswith("unet_") and smaller >= LEAST_UNET
        way = f", or --set model.generator=unet_{smaller}" if unet else ""
        raise OptionError(f"data.size={size}: this generator takes multiples of {multiple} px. Use --size {near}{way}.")
    fake = _tried(networks.G[recipe.directions[0]], image, size, "")
    if fake.shape != image.shape:
        raise OptionError(f"data.size={size}: the generator returns {fake.shape[-1]} px. Use a --size that it keeps.")
    if recipe.targets:
        seen = torch.cat((image, fake), 1) if recipe.conditional else fake
        advice = ", or a discriminator with fewer layers: --set model.n_layers=2"
        _tried(networks.D[recipe.directions[0]], seen, size, advice)


def _tried(network: Network, image: Tensor, size: int, advice: str) -> Tensor:
    try:
        with torch.no_grad():
            out: Tensor = network(image)
    except LossbenchError:
        raise
    except (RuntimeError, ValueError) as error:
        raise OptionError(
            f"data.size={size}: these networks cannot take such images ({error}). Use a larger --size{advice}."
        ) from error
    return out
