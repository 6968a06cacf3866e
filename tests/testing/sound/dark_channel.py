"""Dark channel: as hazy as the target, by the darkest colour around each pixel."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from lossbench import LossSpec, Term, hookimpl


def dark_channel(*, window: int = 5) -> Term:
    """``|mean dark(fake) - mean dark(target)| + |mean bright(fake) - mean bright(target)|`` (He et al., 2009).

    Dark is the minimum over channels and a ``window``, bright the maximum; images -> [0, 4].
    """

    def extremes(image: Tensor) -> tuple[Tensor, Tensor]:
        image = image.to(torch.promote_types(image.dtype, torch.float32))
        dark = -F.max_pool2d(-image.amin(dim=1, keepdim=True), window, stride=1, padding=window // 2)
        bright = F.max_pool2d(image.amax(dim=1, keepdim=True), window, stride=1, padding=window // 2)
        return dark.mean(), bright.mean()

    def term(fake: Tensor, target: Tensor) -> Tensor:
        (dark, bright), (dark_target, bright_target) = extremes(fake), extremes(target)
        return (dark - dark_target).abs() + (bright - bright_target).abs()

    return term


@hookimpl
def lossbench_loss() -> LossSpec:
    """Dark channel at weight 1."""
    return LossSpec(dark_channel)
