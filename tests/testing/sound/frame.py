"""Frame: the outermost pixels stay as they are; the middle is free."""

from __future__ import annotations

import torch
from pydantic import PositiveInt
from torch import Tensor

from lossbench import LossSpec, Term, hookimpl


def frame(*, width: PositiveInt = 2) -> Term:
    """Mean |fake - real| over a border of ``width`` px; images -> [0, 2]. No gradient reaches the middle."""

    def term(fake: Tensor, real: Tensor) -> Tensor:
        difference = (fake - real).to(torch.promote_types(fake.dtype, torch.float32)).abs()
        sides = (
            difference[..., :width, :],
            difference[..., -width:, :],
            difference[..., :width],
            difference[..., -width:],
        )
        return torch.stack([side.mean() for side in sides]).mean()

    return term


@hookimpl
def lossbench_loss() -> LossSpec:
    """Frame at weight 1."""
    return LossSpec(frame)
