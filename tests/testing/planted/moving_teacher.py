"""Mean teacher: a trained 1 x 1 projection, compared with its own running mean."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from lossbench import LossSpec, hookimpl


def projection(width: int) -> nn.Sequential:
    """[B, 3, H, W] -> [B, width, H, W]."""
    return nn.Sequential(nn.Conv2d(3, width, 1), nn.Tanh(), nn.Conv2d(width, width, 1))


class MeanTeacher(nn.Module):
    """Student on the translation, teacher on the source."""

    def __init__(self, width: int, decay: float) -> None:
        super().__init__()
        self.decay = decay
        self.student = projection(width)
        self.teacher = projection(width).requires_grad_(False)

    def forward(self, fake: Tensor, real: Tensor) -> Tensor:
        """[B, C, H, W], twice -> scalar."""
        dtype = next(self.student.parameters()).dtype
        value = (self.student(fake.to(dtype)) - self.teacher(real.to(dtype)).detach()).square().mean()
        if self.training:
            with torch.no_grad():
                for old, new in zip(self.teacher.parameters(), self.student.parameters(), strict=True):
                    old.lerp_(new, 1 - self.decay)
        return value


def moving_teacher(*, width: int = 8, decay: float = 0.99) -> MeanTeacher:
    """``mean (student(fake) - teacher(real))^2`` (Tarvainen & Valpola, 2017); images -> scalar >= 0."""
    return MeanTeacher(width, decay)


CAUGHT_BY = "frozen"


@hookimpl
def lossbench_loss() -> LossSpec:
    """Mean teacher at weight 1."""
    return LossSpec(moving_teacher)
