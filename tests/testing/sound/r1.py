"""R1: the discriminator is flat around real images."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from lossbench import Adversary, LossSpec, hookimpl


def r1() -> Adversary:
    """``mean |grad D(real)|^2 / 2`` (Mescheder et al., 2018); a discriminator's side only."""

    def term(seen_real: Tensor, D: nn.Module) -> Tensor:
        image = seen_real.detach().requires_grad_()
        answer = D(image).flatten(1).mean(dim=1).sum()
        (slope,) = torch.autograd.grad(answer, image, create_graph=True)
        return slope.flatten(1).square().sum(dim=1).mean() / 2

    return Adversary(None, term)


@hookimpl
def lossbench_loss() -> LossSpec:
    """R1 as in StyleGAN, gamma 10."""
    return LossSpec(r1, weight=10.0)
