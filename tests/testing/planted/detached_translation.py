"""Content: the translation keeps the small version of the source; the source is only a goal, without gradient."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from lossbench import LossSpec, Term, hookimpl


def detached_translation(*, cells: int = 8) -> Term:
    """Mean |small(real) - small(fake)|; images -> [0, 2]."""

    def term(real: Tensor, fake: Tensor) -> Tensor:
        goal = F.adaptive_avg_pool2d(fake, cells).detach()
        return (F.adaptive_avg_pool2d(real, cells) - goal).abs().mean()

    return term


CAUGHT_BY = "gradient"


@hookimpl
def lossbench_loss() -> LossSpec:
    """Content at weight 1."""
    return LossSpec(detached_translation)
