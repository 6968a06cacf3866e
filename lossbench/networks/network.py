"""A network as the trainer sees it: layers in a row, a precision of its own, and what a forward does besides."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.dropout import _DropoutNd

LARGE = 128 * 128  # px of an image from which on it is worth saving memory


class Network(nn.Module):
    """Layers in a row, [B, C, H, W] -> [B, C', H', W'].

    Under ``autocast`` it computes in that type, and returns its input's. A ``lean`` network keeps no padded copy of
    what a large image becomes: the backward pads again, to the same bits.
    """

    def __init__(self, layers: nn.Sequential) -> None:
        super().__init__()
        self.layers = layers
        self.autocast: torch.dtype | None = None
        self.lean = False
        for module in self.modules():
            if isinstance(module, nn.ReflectionPad2d):
                module.register_forward_hook(_remember)

    def forward(self, image: Tensor) -> Tensor:
        """Run every layer."""
        return self.features(image, (len(self.layers) - 1,))[0]

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


def _remember(pad: nn.ReflectionPad2d, given: tuple[Tensor], padded: Tensor) -> None:
    padded.made_of = (given[0].detach(), pad.padding)  # type: ignore[attr-defined]


def _keep(tensor: Tensor) -> Any:
    return getattr(tensor, "made_of", tensor)


def _pad_again(kept: Any) -> Tensor:
    if isinstance(kept, Tensor):
        return kept
    image, padding = kept
    return F.pad(image, padding, mode="reflect")
