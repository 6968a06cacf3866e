"""Diversity: two translations of a batch differ as much as their sources do."""

from __future__ import annotations

import torch
from torch import Tensor

from lossbench import LossSpec, Term, hookimpl


def unlike_pairs() -> Term:
    """``mean |mean |fake_1 - fake_2| - mean |real_1 - real_2||`` over halves of the batch; images -> [0, 2]."""

    def spread(image: Tensor) -> Tensor:
        first, second = image.to(torch.promote_types(image.dtype, torch.float32)).chunk(2)
        return (first - second).abs().mean(dim=(1, 2, 3))

    def term(fake: Tensor, real: Tensor) -> Tensor:
        return (spread(fake) - spread(real)).abs().mean()

    return term


CAUGHT_BY = "batch"


@hookimpl
def lossbench_loss() -> LossSpec:
    """Diversity at weight 1."""
    return LossSpec(unlike_pairs)
