"""Style: features occur together in the translation as they do in an image of that style."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Literal

from pydantic import PositiveInt
from torch import Tensor, nn

from lossbench import LossSpec, Term, hookimpl, read_image

from ._backbones import Features, Layers, backbone

See = Callable[[Tensor], Features]

LAYERS = ("relu1_2", "relu2_2", "relu3_3", "relu4_3")


def gram(features: Tensor) -> Tensor:  # [B, C, h, w] -> [B, C, C]
    """Which features occur together, divided by the number of features, C h w."""
    flat = features.flatten(2)
    return flat @ flat.transpose(1, 2) / flat[0].numel()


def mean(difference: Tensor) -> Tensor:  # [B, C, C] -> scalar
    """Mean of squares."""
    return difference.square().mean()


def frobenius(difference: Tensor) -> Tensor:  # [B, C, C] -> scalar
    """Sum of squares of each image."""
    return difference.square().sum((1, 2)).mean()


class FixedStyle(nn.Module):
    """The distance of translations to one image, whose Gram matrices are computed once."""

    def __init__(self, grams: Mapping[str, Tensor], see: See, size: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.see, self.size = see, size
        for layer, matrix in grams.items():
            self.register_buffer(layer, matrix, persistent=False)

    def forward(self, fake: Tensor, once: Callable[..., Features]) -> dict[str, Tensor]:
        """[B, 3, H, W] -> a scalar for each layer."""
        seen = once(self.see, fake)
        return {layer: self.size(gram(seen[layer]) - matrix) for layer, matrix in self.named_buffers()}


def style(
    *,
    image: Path | None = None,
    image_size: PositiveInt | None = None,
    layers: Layers = LAYERS,
    network: Literal["vgg16", "vgg19-normalised"] = "vgg16",
    normalise: Literal["gram", "features"] = "gram",
) -> Term:
    """Style reconstruction, ``mean (gram(fake) - gram(style))^2`` (Gatys et al., 2015; Johnson et al., 2016, eq. 4).

    gram is the Gram matrix ``F F^T / (C h w)`` of a layer's features F [C, h w]. ``normalise`` ``gram``: the mean of
    ``(G - G')^2`` over its C x C entries, as Johnson's code and most trainers have it; ``features``: their sum, the
    paper's squared Frobenius norm. ``image``: the file of a style, its shorter side brought to ``image_size`` px;
    without one, the batch's ``target`` images, each for one translation. ``layers``: ``relu3_3`` after the ReLU,
    ``conv3_3`` before it.

    Images [B, 3, H, W] in [-1, 1] -> a scalar for each layer. The number of pixels does not scale it, but strokes keep
    their size in px. With torchvision's VGG16 values are about 1e-4 of those of ``content``, and weights about 1e4 of
    its; the paper's 5 assumes Caffe's VGG on 0 to 255. It says nothing of where things are.
    """
    shared = backbone(network)
    shared.check(layers, "style.layers")
    size, see = {"gram": mean, "features": frobenius}[normalise], shared.features
    if image:
        seen = see(read_image(image, image_size))
        return FixedStyle({layer: gram(seen[layer]) for layer in layers}, see, size)

    def term(fake: Tensor, target: Tensor, once: Callable[..., Features]) -> dict[str, Tensor]:
        one, other = once(see, fake), once(see, target)
        return {layer: size(gram(one[layer]) - gram(other[layer])) for layer in layers}

    return term


@hookimpl
def lossbench_loss() -> LossSpec:
    """Four layers of VGG16, at weight 1e3, which is 1e4 of that of content."""
    return LossSpec(style, weight=1e3)
