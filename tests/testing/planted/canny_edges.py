"""Canny: the translation has its edges where the source has them."""

from __future__ import annotations

import cv2
import numpy as np
import torch
from torch import Tensor

from lossbench import LossSpec, Term, hookimpl


def canny_edges(*, low: float = 100.0, high: float = 200.0) -> Term:
    """Mean squared difference of edge maps (Canny, 1986); images -> [0, 1]."""

    def edges(image: Tensor) -> Tensor:
        grey = (image.detach().float().mean(dim=1) + 1) * 127.5
        maps = [cv2.Canny(one, low, high) for one in grey.clamp(0, 255).cpu().numpy().astype(np.uint8)]
        return torch.from_numpy(np.stack(maps)).to(image) / 255

    def term(fake: Tensor, real: Tensor) -> Tensor:
        return (edges(fake) - edges(real)).square().mean()

    return term


CAUGHT_BY = "gradient"


@hookimpl
def lossbench_loss() -> LossSpec:
    """Canny at weight 1."""
    return LossSpec(canny_edges)
