"""Round trip, in the Frobenius norm: each image comes back."""

from __future__ import annotations

from torch import Tensor

from lossbench import LossSpec, Term, hookimpl


def sum_over_batch() -> Term:
    """Squared error by pixel and channel; images -> [0, 4]."""

    def term(rec: Tensor, real: Tensor) -> Tensor:
        return (rec - real).square().sum() / rec[0].numel()

    return term


CAUGHT_BY = "batch"


@hookimpl
def lossbench_loss() -> LossSpec:
    """Round trip at weight 5."""
    return LossSpec(sum_over_batch, weight=5.0)
