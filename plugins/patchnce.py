"""PatchNCE: a patch of the translation is more like the patch it was made from than like any other."""

from __future__ import annotations

from typing import Annotated

import torch
import torch.nn.functional as F
from pydantic import Field, NonNegativeInt, PositiveFloat, PositiveInt
from torch import Generator, Tensor, nn

from lossbench import LossSpec, OptionError, Term, hookimpl
from lossbench.networks import Network, initialised

NOTHING = 1e-7  # shorter vectors stay short: a direction that is not there has no say


class First(nn.LazyLinear):
    """A linear layer that takes what it is first given; Xavier's weights of gain 0.02, biases 0."""

    def reset_parameters(self) -> None:
        """Draw the weights, once there are any."""
        if self.in_features:
            initialised(self, "xavier")


def head(width: int) -> nn.Module:  # [..., C] -> [..., width]
    """Two linear layers."""
    return nn.Sequential(First(width), nn.ReLU(), initialised(nn.Linear(width, width), "xavier"))


def at(features: Tensor, places: Tensor) -> Tensor:  # [B, C, H, W], [N] -> [B, N, C]
    """Vectors at places that are counted along rows."""
    return features.flatten(2)[:, :, places].mT


def mirrored(places: Tensor, across: int) -> Tensor:  # [N] -> [N]
    """The same places of rows that run the other way."""
    return places + across - 1 - 2 * (places % across)


def nce(queries: Tensor, keys: Tensor, temperature: float) -> Tensor:  # [B, N, C], twice -> scalar
    """Cross-entropy of each query's own key against those of its image, by cosine (van den Oord et al., 2018)."""
    queries, keys = (F.normalize(some, dim=2, eps=NOTHING) for some in (queries, keys))
    logits = queries @ keys.mT / temperature  # [B, N, N]
    return (logits.logsumexp(2) - logits.diagonal(dim1=1, dim2=2)).mean()


class Contrast(nn.Module):
    """Heads for some layers of a generator, and how two images' patches are compared there.

    ``flips``: the share of steps in which the source is mirrored.
    """

    def __init__(self, layers: tuple[int, ...], patches: int, temperature: float, width: int, flips: float) -> None:
        super().__init__()
        self.layers, self.patches, self.temperature, self.flips = layers, patches, temperature, flips
        self.heads = nn.ModuleList(head(width) for _ in layers)

    def compare(self, source: Tensor, image: Tensor, G: Network, rng: Generator) -> Tensor:
        """[B, C, H, W] in [-1, 1], twice -> scalar; the source's side has no gradient.

        Raises:
            OptionError: the generator lacks a layer.
        """
        if max(self.layers) >= len(G.layers):
            raise OptionError(
                f"patchnce.layers={list(self.layers)}: the last layer of this generator is {len(G.layers) - 1}. "
                "Name layers up to it, or take a deeper generator."
            )
        # The paper's code mirrors what the generator is given and compares with the source as it is. Where training
        # images are mirrored half of the time, data.flip, that is the same in distribution, and `fake` need not be
        # computed again. A tensor, not a bool, since that would wait for the GPU.
        flip = torch.rand((), generator=rng, device=rng.device) < self.flips
        with torch.no_grad():
            keys = G.features(torch.where(flip, source.flip(3), source), self.layers)
        layers = zip(self.heads, G.features(image, self.layers), keys, strict=True)
        return torch.stack([self.at_layer(*layer, flip, rng) for layer in layers]).mean()

    def at_layer(self, head: nn.Module, query: Tensor, key: Tensor, flip: Tensor, rng: Generator) -> Tensor:
        """[B, C, H, W], twice -> scalar."""
        places = torch.randperm(key[0, 0].numel(), generator=rng, device=rng.device)[: self.patches]
        with torch.no_grad():
            keys = head(at(key, places))
        there = torch.where(flip, mirrored(places, key.shape[3]), places)
        return nce(head(at(query, there)), keys, self.temperature)


class Translation(Contrast):
    """The translation against its source."""

    def forward(self, real: Tensor, fake: Tensor, G: Network, rng: Generator) -> Tensor:
        """[B, C, H, W] in [-1, 1], twice -> scalar."""
        return self.compare(real, fake, G, rng)


class Both(Contrast):
    """The translation against its source, and the identity against the target."""

    def forward(self, real: Tensor, fake: Tensor, target: Tensor, idt: Tensor, G: Network, rng: Generator) -> Tensor:
        """[B, C, H, W] in [-1, 1], four times -> scalar."""
        return (self.compare(real, fake, G, rng) + self.compare(target, idt, G, rng)) / 2


def patchnce(
    *,
    layers: Annotated[tuple[NonNegativeInt, ...], Field(min_length=1)] = (0, 4, 8, 12, 16),
    patches: PositiveInt = 256,
    temperature: PositiveFloat = 0.07,
    width: PositiveInt = 256,
    identity: bool = True,
    flip: bool = False,
) -> Term:
    """Patches against their source, ``mean -log(exp(q.k+ / T) / sum exp(q.k / T))`` (Park et al., 2020, eq. 3 and 4).

    q and k are unit vectors of ``width`` numbers: what a head, two linear layers that train along, makes of G's own
    features of the translation and of its source at one place. The sum goes over the ``patches`` places that are drawn
    in each of G's ``layers``, those of one image; the mean over places, images and layers. The source's side has no
    gradient. ``temperature``: T. ``identity``: the mean with the same of G(target) and target. ``flip``: in half of the
    steps the source is mirrored and the translation's features are mirrored back, so that G cannot answer by place.

    Images [B, C, H, W] in [-1, 1] -> scalar from 0 on, by chance log(``patches``). Layers count from 0 in
    ``G.layers``: with model.antialias 0 is the image, 4 and 8 the convolutions that follow, 12 and 16 residual blocks.
    A G that lacks a layer is an OptionError. It fails where patches of one image are alike: they are pushed apart all
    the same.
    """
    kind = Both if identity else Translation
    return kind(layers, patches, temperature, width, flips=0.5 if flip else 0.0)


@hookimpl
def lossbench_loss() -> LossSpec:
    """Every patch told from the others of its image, at weight 1 as in CUT."""
    return LossSpec(patchnce, checks={"gradcheck": "features of the source are held fixed, as in the paper"})
