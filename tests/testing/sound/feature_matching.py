"""Feature matching: to the discriminator's inner layers translations look, on average, like target images."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from lossbench import LossSpec, Term, hookimpl


def feature_matching(*, layers: tuple[int, ...] = (1, 4)) -> Term:
    """Mean |mean D_l(fake) - mean D_l(target)| over layers and channels (Salimans et al., 2016); scalar >= 0."""

    def term(seen_fake: Tensor, seen_real: Tensor, D: nn.Module) -> Tensor:
        ours = D.features(seen_fake, layers)
        with torch.no_grad():
            theirs = D.features(seen_real, layers)
        distances = [
            (a.mean(dim=(0, 2, 3)) - b.mean(dim=(0, 2, 3))).abs().mean() for a, b in zip(ours, theirs, strict=True)
        ]
        return torch.stack(distances).mean()

    return term


@hookimpl
def lossbench_loss() -> LossSpec:
    """Feature matching at weight 2."""
    return LossSpec(feature_matching, weight=2.0)
