"""Sky: the upper part of the translation keeps the colours of the source more than the lower part."""

from __future__ import annotations

import torch
from torch import Tensor

from lossbench import LossSpec, Term, hookimpl


def cpu_ramp() -> Term:
    """``mean r |fake - real|``, r from 1 at the top to 0 at the bottom; images -> [0, 1]."""

    def term(fake: Tensor, real: Tensor) -> Tensor:
        ramp = torch.linspace(1, 0, fake.shape[-2], dtype=fake.dtype)
        return ((fake - real).abs() * ramp[:, None]).mean()

    return term


CAUGHT_BY = "device"


@hookimpl
def lossbench_loss() -> LossSpec:
    """Sky at weight 1."""
    return LossSpec(cpu_ramp)
