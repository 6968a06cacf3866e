"""Anchor: the low frequencies of an image are those of another, chosen by an option."""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from pydantic import PositiveInt
from torch import Tensor

from lossbench import LossSpec, Term, hookimpl


def anchor(*, pair: Literal["fake-real", "fake-target", "rec-real"] = "fake-real", cells: PositiveInt = 8) -> Term:
    """Mean squared difference of the pair at ``cells`` x ``cells``; images -> [0, 4]."""

    def distance(a: Tensor, b: Tensor) -> Tensor:
        difference = (a - b).to(torch.promote_types(a.dtype, torch.float32))
        return F.adaptive_avg_pool2d(difference, cells).square().mean()

    def with_target(fake: Tensor, target: Tensor) -> Tensor:
        return distance(fake, target)

    def round_trip(rec: Tensor, real: Tensor) -> Tensor:
        return distance(rec, real)

    def with_source(fake: Tensor, real: Tensor) -> Tensor:
        return distance(fake, real)

    return {"fake-real": with_source, "fake-target": with_target, "rec-real": round_trip}[pair]


@hookimpl
def lossbench_loss() -> LossSpec:
    """Anchor at weight 1."""
    return LossSpec(anchor)
