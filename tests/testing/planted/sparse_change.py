"""Sparse change: few pixels change, and those that do may change a lot."""

from __future__ import annotations

from torch import Tensor

from lossbench import LossSpec, Term, hookimpl


def sparse_change(*, power: float = 0.5) -> Term:
    """``mean |fake - real|^power``, below 1 for sparseness; images -> scalar >= 0."""

    def term(fake: Tensor, real: Tensor) -> Tensor:
        return (fake - real).abs().pow(power).mean()

    return term


CAUGHT_BY = "identical"


@hookimpl
def lossbench_loss() -> LossSpec:
    """Sparse change at weight 1."""
    return LossSpec(sparse_change)
