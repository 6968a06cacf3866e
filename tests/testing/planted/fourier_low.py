"""Low frequencies: the translation has the large shapes of the source, whatever their details."""

from __future__ import annotations

import torch
from torch import Tensor

from lossbench import LossSpec, Term, hookimpl


def fourier_low(*, keep: int = 4) -> Term:
    """Mean |F(fake) - F(real)|^2 over the lowest ``keep`` frequencies each way; images -> scalar >= 0."""

    def term(fake: Tensor, real: Tensor) -> Tensor:
        spectrum = torch.fft.rfft2(fake - real, norm="ortho")
        return spectrum[..., :keep, :keep].abs().square().mean()

    return term


CAUGHT_BY = "bf16"


@hookimpl
def lossbench_loss() -> LossSpec:
    """Low frequencies at weight 1."""
    return LossSpec(fourier_low)
