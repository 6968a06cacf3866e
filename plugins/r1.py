"""R1: the discriminator is flat at real images, so that training settles."""

from __future__ import annotations

import torch
from pydantic import NonNegativeFloat
from torch import Tensor, nn

from lossbench import Adversary, LossSpec, hookimpl


def r1(*, gamma: NonNegativeFloat = 10.0) -> Adversary:
    """Gradient penalty, ``gamma / 2 mean |grad D(seen_real)|^2`` (Mescheder et al., 2018, eq. 9); discriminator only.

    The gradient is that with respect to what D is shown of real images, [B, C, H, W] in [-1, 1], in a conditional
    recipe the source too; its squares are summed over C, H and W and averaged over B -> scalar from 0 on. With batch
    norm in D an image also has a part in the answers to the others, and its gradient is that of their sum. A patch
    discriminator's value is the mean of its patches, as in ``gan`` wgangp, not their sum: at twice the size it is a
    quarter or less. ``weight`` multiplies it too. It costs one more forward, and a backward of a backward. Too large a
    ``gamma`` leaves the generator without a slope.
    """

    def term(seen_real: Tensor, D: nn.Module) -> Tensor:
        seen = seen_real.detach().requires_grad_()  # the one that others see stays as it is
        answer = D(seen).flatten(1).mean(dim=1).sum()
        (slope,) = torch.autograd.grad(answer, seen, create_graph=True)
        square: Tensor = slope.square().flatten(1).sum(dim=1).mean()
        return gamma / 2 * square

    return Adversary(None, term)


@hookimpl
def lossbench_loss() -> LossSpec:
    """The penalty beside the recipe's adversary."""
    return LossSpec(r1)
