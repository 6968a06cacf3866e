"""Small weights: the generator's filters stay small."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from lossbench import LossSpec, Term, hookimpl


def small_weights() -> Term:
    """Mean over layers of the mean squared weight; asks for no image at all; scalar >= 0."""

    def term(G: nn.Module) -> Tensor:
        return torch.stack([weight.square().mean() for weight in G.parameters() if weight.ndim > 1]).mean()

    return term


@hookimpl
def lossbench_loss() -> LossSpec:
    """Small weights at weight 0.01."""
    return LossSpec(small_weights, weight=0.01)
