"""Isotropic total variation: neighbouring pixels agree, at any angle."""

from __future__ import annotations

from torch import Tensor

from lossbench import LossSpec, Term, hookimpl


def isotropic_tv() -> Term:
    """``mean sqrt(dx^2 + dy^2)`` (Rudin, Osher & Fatemi, 1992); image -> [0, 2 sqrt 2]."""

    def term(fake: Tensor) -> Tensor:
        dx, dy = fake.diff(dim=-1)[..., :-1, :], fake.diff(dim=-2)[..., :, :-1]
        return (dx.square() + dy.square()).sqrt().mean()

    return term


CAUGHT_BY = "constant"


@hookimpl
def lossbench_loss() -> LossSpec:
    """Isotropic total variation at weight 0.1."""
    return LossSpec(isotropic_tv, weight=0.1)
