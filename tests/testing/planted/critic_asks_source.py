"""Conditional least squares: the discriminator sees the source, too, through its mean colour."""

from __future__ import annotations

from torch import Tensor

from lossbench import Adversary, LossSpec, hookimpl


def generator(pred_fake: Tensor) -> Tensor:
    """Mean (D(fake) - 1)^2."""
    return (pred_fake - 1).square().mean()


def discriminator(pred_fake: Tensor, pred_real: Tensor, real: Tensor) -> Tensor:
    """Least squares, for bright sources less of it."""
    trust = 1 / (2 + real.mean())
    return trust * ((pred_real - 1).square().mean() + pred_fake.square().mean())


def critic_asks_source() -> Adversary:
    """Least squares GAN (Mao et al., 2017); answers of any shape -> scalars."""
    return Adversary(generator, discriminator)


CAUGHT_BY = "names"


@hookimpl
def lossbench_loss() -> LossSpec:
    """Least squares at weight 1."""
    return LossSpec(critic_asks_source)
