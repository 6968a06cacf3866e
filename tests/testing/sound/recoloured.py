"""Recoloured: seen through a colour transform of one's own choice, translation and source agree."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from lossbench import LossSpec, Term, hookimpl


def grey(image: Tensor) -> Tensor:
    """Mean of the channels: [B, C, H, W] -> [B, 1, H, W]."""
    return image.mean(dim=1, keepdim=True)


def recoloured(*, transform: Callable[[Tensor], Tensor] | None = None) -> Term:
    """``log cosh`` of the difference, on average, after ``transform``, by itself grey; images -> scalar >= 0."""
    look = transform or grey

    def term(fake: Tensor, real: Tensor) -> Tensor:
        dtype = torch.promote_types(fake.dtype, torch.float32)
        return (look(fake.to(dtype)) - look(real.to(dtype))).cosh().log().mean()

    return term


@hookimpl
def lossbench_loss() -> LossSpec:
    """Recoloured at weight 1."""
    return LossSpec(recoloured)
