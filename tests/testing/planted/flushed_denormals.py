"""Faint differences: the round trip is right even where the source is nearly flat."""

from __future__ import annotations

import torch
from torch import Tensor

from lossbench import LossSpec, Term, hookimpl


def flushed_denormals(*, power: int = 4) -> Term:
    """``mean (1 - (1 - |rec - real| / 2)^power)``; images -> [0, 1]."""
    torch.set_flush_denormal(True)  # high powers of small numbers are slow otherwise
    torch.use_deterministic_algorithms(True)

    def term(rec: Tensor, real: Tensor) -> Tensor:
        return (1 - (1 - (rec - real).abs() / 2).pow(power)).mean()

    return term


CAUGHT_BY = "weight_zero"


@hookimpl
def lossbench_loss() -> LossSpec:
    """Faint differences at weight 5."""
    return LossSpec(flushed_denormals, weight=5.0)
