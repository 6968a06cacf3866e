"""Random crop: a crop of the round trip, at a place drawn anew each step, is right."""

from __future__ import annotations

import numpy as np
from torch import Tensor

from lossbench import LossSpec, Term, hookimpl


def numpy_crop(*, size: int = 8) -> Term:
    """Mean squared error in one crop of at most ``size`` px; images -> [0, 4]."""

    def term(rec: Tensor, real: Tensor) -> Tensor:
        height, width = rec.shape[-2:]
        top = np.random.randint(0, max(1, height - size + 1))
        left = np.random.randint(0, max(1, width - size + 1))
        here = (..., slice(top, top + size), slice(left, left + size))
        return (rec[here] - real[here]).square().mean()

    return term


CAUGHT_BY = "global_random"


@hookimpl
def lossbench_loss() -> LossSpec:
    """Random crop at weight 5."""
    return LossSpec(numpy_crop, weight=5.0)
