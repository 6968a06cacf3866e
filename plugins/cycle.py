"""Cycle consistency: the round trip comes back to where it began."""

from __future__ import annotations

from torch import Tensor

from lossbench import LossSpec, Term, hookimpl


def cycle() -> Term:
    """L1 of the round trip, ``mean |G_inverse(G(real)) - real|`` (Zhu et al., 2017, eq. 2).

    Images [B, C, H, W] in [-1, 1] -> scalar in [0, 2], a mean, so it does not depend on the resolution. It says
    nothing of the translation itself: G may hide the input in it (Chu et al., 2017).
    """

    def term(real: Tensor, rec: Tensor) -> Tensor:
        return (rec - real).abs().mean()

    return term


@hookimpl
def lossbench_loss() -> LossSpec:
    """Cycle consistency, weight 10 as in the paper."""
    return LossSpec(cycle, weight=10.0)
