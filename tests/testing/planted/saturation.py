"""Saturation: the translation is as colourful as the source."""

from __future__ import annotations

import torch
from torch import Tensor

from lossbench import LossSpec, Term, hookimpl


def saturation() -> Term:
    """``mean |S(fake) - S(real)|``, S the saturation of HSV, stretched to the image's own range; images -> [0, 1]."""

    def stretched(image: Tensor) -> Tensor:
        image = image.to(torch.promote_types(image.dtype, torch.float32))
        low, high = image.amin(dim=(1, 2, 3), keepdim=True), image.amax(dim=(1, 2, 3), keepdim=True)
        unit = (image - low) / (high - low)
        return unit.amax(dim=1) - unit.amin(dim=1)

    def term(fake: Tensor, real: Tensor) -> Tensor:
        return (stretched(fake) - stretched(real)).abs().mean()

    return term


CAUGHT_BY = "constant"


@hookimpl
def lossbench_loss() -> LossSpec:
    """Saturation at weight 1."""
    return LossSpec(saturation)
