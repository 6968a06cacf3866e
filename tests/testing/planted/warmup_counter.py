"""Warm-up: total variation that sets in slowly."""

from __future__ import annotations

from torch import Tensor

from lossbench import LossSpec, Term, hookimpl


def warmup_counter(*, steps: int = 1000) -> Term:
    """Total variation, multiplied by the share of the first ``steps`` calls that is over; image -> [0, 4]."""
    calls = 0

    def term(fake: Tensor) -> Tensor:
        nonlocal calls
        calls += 1
        variation = fake.diff(dim=-1).abs().mean() + fake.diff(dim=-2).abs().mean()
        return min(1.0, calls / steps) * variation

    return term


CAUGHT_BY = "repeatable"


@hookimpl
def lossbench_loss() -> LossSpec:
    """Warm-up at weight 0.1."""
    return LossSpec(warmup_counter, weight=0.1)
