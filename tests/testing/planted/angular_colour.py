"""Angular error: the colour of each pixel of the identity points the same way as that of the target."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from lossbench import LossSpec, Term, hookimpl


def angular_colour() -> Term:
    """Mean angle between colours, from black, in radians (Finlayson & Zakizadeh, 2014); images -> [0, pi / 2]."""

    def term(idt: Tensor, target: Tensor) -> Tensor:
        dtype = torch.promote_types(idt.dtype, torch.float32)
        cosine = F.cosine_similarity(idt.to(dtype) + 1.1, target.to(dtype) + 1.1, dim=1)
        return torch.acos(cosine).mean()

    return term


CAUGHT_BY = "identical"


@hookimpl
def lossbench_loss() -> LossSpec:
    """Angular error at weight 1."""
    return LossSpec(angular_colour)
