"""Scales: the round trip is right at several scales, the coarsest counting most."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from lossbench import LossSpec, Term, hookimpl


def consumed_list(*, scales: list[int] = [4, 2, 1]) -> Term:  # noqa: B006
    """L1 at the first of ``scales``, and half of the mean of the others; images -> scalar >= 0."""
    first = scales.pop(0)

    def term(rec: Tensor, real: Tensor) -> Tensor:
        difference = rec - real
        value = F.avg_pool2d(difference, first).abs().mean()
        for scale in scales:
            value = value + 0.5 / len(scales) * F.avg_pool2d(difference, scale).abs().mean()
        return value

    return term


CAUGHT_BY = "options"


@hookimpl
def lossbench_loss() -> LossSpec:
    """Scales at weight 5."""
    return LossSpec(consumed_list, weight=5.0)
