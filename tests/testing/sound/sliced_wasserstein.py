"""Sliced Wasserstein: the colours of the translation are distributed as those of the target."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from pydantic import PositiveInt
from torch import Generator, Tensor

from lossbench import LossSpec, Term, hookimpl


def sliced_wasserstein(*, projections: PositiveInt = 8) -> Term:
    """Mean squared difference of sorted colours along random directions (Rabin et al., 2011); images -> [0, 12]."""

    def term(fake: Tensor, target: Tensor, rng: Generator) -> Tensor:
        dtype = torch.promote_types(fake.dtype, torch.float32)
        directions = torch.randn(projections, fake.shape[1], generator=rng, device=rng.device).to(fake.device, dtype)
        directions = F.normalize(directions, dim=1)
        a, b = ((directions @ image.to(dtype).flatten(2)).sort(dim=-1).values for image in (fake, target))
        return (a - b).square().mean()

    return term


@hookimpl
def lossbench_loss() -> LossSpec:
    """Sliced Wasserstein at weight 1."""
    return LossSpec(sliced_wasserstein)
