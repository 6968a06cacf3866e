"""A network as the trainer sees it: layers in a row, a precision of its own, and what a forward does besides."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import Any, Literal, TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.dropout import _DropoutNd

LARGE = 128 * 128  # px of an image from which on it is worth saving memory
SPREAD = 0.02  # of initial weights

Init = Literal["normal", "xavier"]
Norm = Literal["instance", "batch"]
M = TypeVar("M", bound=nn.Module)


class Network(nn.Module):
    """Layers in a row, [B, C, H, W] -> [B, C', H', W'].

    Under ``autocast`` it computes in that type, and returns its input's. A ``lean`` network keeps no padded copy of
    what a large image becomes: the backward pads again, to the same bits. ``compiled``, if anything, is what it trains
    by in the place of its own forward. It takes sides that are ``multiple``s, px.
    """

    def __init__(self, layers: nn.Sequential, multiple: int = 1) -> None:
        super().__init__()
        self.layers = layers
        self.multiple = multiple
        self.autocast: torch.dtype | None = None
        self.lean = False
        self.compiled: Callable[[Network, Tensor], Tensor] | None = None
        for module in self.modules():
            if isinstance(module, nn.ReflectionPad2d):
                module.register_forward_hook(_remember)

    def forward(self, image: Tensor) -> Tensor:
        """Run every layer."""
        if self.compiled and self.training and torch.is_grad_enabled():
            return self.compiled(self, image)
        return self.features(image, (len(self.layers) - 1,))[0]

    def straight(self, image: Tensor, layout: torch.memory_format) -> Tensor:
        """Run every layer, and nothing else, as a compiler likes it."""
        with torch.autocast(image.device.type, self.autocast, enabled=self.autocast is not None):
            out: Tensor = self.layers(image.to(memory_format=layout))
        return out.to(image.dtype).contiguous()

    def features(self, image: Tensor, layers: Sequence[int]) -> list[Tensor]:
        """Return the outputs of the named layers, and run no further than the deepest."""
        found: dict[int, Tensor] = {}
        deepest = max(layers)
        x = image
        with ExitStack() as context:
            if self.autocast:
                context.enter_context(torch.autocast(image.device.type, self.autocast))
            if self.lean and image[0, 0].numel() >= LARGE:
                context.enter_context(torch.autograd.graph.saved_tensors_hooks(_keep, _pad_again))
            for index, layer in enumerate(self.layers[: deepest + 1]):
                x = layer(x)
                if index in layers:  # copied, because the next layer may work in place
                    found[index] = x.to(image.dtype, copy=index < deepest)
        return [found[index] for index in layers]

    @property
    def draws(self) -> bool:
        """Whether a forward in training draws random numbers (dropout)."""
        return any(isinstance(module, _DropoutNd) and module.p > 0 for module in self.modules())

    @property
    def counts(self) -> bool:
        """Whether a forward in training changes state, and depends on the batch (batch norm)."""
        return any(isinstance(module, _BatchNorm) for module in self.modules())


class InstanceNorm(nn.InstanceNorm2d):
    """Each channel of each image with mean 0 and variance 1 (Ulyanov et al., 2016), whichever way it lies in memory.

    PyTorch's own brings channels that lie last to the front.
    """

    def forward(self, x: Tensor) -> Tensor:
        """[B, C, H, W] -> [B, C, H, W]."""
        if x.is_contiguous():
            return super().forward(x)
        wide = x.to(torch.promote_types(x.dtype, torch.float32))
        variance, mean = torch.var_mean(wide, (2, 3), correction=0, keepdim=True)
        return ((wide - mean) * torch.rsqrt(variance + self.eps)).to(x.dtype)


def normed(convolution: nn.Conv2d | nn.ConvTranspose2d, norm: Norm) -> tuple[nn.Module, nn.Module]:
    """Return a convolution and the norm behind it.

    Batch norm has the convolution's bias in its own, and takes the statistics of the batch before it in translation
    too, as pix2pix does (Isola et al., 2017, section 3.3).
    """
    channels = convolution.out_channels
    if norm == "instance":
        return convolution, InstanceNorm(channels)
    convolution.bias = None
    return convolution, nn.BatchNorm2d(channels, track_running_stats=False)


def initialised(module: M, init: Init = "normal") -> M:
    """Give every convolution initial weights, N(0, 0.02) or Xavier's of gain 0.02, biases 0, and return the module."""
    for each in module.modules():
        if isinstance(each, nn.Conv2d | nn.ConvTranspose2d | nn.Linear) and not each.weight.is_meta:
            if init == "normal":
                nn.init.normal_(each.weight, 0.0, SPREAD)
            else:
                nn.init.xavier_normal_(each.weight, SPREAD)
            if each.bias is not None:
                nn.init.zeros_(each.bias)
        elif isinstance(each, _BatchNorm) and not each.weight.is_meta:
            nn.init.normal_(each.weight, 1.0, SPREAD)
    return module


def _remember(pad: nn.ReflectionPad2d, given: tuple[Tensor], padded: Tensor) -> None:
    padded.made_of = (given[0].detach(), pad.padding)  # type: ignore[attr-defined]


def _keep(tensor: Tensor) -> Any:
    return getattr(tensor, "made_of", tensor)


def _pad_again(kept: Any) -> Tensor:
    if isinstance(kept, Tensor):
        return kept
    image, padding = kept
    return F.pad(image, padding, mode="reflect")
