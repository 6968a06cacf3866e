"""LeCam: a hinge game in which the discriminator stays near its own past answers."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lossbench import Adversary, LossSpec, hookimpl


def generator(pred_fake: Tensor) -> Tensor:
    """-mean D(fake)."""
    return -pred_fake.mean()


class Critic(nn.Module):
    """Hinge, and the distance to the running means of the answers to the other kind."""

    means: Tensor  # of fake, of real

    def __init__(self, strength: float, decay: float) -> None:
        super().__init__()
        self.strength = strength
        self.decay = decay
        self.register_buffer("means", torch.zeros(2))

    def forward(self, pred_fake: Tensor, pred_real: Tensor) -> dict[str, Tensor]:
        """Answers of any shape -> scalars."""
        fake, real = (x.to(self.means.dtype) for x in (pred_fake, pred_real))
        of_fake, of_real = self.means.clone().unbind()
        hinge = F.relu(1 - real).mean() + F.relu(1 + fake).mean()
        near = (real - of_fake).square().mean() + (fake - of_real).square().mean()
        if self.training:
            now = torch.stack([fake.detach().mean(), real.detach().mean()])
            self.means.lerp_(now, 1 - self.decay)
        return {"hinge": hinge, "lecam": self.strength * near}


def lecam(*, strength: float = 0.1, decay: float = 0.99) -> Adversary:
    """Hinge GAN with the LeCam regulariser (Tseng et al., 2021); two critic steps for each of the generators."""
    return Adversary(generator, Critic(strength, decay), critic_steps=2)


@hookimpl
def lossbench_loss() -> LossSpec:
    """LeCam at weight 1."""
    return LossSpec(lecam)
