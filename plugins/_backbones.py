"""Pretrained networks that losses share: an image goes through once a step, and no deeper than any of them asks.

``once(backbone("vgg16").features, image)["relu3_3"]`` is what an image [B, 3, H, W] in [-1, 1] becomes, [B, C, h, w];
``conv3_3`` is that before the ReLU.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cache, partial
from typing import Annotated

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from lossbench import OptionError, pretrained

Layers = Annotated[tuple[str, ...], Field(min_length=1)]
Stage = tuple[str, Callable[[Tensor], Tensor]]
Pairs = Iterator[tuple[Tensor, Tensor]]  # weight and bias of each convolution

BLOCKS = {"vgg16": (2, 2, 3, 3, 3), "vgg19-normalised": (2, 2, 4, 4, 4)}  # convolutions between poolings
ALEXNET = ((4, 2), (1, 2), (1, 1), (1, 1), (1, 1))  # stride and padding
MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of ImageNet in [0, 1]


class Features:
    """What a network makes of one image, as far as it was asked."""

    def __init__(self, stages: Sequence[Stage], image: Tensor) -> None:
        self.stages = stages
        self.x = image
        self.known: dict[str, Tensor] = {}

    def __getitem__(self, layer: str) -> Tensor:
        while layer not in self.known:
            name, stage = self.stages[len(self.known)]
            self.x = self.known[name] = stage(self.x)
        return self.known[layer]


class Backbone:
    """A network of convolutions, frozen: its weights are pretrained ones, kept once for each device and precision."""

    def __init__(self, name: str) -> None:
        tensors = pretrained(name)
        self.name = name
        self.weights = [tensors[key] for key in sorted(tensors, key=_place)]
        self.kept: dict[tuple[torch.device, torch.dtype], Sequence[Stage]] = {}
        self.layers = [layer for layer, _ in self._stages(self.weights)]

    def features(self, image: Tensor) -> Features:
        """Begin an image's way through the network."""
        return Features(self._beside(image), image)

    def check(self, layers: Iterable[str], option: str) -> None:
        """Refuse layers that the network does not have.

        Raises:
            OptionError: naming those that there are.
        """
        for layer in layers:
            if layer not in self.layers:
                known = ", ".join(name for name in self.layers if name.startswith("relu"))
                raise OptionError(f"{option}: {self.name} has no `{layer}`. Layers: {known}, each after its conv.")

    def _beside(self, image: Tensor) -> Sequence[Stage]:
        place = (image.device, image.dtype)
        if place in self.kept:
            return self.kept[place]
        weights = [weight.to(*place) for weight in self.weights]
        stages = self._stages(weights)
        if type(weights[0]) is Tensor:  # and no stand-in for one
            self.kept[place] = stages
        return stages

    def _stages(self, weights: Sequence[Tensor]) -> Sequence[Stage]:
        pairs = iter(zip(weights[::2], weights[1::2], strict=True))
        return tuple(_alexnet(pairs) if self.name == "alexnet" else _vgg(self.name, pairs))


def backbone(name: str) -> Backbone:
    """Return a network, one for all who ask."""
    pretrained(name)  # so that the record of whoever asks says so
    return _made(name)


_made = cache(Backbone)


def _place(key: str) -> tuple[int, bool]:
    """``features.12.bias`` -> (12, True): in the order of the network, each weight before its bias."""
    *_, place, kind = key.split(".")
    return int(place), kind == "bias"


def _vgg(name: str, pairs: Pairs) -> Iterator[Stage]:
    """Simonyan & Zisserman (2015); the normalised one reads, pads and pools as AdaIN does (Huang & Belongie, 2017)."""
    normalised = name == "vgg19-normalised"
    yield "input", partial(_through, *next(pairs)) if normalised else _standardised
    for block, count in enumerate(BLOCKS[name], start=1):
        for index in range(1, count + 1):
            yield f"conv{block}_{index}", partial(_mirrored if normalised else _bordered, *next(pairs))
            yield f"relu{block}_{index}", F.relu
        yield f"pool{block}", partial(F.max_pool2d, kernel_size=2, ceil_mode=normalised)


def _alexnet(pairs: Pairs) -> Iterator[Stage]:
    """Krizhevsky (2014), "One weird trick"."""
    yield "input", _standardised
    for layer, ((weight, bias), (stride, padding)) in enumerate(zip(pairs, ALEXNET, strict=True), start=1):
        yield f"conv{layer}", partial(F.conv2d, weight=weight, bias=bias, stride=stride, padding=padding)
        yield f"relu{layer}", F.relu
        if layer in (1, 2):
            yield f"pool{layer}", partial(F.max_pool2d, kernel_size=3, stride=2)


def _standardised(image: Tensor) -> Tensor:
    mean, deviation = (image.new_tensor(some).view(3, 1, 1) for some in (MEAN, DEVIATION))
    return ((image + 1) / 2 - mean) / deviation


def _through(weight: Tensor, bias: Tensor, image: Tensor) -> Tensor:
    return F.conv2d((image + 1) / 2, weight, bias)


def _bordered(weight: Tensor, bias: Tensor, x: Tensor) -> Tensor:
    return F.conv2d(x, weight, bias, padding=1)


def _mirrored(weight: Tensor, bias: Tensor, x: Tensor) -> Tensor:
    return F.conv2d(F.pad(x, (1, 1, 1, 1), "reflect"), weight, bias)
