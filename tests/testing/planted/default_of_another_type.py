"""Sharpness: the slopes of the translation are those of the source."""

from __future__ import annotations

from torch import Tensor

from lossbench import LossSpec, Term, hookimpl


def default_of_another_type(*, power: int = 1.5) -> Term:  # type: ignore[assignment]
    """Mean |slope(fake) - slope(real)|^power along rows; images -> scalar >= 0."""

    def term(fake: Tensor, real: Tensor) -> Tensor:
        return (fake.diff(dim=-1) - real.diff(dim=-1)).abs().pow(power).mean()

    return term


CAUGHT_BY = "options"


@hookimpl
def lossbench_loss() -> LossSpec:
    """Sharpness at weight 1."""
    return LossSpec(default_of_another_type)
