"""Radial spectrum: as much of each frequency, in rings, as in the target."""

from __future__ import annotations

import torch
from torch import Tensor

from lossbench import LossSpec, Term, hookimpl


def radial_spectrum(*, rings: int = 8) -> Term:
    """Mean |log energy(fake) - log energy(target)| of rings of the spectrum; images -> scalar >= 0."""

    def energy(image: Tensor) -> Tensor:
        image = image.to(torch.promote_types(image.dtype, torch.float32)).mean(dim=1)
        size = image.shape[-1]
        power = torch.fft.fft2(image, norm="ortho").abs().square()
        frequency = torch.fft.fftfreq(size, device=image.device, dtype=image.dtype)
        radius = (frequency[:, None].square() + frequency[None, :].square()).sqrt()
        ring = (radius / 0.71 * rings).long().flatten()
        sums = power.new_zeros(len(power), rings).index_add(1, ring, power.reshape(len(power), size * size))
        return (sums + 1e-3).log()

    def term(fake: Tensor, target: Tensor) -> Tensor:
        return (energy(fake) - energy(target)).abs().mean()

    return term


CAUGHT_BY = "sizes"


@hookimpl
def lossbench_loss() -> LossSpec:
    """Radial spectrum at weight 0.5."""
    return LossSpec(radial_spectrum, weight=0.5)
