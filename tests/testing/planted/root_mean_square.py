"""Root mean square: the round trip comes back, in the units of the images."""

from __future__ import annotations

from torch import Tensor

from lossbench import LossSpec, Term, hookimpl


def root_mean_square() -> Term:
    """``mean sqrt(mean (rec - real)^2)`` over the batch; images -> [0, 2]."""

    def term(rec: Tensor, real: Tensor) -> Tensor:
        return (rec - real).square().mean(dim=(1, 2, 3)).sqrt().mean()

    return term


CAUGHT_BY = "identical"


@hookimpl
def lossbench_loss() -> LossSpec:
    """Root mean square at weight 5."""
    return LossSpec(root_mean_square, weight=5.0)
