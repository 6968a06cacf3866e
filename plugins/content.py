"""Content: a pretrained network sees in the translation what it saw in the source."""

from __future__ import annotations

from typing import Literal

from torch import Tensor

from lossbench import LossSpec, Term, hookimpl

from ._backbones import Features, Layers, backbone


def content(
    *,
    layers: Layers = ("relu3_3",),
    network: Literal["vgg16", "vgg19-normalised"] = "vgg16",
    against: Literal["real", "truth", "cycle"] = "real",
) -> Term:
    """Feature reconstruction, ``mean (phi(fake) - phi(real))^2`` of each layer phi (Johnson et al., 2016, eq. 2).

    ``layers``: ``relu3_3`` after the ReLU (as the paper's code; its text says relu2_2), ``conv3_3`` before it.
    ``network``: VGG16 as torchvision has it, or VGG19 scaled to a mean activation of 1 per channel (Gatys et al.,
    2015). ``against``: ``real`` compares fake with real, ``truth`` fake with truth (paired recipes), ``cycle`` the
    round trip with real.

    Images [B, 3, H, W] in [-1, 1] -> a scalar for each layer, a mean over all its features, so a resolution does not
    scale it; but an object twice as large is another one to the network. Deeper layers let colours and textures go.
    Other trainers' weights assume other networks: Caffe's VGG on 0 to 255 gives values some thousand times larger.
    """
    shared = backbone(network)
    shared.check(layers, "content.layers")

    def compare(one: Features, other: Features) -> dict[str, Tensor]:
        return {layer: (one[layer] - other[layer]).square().mean() for layer in layers}

    see = shared.features
    terms: dict[str, Term] = {
        "real": lambda fake, real, once: compare(once(see, fake), once(see, real)),
        "truth": lambda fake, truth, once: compare(once(see, fake), once(see, truth)),
        "cycle": lambda rec, real, once: compare(once(see, rec), once(see, real)),
    }
    return terms[against]


@hookimpl
def lossbench_loss() -> LossSpec:
    """VGG16's relu3_3 of the source, at weight 0.1: values are some tens where images differ."""
    return LossSpec(content, weight=0.1)
