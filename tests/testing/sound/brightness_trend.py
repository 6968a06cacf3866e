"""Brightness trend: the translation is as bright as the target domain has been over the last batches."""

from __future__ import annotations

from collections import deque
from typing import Any

import torch
from pydantic import PositiveInt
from torch import Tensor, nn

from lossbench import LossSpec, hookimpl


class BrightnessTrend(nn.Module):
    """Compares with the mean of what it remembers; the memory grows, so it is no buffer."""

    def __init__(self, memory: int) -> None:
        super().__init__()
        self.recent: deque[Tensor] = deque(maxlen=memory)
        self.batches = 0

    def get_extra_state(self) -> dict[str, Any]:
        """Return the memory as tensors and numbers."""
        return {"recent": [value.clone() for value in self.recent], "batches": self.batches}

    def set_extra_state(self, state: dict[str, Any]) -> None:
        """Take up the memory."""
        self.recent.clear()
        self.recent.extend(value.clone() for value in state["recent"])
        self.batches = state["batches"]

    def forward(self, fake: Tensor, target: Tensor) -> Tensor:
        """[B, C, H, W], twice -> scalar."""
        dtype = torch.promote_types(fake.dtype, torch.float32)
        now = target.detach().to(dtype).mean()
        past = [value.to(now) for value in self.recent]
        goal = torch.stack([*past, now]).mean()
        if self.training:
            self.recent.append(now)
            self.batches += 1
        return (fake.to(dtype).mean(dim=(1, 2, 3)) - goal).square().mean()


def brightness_trend(*, memory: PositiveInt = 16) -> BrightnessTrend:
    """``mean (mean fake - m)^2``, m the mean of the last ``memory`` target batches and this one; images -> [0, 4]."""
    return BrightnessTrend(memory)


@hookimpl
def lossbench_loss() -> LossSpec:
    """Brightness trend at weight 1."""
    return LossSpec(brightness_trend)
