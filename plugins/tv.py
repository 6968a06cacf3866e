"""Total variation: neighbouring pixels agree."""

from __future__ import annotations

from typing import Literal

from torch import Tensor

from lossbench import LossSpec, Term, hookimpl


def tv(*, power: Literal[1, 2] = 1) -> Term:
    """Anisotropic total variation (Rudin, Osher & Fatemi, 1992): ``mean |dx|^power + mean |dy|^power``.

    ``power`` 1 keeps edges, 2 blurs them (Mahendran & Vedaldi, 2015). Image [B, C, H, W] in [-1, 1] -> scalar in
    [0, 2^(power+1)]. Means, not sums: but a smooth image at twice the size has half the differences.
    """

    def term(fake: Tensor) -> Tensor:
        dx, dy = fake.diff(dim=-1).abs(), fake.diff(dim=-2).abs()
        return dx.pow(power).mean() + dy.pow(power).mean()

    return term


@hookimpl
def lossbench_loss() -> LossSpec:
    """Total variation, a light touch."""
    return LossSpec(tv, weight=0.1)
