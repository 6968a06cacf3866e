"""Edges: the translation has its edges where the source has them."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lossbench import LossSpec, hookimpl


class SobelEdges(nn.Module):
    """L1 of Sobel magnitudes."""

    kernels: Tensor  # [2, 1, 3, 3]

    def __init__(self, eps: float) -> None:
        super().__init__()
        self.eps = eps
        across = torch.tensor([[-1.0, 0.0, 1.0], [-2.0, 0.0, 2.0], [-1.0, 0.0, 1.0]]) / 8
        self.register_buffer("kernels", torch.stack([across, across.T]).unsqueeze(1), persistent=False)

    def edges(self, image: Tensor) -> Tensor:
        """[B, C, H, W] -> [B, 1, H - 2, W - 2]."""
        slopes = F.conv2d(image.to(self.kernels.dtype).mean(dim=1, keepdim=True), self.kernels)
        return (slopes.square().sum(dim=1, keepdim=True) + self.eps).sqrt()

    def forward(self, fake: Tensor, real: Tensor) -> Tensor:
        """[B, C, H, W], twice -> scalar."""
        return (self.edges(fake) - self.edges(real)).abs().mean()


def sobel_edges(*, eps: float = 1e-6) -> SobelEdges:
    """Mean |S(fake) - S(real)|, S the Sobel magnitude of the grey image; images -> [0, 2]."""
    return SobelEdges(eps)


@hookimpl
def lossbench_loss() -> LossSpec:
    """Edges at weight 1."""
    return LossSpec(sobel_edges)
