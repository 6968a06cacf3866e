"""Random projections: colours along directions drawn from a generator with a seed are distributed as the target's."""

from __future__ import annotations

import torch
from torch import Tensor

from lossbench import LossSpec, Term, hookimpl


def going_generator(*, projections: int = 4, seed: int = 0) -> Term:
    """Mean |sorted colours of fake - of target| along random directions; images -> scalar >= 0."""
    generator = torch.Generator().manual_seed(seed)

    def term(fake: Tensor, target: Tensor) -> Tensor:
        directions = torch.randn(projections, fake.shape[1], generator=generator, device=generator.device).to(fake)
        a, b = ((directions @ image.flatten(2)).sort(dim=-1).values for image in (fake, target))
        return (a - b).abs().mean()

    return term


CAUGHT_BY = "repeatable"


@hookimpl
def lossbench_loss() -> LossSpec:
    """Random projections at weight 1."""
    return LossSpec(going_generator)
