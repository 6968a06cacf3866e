"""Pyramid: the round trip is right at several scales."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from lossbench import LossSpec, Term, hookimpl


def pyramid(*, distance: Literal["l1", "l2", "huber"] = "l1", levels: tuple[int, ...] = (1, 2, 4)) -> Term:
    """Mean ``distance`` of the images shrunk by each of ``levels``; images -> scalar >= 0, a part for each level."""
    distances: dict[str, Callable[..., Tensor]] = {"l1": F.l1_loss, "l2": F.mse_loss, "huber": F.smooth_l1_loss}
    measure = distances[distance]

    def term(rec: Tensor, real: Tensor) -> dict[str, Tensor]:
        dtype = torch.promote_types(rec.dtype, torch.float32)
        small = min(rec.shape[-2:])
        return {
            f"x{level}": measure(*(F.avg_pool2d(x.to(dtype), min(level, small), ceil_mode=True) for x in (rec, real)))
            for level in levels
        }

    return term


@hookimpl
def lossbench_loss() -> LossSpec:
    """Pyramid at weight 3: about that of the cycle in sum."""
    return LossSpec(pyramid, weight=3.0)
