"""LPIPS: people would find the translation like its reference, as far as a network fitted to their answers can tell."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from lossbench import LossSpec, Term, hookimpl, pretrained

from ._backbones import Features, backbone

LAYERS = {
    "vgg16": ("relu1_2", "relu2_2", "relu3_3", "relu4_3", "relu5_3"),
    "alexnet": ("relu1", "relu2", "relu3", "relu4", "relu5"),
}
HEADS = {"vgg16": "lpips-vgg", "alexnet": "lpips-alex"}


def heads(network: str) -> dict[str, Tensor]:
    """Return the weight of each channel by layer, [C, 1, 1], none negative."""
    tensors = pretrained(HEADS[network])
    return {layer: tensors[f"lin{index}.model.1.weight"][0] for index, layer in enumerate(LAYERS[network])}


def unit(features: Tensor) -> Tensor:  # [B, C, h, w] -> of length 1 over C
    """Divide by the length; at 0 there is a gradient, of 0."""
    return features / (features.square().sum(1, keepdim=True) + 1e-20).sqrt()


def distance(one: Features, other: Features, weights: dict[str, Tensor]) -> Tensor:
    """Return the weighted squared distance of directions, mean over places and images, summed over layers."""
    apart = {layer: (unit(one[layer]) - unit(other[layer])).square() for layer in weights}
    return torch.stack([(each * weights[layer].to(each)).sum(1).mean() for layer, each in apart.items()]).sum()


def lpips(
    *, network: Literal["vgg16", "alexnet"] = "vgg16", against: Literal["truth", "real", "cycle"] = "truth"
) -> Term:
    """Learned perceptual similarity, version 0.1 with its linear heads (Zhang et al., 2018, eq. 1).

    ``sum over layers of mean w . (unit phi(fake) - unit phi(truth))^2`` with the features phi of ``network``:
    squares are added up over channels with weights w, as people's answers had it, and averaged over places.
    ``against``: ``truth`` compares fake with truth (paired recipes), ``real`` fake with real, ``cycle`` the round
    trip with real.

    Images [B, 3, H, W] in [-1, 1], 32 px or more a side -> scalar from 0 on, a mean, but measured on patches of 64 px:
    other resolutions were not asked. What is trained with it wins LPIPS of this network for free: judge by the other.
    """
    shared, weights = backbone(network), heads(network)
    see = shared.features
    terms: dict[str, Term] = {
        "truth": lambda fake, truth, once: distance(once(see, fake), once(see, truth), weights),
        "real": lambda fake, real, once: distance(once(see, fake), once(see, real), weights),
        "cycle": lambda rec, real, once: distance(once(see, rec), once(see, real), weights),
    }
    return terms[against]


@hookimpl
def lossbench_loss() -> LossSpec:
    """Similarity to the truth by VGG16, at weight 1."""
    return LossSpec(lpips)
