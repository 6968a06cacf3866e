"""A network as the trainer sees it: layers in a row, a precision of its own, and what a forward does besides."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.dropout import _DropoutNd


class Network(nn.Module):
    """Layers in a row, [B, C, H, W] -> [B, C', H', W'].

    Under ``autocast`` it computes in that type, and returns its input's.
    """

    def __init__(self, layers: nn.Sequential) -> None:
        super().__init__()
        self.layers = layers
        self.autocast: torch.dtype | None = None

    def forward(self, image: Tensor) -> Tensor:
        """Run every layer."""
        return self.features(image, (len(self.layers) - 1,))[0]

    def features(self, image: Tensor, layers: Sequence[int]) -> list[Tensor]:
        """Return the outputs of the named layers, and run no further than the deepest."""
        found: dict[int, Tensor] = {}
        deepest = max(layers)
        x = image
        with torch.autocast(image.device.type, self.autocast) if self.autocast else nullcontext():
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
