"""Centre of mass: what is bright stays where it was."""

from __future__ import annotations

import torch
from torch import Tensor

from lossbench import LossSpec, Term, hookimpl


def centre_of_mass() -> Term:
    """Squared distance of the centres of mass of fake and real, in px; images -> scalar >= 0."""

    def centre(image: Tensor) -> tuple[Tensor, Tensor]:
        mass = (image.mean(dim=1) + 1).square() + 1e-2
        total = mass.sum(dim=(1, 2))
        y = torch.arange(image.shape[-2], device=image.device, dtype=image.dtype)
        x = torch.arange(image.shape[-1], device=image.device, dtype=image.dtype)
        return (mass * y[:, None]).sum(dim=(1, 2)) / total, (mass * x).sum(dim=(1, 2)) / total

    def term(fake: Tensor, real: Tensor) -> Tensor:
        (y, x), (y_real, x_real) = centre(fake), centre(real)
        return ((y - y_real).square() + (x - x_real).square()).mean()

    return term


CAUGHT_BY = "bf16"


@hookimpl
def lossbench_loss() -> LossSpec:
    """Centre of mass at weight 0.1."""
    return LossSpec(centre_of_mass, weight=0.1)
