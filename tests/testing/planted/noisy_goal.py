"""Noisy round trip: it has to come back only up to a little noise, which keeps it from hiding the source."""

from __future__ import annotations

import torch
from torch import Tensor

from lossbench import LossSpec, Term, hookimpl


def noisy_goal(*, sigma: float = 0.05) -> Term:
    """``mean |rec - real - sigma n|``, n Gaussian; images -> scalar >= 0."""

    def term(rec: Tensor, real: Tensor) -> Tensor:
        return (rec - real - sigma * torch.randn_like(real)).abs().mean()

    return term


CAUGHT_BY = "global_random"


@hookimpl
def lossbench_loss() -> LossSpec:
    """Noisy round trip at weight 5."""
    return LossSpec(noisy_goal, weight=5.0)
