"""Colour transfer: the mean colour of the translation is that of the target."""

from __future__ import annotations

from torch import Tensor

from lossbench import LossSpec, Term, hookimpl


def misspelt_name() -> Term:
    """``mean |mean(fake) - mean(target)|``; images -> [0, 2]."""

    def term(fake: Tensor, style: Tensor) -> Tensor:
        return (fake.mean(dim=(2, 3)) - style.mean(dim=(2, 3))).abs().mean()

    return term


CAUGHT_BY = "names"


@hookimpl
def lossbench_loss() -> LossSpec:
    """Colour transfer at weight 1."""
    return LossSpec(misspelt_name)
