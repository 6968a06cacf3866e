"""Relativistic average: a real image looks more real than the translations do on average, and the other way round."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from lossbench import Adversary, LossSpec, hookimpl


def relativistic_discriminator(pred_fake: Tensor, pred_real: Tensor) -> Tensor:
    """Real above the mean of fake, fake below the mean of real."""
    real, fake = pred_real - pred_fake.mean(), pred_fake - pred_real.mean()
    return (F.softplus(-real).mean() + F.softplus(fake).mean()) / 2


def relativistic_generator(pred_fake: Tensor, pred_real: Tensor) -> Tensor:
    """The same, exchanged."""
    return relativistic_discriminator(pred_real, pred_fake)


def relativistic() -> Adversary:
    """Relativistic average GAN (Jolicoeur-Martineau, 2018); answers of any shape -> scalars."""
    return Adversary(relativistic_generator, relativistic_discriminator)


@hookimpl
def lossbench_loss() -> LossSpec:
    """Relativistic at weight 1."""
    return LossSpec(relativistic)
