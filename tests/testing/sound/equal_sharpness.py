"""Equal sharpness: what is lost in one direction is not made up in the other."""

from __future__ import annotations

import torch
from torch import Tensor

from lossbench import LossSpec, Term, hookimpl


def equal_sharpness() -> Term:
    """``(s(fake) + s(other_real) - s(other_fake) - s(real))^2 / 2``, s the mean squared slope; both directions."""

    def slope(image: Tensor) -> Tensor:
        image = image.to(torch.promote_types(image.dtype, torch.float32))
        return image.diff(dim=-1).square().mean() + image.diff(dim=-2).square().mean()

    def term(fake: Tensor, real: Tensor, other_fake: Tensor, other_real: Tensor) -> Tensor:
        gained = slope(fake) - slope(real)
        gained_back = slope(other_fake) - slope(other_real)
        return (gained - gained_back).square() / 2

    return term


@hookimpl
def lossbench_loss() -> LossSpec:
    """Equal sharpness at weight 1."""
    return LossSpec(equal_sharpness)
