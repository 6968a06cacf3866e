"""Random pixels: some pixels of the round trip, drawn anew each step, are right; cheap at any size."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from lossbench import LossSpec, Term, hookimpl


def fresh_generator(*, count: int = 64) -> Term:
    """Mean |rec - real| at ``count`` places; images -> [0, 2]."""

    def term(rec: Tensor, real: Tensor) -> Tensor:
        draws = np.random.default_rng()  # a generator of its own, away from the global one
        where = torch.as_tensor(draws.integers(rec[0, 0].numel(), size=count), device=rec.device)
        return (rec.flatten(2)[..., where] - real.flatten(2)[..., where]).abs().mean()

    return term


CAUGHT_BY = "repeatable"


@hookimpl
def lossbench_loss() -> LossSpec:
    """Random pixels at weight 5."""
    return LossSpec(fresh_generator, weight=5.0)
