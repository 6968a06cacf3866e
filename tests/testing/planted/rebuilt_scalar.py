"""Worst of three: only the image statistic that is furthest off counts."""

from __future__ import annotations

from torch import Tensor

from lossbench import LossSpec, Term, hookimpl


def rebuilt_scalar() -> Term:
    """The largest difference of mean, contrast and slope between fake and target; images -> scalar."""

    def term(fake: Tensor, target: Tensor) -> Tensor:
        parts = [
            (fake.mean() - target.mean()).abs(),
            (fake.square().mean() - target.square().mean()).abs(),
            (fake.diff(dim=-1).abs().mean() - target.diff(dim=-1).abs().mean()).abs(),
        ]
        worst = max(part.item() for part in parts)
        return fake.new_full((), worst, requires_grad=True)

    return term


CAUGHT_BY = "gradient"


@hookimpl
def lossbench_loss() -> LossSpec:
    """Worst of three at weight 1."""
    return LossSpec(rebuilt_scalar)
