"""Smoothness: neighbouring pixels of the translation agree."""

from __future__ import annotations

from torch import Tensor

from lossbench import LossSpec, Term, hookimpl


def positional_option(power: int = 2) -> Term:
    """``mean |dx|^power + mean |dy|^power``; image -> scalar."""

    def term(fake: Tensor) -> Tensor:
        return fake.diff(dim=-1).abs().pow(power).mean() + fake.diff(dim=-2).abs().pow(power).mean()

    return term


CAUGHT_BY = "names"


@hookimpl
def lossbench_loss() -> LossSpec:
    """Smoothness at weight 0.1."""
    return LossSpec(positional_option, weight=0.1)
