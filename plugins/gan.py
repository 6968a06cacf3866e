"""Adversarial: the discriminator cannot tell a translation from an image of the target domain."""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from pydantic import PositiveInt
from torch import Generator, Tensor, nn

from lossbench import Adversary, LossSpec, Term, hookimpl


def lsgan_generator(pred_fake: Tensor) -> Tensor:
    """Least squares, mean (D(fake) - 1)^2."""
    return (pred_fake - 1).square().mean()


def lsgan_discriminator(pred_fake: Tensor, pred_real: Tensor) -> Tensor:
    """Least squares, half of mean (D(real) - 1)^2 + mean D(fake)^2."""
    return ((pred_real - 1).square().mean() + pred_fake.square().mean()) / 2


def vanilla_generator(pred_fake: Tensor) -> Tensor:
    """Non-saturating, -mean log sigmoid(D(fake))."""
    return F.softplus(-pred_fake).mean()


def vanilla_discriminator(pred_fake: Tensor, pred_real: Tensor) -> Tensor:
    """Half of the binary cross-entropies of real and fake."""
    return (F.softplus(-pred_real).mean() + F.softplus(pred_fake).mean()) / 2


def minimax_generator(pred_fake: Tensor) -> Tensor:
    """As the paper writes it, mean log(1 - sigmoid(D(fake))); no gradient where D is sure."""
    return -F.softplus(pred_fake).mean()


def critic_generator(pred_fake: Tensor) -> Tensor:
    """-mean D(fake)."""
    return -pred_fake.mean()


def hinge_discriminator(pred_fake: Tensor, pred_real: Tensor) -> Tensor:
    """Mean max(0, 1 - D(real)) + mean max(0, 1 + D(fake))."""
    return F.relu(1 - pred_real).mean() + F.relu(1 + pred_fake).mean()


def wgangp_discriminator(penalty: float) -> Term:
    """Wasserstein distance with the penalty of the gradient on lines between real and fake."""

    def term(
        pred_fake: Tensor, pred_real: Tensor, seen_fake: Tensor, seen_real: Tensor, D: nn.Module, rng: Generator
    ) -> Tensor:
        along = torch.rand(len(seen_real), 1, 1, 1, generator=rng, device=rng.device).to(seen_real)
        between = (along * seen_real + (1 - along) * seen_fake).requires_grad_()
        critic = D(between).flatten(1).mean(dim=1).sum()  # a patch critic's value is the mean of its patches
        (slope,) = torch.autograd.grad(critic, between, create_graph=True)
        unit_slope: Tensor = (slope.flatten(1).norm(dim=1) - 1).square().mean()
        return pred_fake.mean() - pred_real.mean() + penalty * unit_slope

    return term


def gan(
    *,
    mode: Literal["lsgan", "vanilla", "minimax", "hinge", "wgangp"] = "lsgan",
    penalty: float = 10.0,
    critic_steps: PositiveInt | None = None,
) -> Adversary:
    """Adversarial loss, ``G: mean (D(fake) - 1)^2; D: (mean (D(real) - 1)^2 + mean D(fake)^2) / 2`` in mode ``lsgan``.

    The discriminator's answers have any shape -> scalars. ``mode``: ``lsgan`` (Mao et al., 2017), ``vanilla`` and
    ``minimax`` (Goodfellow et al., 2014: the form they train and the form they write), ``hinge`` (Lim & Ye, 2017),
    ``wgangp`` (Gulrajani et al., 2017) with its gradient ``penalty``. ``critic_steps``: discriminator steps for
    each generator step, by itself 5 for wgangp, else 1. The discriminator's side of lsgan, vanilla and minimax is
    halved, as CycleGAN does.
    """
    generator, discriminator = {
        "lsgan": (lsgan_generator, lsgan_discriminator),
        "vanilla": (vanilla_generator, vanilla_discriminator),
        "minimax": (minimax_generator, vanilla_discriminator),
        "hinge": (critic_generator, hinge_discriminator),
        "wgangp": (critic_generator, wgangp_discriminator(penalty)),
    }[mode]
    return Adversary(generator, discriminator, critic_steps or (5 if mode == "wgangp" else 1))


@hookimpl
def lossbench_loss() -> LossSpec:
    """Least squares by itself, as in CycleGAN."""
    return LossSpec(gan, weight=1.0)
