"""Usual colour: the mean colour of the translation is that of the target images seen lately."""

from __future__ import annotations

from collections import deque

import torch
from torch import Tensor

from lossbench import LossSpec, Term, hookimpl


def closure_memory(*, memory: int = 50) -> Term:
    """``mean |mean(fake) - m|``, m the mean colour of the last target batches; images -> [0, 2]."""
    past: deque[Tensor] = deque(maxlen=memory)

    def term(fake: Tensor, target: Tensor) -> Tensor:
        past.append(target.detach().mean(dim=(0, 2, 3)))
        usual = torch.stack([each.to(fake) for each in past]).mean(dim=0)
        return (fake.mean(dim=(2, 3)) - usual).abs().mean()

    return term


CAUGHT_BY = "repeatable"


@hookimpl
def lossbench_loss() -> LossSpec:
    """Usual colour at weight 1."""
    return LossSpec(closure_memory)
