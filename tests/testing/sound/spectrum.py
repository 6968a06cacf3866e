"""Spectrum: the translation has as much of each spatial frequency as the target."""

from __future__ import annotations

import torch
from torch import Tensor

from lossbench import LossSpec, Term, hookimpl


def spectrum(*, floor: float = 0.01) -> Term:
    """``mean |log(|F fake| + floor) - log(|F target| + floor)|``, F the unitary transform; images -> scalar >= 0."""

    def amplitude(image: Tensor) -> Tensor:
        image = image.to(torch.promote_types(image.dtype, torch.float32))
        return (torch.fft.rfft2(image, norm="ortho").abs() + floor).log()

    def term(fake: Tensor, target: Tensor) -> Tensor:
        return (amplitude(fake) - amplitude(target)).abs().mean()

    return term


@hookimpl
def lossbench_loss() -> LossSpec:
    """Spectrum, a light touch."""
    return LossSpec(spectrum, weight=0.1)
