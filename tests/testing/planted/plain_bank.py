"""Colour bank: the mean colour of a translation is near some that the target domain has shown lately."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from lossbench import LossSpec, hookimpl


class ColourBank(nn.Module):
    """Soft distance to the nearest of the last mean colours."""

    def __init__(self, memory: int) -> None:
        super().__init__()
        self.memory = memory
        self.bank: Tensor | None = None

    def forward(self, fake: Tensor, target: Tensor) -> Tensor:
        """[B, C, H, W], twice -> scalar."""
        new = target.detach().mean(dim=(2, 3))
        known = new if self.bank is None else torch.cat([new, self.bank.to(new)])
        if self.training:
            self.bank = known[: self.memory]
        colours = fake.mean(dim=(2, 3))
        distance = (colours[:, None] - known).square().sum(dim=-1)
        return -0.1 * (-10 * distance).logsumexp(dim=1).mean()


def plain_bank(*, memory: int = 64) -> ColourBank:
    """``mean -0.1 log sum exp(-10 |mean fake - colour|^2)``, the last ``memory`` target images; images -> scalar."""
    return ColourBank(memory)


CAUGHT_BY = "state"


@hookimpl
def lossbench_loss() -> LossSpec:
    """Colour bank at weight 1."""
    return LossSpec(plain_bank)
