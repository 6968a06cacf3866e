"""Charbonnier: the round trip comes back; computed in float for safety under mixed precision."""

from __future__ import annotations

from torch import Tensor

from lossbench import LossSpec, Term, hookimpl


def float_everywhere(*, eps: float = 1e-2) -> Term:
    """``mean sqrt((rec - real)^2 + eps^2)``; images -> scalar."""

    def term(rec: Tensor, real: Tensor) -> Tensor:
        return ((rec.float() - real.float()).square() + eps**2).sqrt().mean()

    return term


CAUGHT_BY = "dtype"


@hookimpl
def lossbench_loss() -> LossSpec:
    """Charbonnier at weight 10."""
    return LossSpec(float_everywhere, weight=10.0)
