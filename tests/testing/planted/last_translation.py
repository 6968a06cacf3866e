"""Novelty: a translation differs from the last batch's, so that the generator does not collapse."""

from __future__ import annotations

from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn

from lossbench import LossSpec, hookimpl


class Novelty(nn.Module):
    """Similarity of the mean layout to that of the step before."""

    def __init__(self, cells: int) -> None:
        super().__init__()
        self.cells = cells
        self.last: Tensor | None = None

    def get_extra_state(self) -> dict[str, Any]:
        """Return the last layout."""
        return {} if self.last is None else {"last": self.last.detach().clone()}

    def set_extra_state(self, state: dict[str, Any]) -> None:
        """Take up the last layout."""
        self.last = state.get("last")

    def forward(self, fake: Tensor) -> Tensor:
        """[B, C, H, W] -> scalar."""
        layout = F.adaptive_avg_pool2d(fake, self.cells).mean(dim=0).flatten()
        other = layout.new_zeros(layout.shape) if self.last is None else self.last.to(layout)
        if self.training:
            self.last = layout
        return (-(layout - other).square().mean()).exp()


def last_translation(*, cells: int = 4) -> Novelty:
    """``exp(-mean (l - l')^2)``, l and l' the mean small translations of this step and the last; image -> (0, 1]."""
    return Novelty(cells)


CAUGHT_BY = "steps"


@hookimpl
def lossbench_loss() -> LossSpec:
    """Novelty at weight 0.5."""
    return LossSpec(last_translation, weight=0.5)
