"""Average colour: the mean colour of the translation is the running average of the target."""

from __future__ import annotations

import torch
from torch import Tensor

from lossbench import LossSpec, Term, hookimpl


def nonlocal_average(*, decay: float = 0.9) -> Term:
    """``mean |mean(fake) - m|``, m a running average of the target's mean colour; images -> [0, 2]."""
    average: Tensor | None = None

    def term(fake: Tensor, target: Tensor) -> Tensor:
        nonlocal average
        now = target.detach().mean(dim=(0, 2, 3))
        average = now if average is None else torch.lerp(now, average.to(now), decay)
        return (fake.mean(dim=(2, 3)) - average).abs().mean()

    return term


CAUGHT_BY = "repeatable"


@hookimpl
def lossbench_loss() -> LossSpec:
    """Average colour at weight 1."""
    return LossSpec(nonlocal_average)
