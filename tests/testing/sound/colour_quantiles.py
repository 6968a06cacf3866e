"""Colour quantiles: shadows, middle tones and lights are those of the target."""

from __future__ import annotations

import torch
from torch import Tensor

from lossbench import LossSpec, Term, hookimpl


def colour_quantiles(*, at: tuple[float, ...] = (0.1, 0.5, 0.9)) -> Term:
    """Mean |quantiles of fake - quantiles of target|, each channel of each image; images -> [0, 2]."""

    def term(fake: Tensor, target: Tensor) -> Tensor:
        dtype = torch.promote_types(fake.dtype, torch.float32)
        levels = torch.tensor(at, device=fake.device, dtype=dtype)
        a, b = (torch.quantile(image.to(dtype).flatten(2), levels, dim=-1) for image in (fake, target))
        return (a - b).abs().mean()

    return term


@hookimpl
def lossbench_loss() -> LossSpec:
    """Colour quantiles at weight 1."""
    return LossSpec(colour_quantiles)
