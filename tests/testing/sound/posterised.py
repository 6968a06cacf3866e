"""Posterised: reduced to a few levels of each channel, translation and source are the same poster."""

from __future__ import annotations

from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor

from lossbench import LossSpec, Term, hookimpl


def posterised(*, levels: Annotated[int, Field(ge=2)] = 5) -> Term:
    """Mean squared difference after rounding to ``levels`` values, straight through; images -> [0, 4]."""

    def poster(image: Tensor) -> Tensor:
        image = image.to(torch.promote_types(image.dtype, torch.float32))
        steps = (levels - 1) / 2
        rounded = (image * steps).round() / steps
        return image + (rounded - image).detach()

    def term(fake: Tensor, real: Tensor) -> Tensor:
        return (poster(fake) - poster(real)).square().mean()

    return term


@hookimpl
def lossbench_loss() -> LossSpec:
    """Posterised at weight 1."""
    reason = "rounding is straight through (Bengio et al., 2013): its gradient is on purpose not that of the value"
    return LossSpec(posterised, checks={"gradcheck": reason})
