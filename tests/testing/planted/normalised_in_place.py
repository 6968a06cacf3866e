"""Gamma: the translation is a brighter or darker version of the source, compared in [0, 1]."""

from __future__ import annotations

from torch import Tensor

from lossbench import LossSpec, Term, hookimpl


def normalised_in_place(*, gamma: float = 2.0) -> Term:
    """``mean |f^gamma - r^gamma|`` with f and r in [0, 1]; images -> [0, 1]."""

    def term(fake: Tensor, real: Tensor) -> Tensor:
        goal = real.add_(1).div_(2)
        return (((fake + 1) / 2).clamp(0, 1).pow(gamma) - goal.clamp(0, 1).pow(gamma)).abs().mean()

    return term


CAUGHT_BY = "inputs"


@hookimpl
def lossbench_loss() -> LossSpec:
    """Gamma at weight 1."""
    return LossSpec(normalised_in_place)
