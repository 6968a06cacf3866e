"""Feature matching: translations look like target images to the discriminator's layers."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from lossbench import LossSpec, Term, hookimpl


def unfrozen_discriminator(*, layers: tuple[int, ...] = (1, 4)) -> Term:
    """Mean |mean D_l(fake) - mean D_l(target)| over layers and channels; scalar >= 0."""

    def term(seen_fake: Tensor, seen_real: Tensor, D: nn.Module) -> Tensor:
        for parameter in D.parameters():
            parameter.requires_grad_(True)  # features need gradients
        distances = [
            (a.mean(dim=(0, 2, 3)) - b.mean(dim=(0, 2, 3))).abs().mean()
            for a, b in zip(D.features(seen_fake, layers), D.features(seen_real, layers), strict=True)
        ]
        return torch.stack(distances).mean()

    return term


CAUGHT_BY = "frozen"


@hookimpl
def lossbench_loss() -> LossSpec:
    """Feature matching at weight 2."""
    return LossSpec(unfrozen_discriminator, weight=2.0)
