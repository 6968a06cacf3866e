"""Charbonnier: the round trip comes back to where it began, smoothly near zero."""

from pydantic import PositiveFloat
from torch import Tensor

from lossbench import LossSpec, Term, hookimpl


def charbonnier(*, eps: PositiveFloat = 1e-3) -> Term:
    """``mean sqrt((rec - real)^2 + eps^2)`` (Charbonnier et al., 1994), means over pixels.

    Images [B, C, H, W] in [-1, 1] -> scalar in [eps, sqrt(4 + eps^2)]. Quadratic below eps, L1 above.
    """

    def term(rec: Tensor, real: Tensor) -> Tensor:
        return ((rec - real).square() + eps**2).sqrt().mean()

    return term


@hookimpl
def lossbench_loss() -> LossSpec:
    """Charbonnier at weight 10, that of cycle."""
    return LossSpec(charbonnier, weight=10.0)
