"""Coverage: as much of the translation is object as of the source."""

from __future__ import annotations

import torch
from torch import Tensor

from lossbench import LossSpec, Term, hookimpl


def hard_mask(*, threshold: float = 0.0) -> Term:
    """Mean |share of pixels above ``threshold`` in fake - in real|; images -> [0, 1]."""

    def share(image: Tensor) -> Tensor:
        dtype = torch.promote_types(image.dtype, torch.float32)
        return (image.mean(dim=1) > threshold).to(dtype).mean(dim=(1, 2))

    def term(fake: Tensor, real: Tensor) -> Tensor:
        return (share(fake) - share(real)).abs().mean()

    return term


CAUGHT_BY = "gradient"


@hookimpl
def lossbench_loss() -> LossSpec:
    """Coverage at weight 1."""
    return LossSpec(hard_mask)
