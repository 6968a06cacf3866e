"""Charbonnier: the round trip comes back, small errors mattering less."""

from __future__ import annotations

from torch import Tensor

from lossbench import LossSpec, Term, hookimpl


def eps_in_term() -> Term:
    """``mean sqrt((rec - real)^2 + eps^2)``; images -> scalar."""

    def term(rec: Tensor, real: Tensor, eps: float = 1e-2) -> Tensor:
        return ((rec - real).square() + eps**2).sqrt().mean()

    return term


CAUGHT_BY = "names"


@hookimpl
def lossbench_loss() -> LossSpec:
    """Charbonnier at weight 10."""
    return LossSpec(eps_in_term, weight=10.0)
