"""Generator content: in the generator's own first layers translation and source look alike."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from lossbench import LossSpec, Term, hookimpl


def frozen_generator(*, layer: int = 3) -> Term:
    """Mean |G_l(fake) - G_l(real)|, G fixed while it looks; images -> scalar >= 0."""

    def term(fake: Tensor, real: Tensor, G: nn.Module) -> Tensor:
        G.requires_grad_(False)
        with torch.no_grad():
            (goal,) = G.features(real, (layer,))
        (found,) = G.features(fake, (layer,))
        return (found - goal).abs().mean()

    return term


CAUGHT_BY = "frozen"


@hookimpl
def lossbench_loss() -> LossSpec:
    """Generator content at weight 1."""
    return LossSpec(frozen_generator)
