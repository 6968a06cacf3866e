"""Few colours: the translation is made of few levels of each channel."""

from __future__ import annotations

import torch
from torch import Tensor

from lossbench import LossSpec, Term, hookimpl


def rounded_colours(*, levels: int = 8) -> Term:
    """Mean squared difference of fake and real on a palette of ``levels`` values a channel; images -> [0, 4]."""

    def palette(image: Tensor) -> Tensor:
        image = image.to(torch.promote_types(image.dtype, torch.float32))
        rounded = (image * levels / 2).round() * 2 / levels
        return image + (rounded - image).detach()

    def term(fake: Tensor, real: Tensor) -> Tensor:
        return (palette(fake) - palette(real)).square().mean()

    return term


CAUGHT_BY = "gradcheck"


@hookimpl
def lossbench_loss() -> LossSpec:
    """Few colours at weight 1."""
    return LossSpec(rounded_colours)
