"""Luma and chroma: structure from the source, colour from the target, reported apart."""

from __future__ import annotations

import torch
from torch import Tensor

from lossbench import LossSpec, Term, hookimpl


def luma_chroma(*, colour: float = 0.5) -> Term:
    """``luma``: mean |Y(fake) - Y(real)|; ``chroma``: ``colour`` * mean |mean UV(fake) - mean UV(target)|."""

    def split(image: Tensor) -> tuple[Tensor, Tensor]:
        r, g, b = image.to(torch.promote_types(image.dtype, torch.float32)).unbind(dim=1)
        y = 0.299 * r + 0.587 * g + 0.114 * b
        return y, torch.stack([b - y, r - y], dim=1).mean(dim=(2, 3))

    def term(fake: Tensor, real: Tensor, target: Tensor) -> dict[str, Tensor]:
        (y, uv), (y_real, _), (_, uv_target) = split(fake), split(real), split(target)
        return {"luma": (y - y_real).abs().mean(), "chroma": colour * (uv - uv_target).abs().mean()}

    return term


@hookimpl
def lossbench_loss() -> LossSpec:
    """Luma and chroma at weight 1."""
    return LossSpec(luma_chroma)
