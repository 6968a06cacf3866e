"""Checkerboard: the four phases of each 2 x 2 block are equally bright, as no deconvolution leaves them."""

from __future__ import annotations

from torch import Tensor

from lossbench import LossSpec, Term, hookimpl


def even_sides() -> Term:
    """Mean squared deviation of phase means from the mean of all; image -> [0, 1]."""

    def term(fake: Tensor) -> Tensor:
        batch, channels, height, width = fake.shape
        blocks = fake.reshape(batch, channels, height // 2, 2, width // 2, 2)
        phases = blocks.mean(dim=(2, 4))
        return (phases - phases.mean(dim=(2, 3), keepdim=True)).square().mean()

    return term


CAUGHT_BY = "sizes"


@hookimpl
def lossbench_loss() -> LossSpec:
    """Checkerboard at weight 10."""
    return LossSpec(even_sides, weight=10.0)
