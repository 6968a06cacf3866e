"""A pool of earlier translations, so that the discriminator does not forget them (Shrivastava et al., 2017)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Generator, Tensor


class Pool:
    """Keeps up to ``size`` images as the discriminator was shown them; with 0, what comes in goes out.

    An exchange counts once it is committed, so a step that failed can be computed again.
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self.kept: list[Tensor] = []
        self.next: list[Tensor] = []

    def exchange(self, images: Tensor, rng: Generator) -> Tensor:
        """[B, C, H, W] -> the same shape: each image itself, or, once the pool is full, at even odds an earlier one."""
        self.next = list(self.kept)
        return torch.stack([self._one(image, rng) for image in images.detach()]) if self.size else images.detach()

    def commit(self) -> None:
        """Keep what the last exchange took in."""
        self.kept = self.next

    def fill(self, images: Sequence[Tensor]) -> None:
        """Start from images that another pool kept."""
        self.kept = self.next = list(images)

    def _one(self, image: Tensor, rng: Generator) -> Tensor:
        if len(self.next) < self.size:
            self.next.append(image.clone())
            return image
        if torch.rand((), generator=rng) < 0.5:
            return image
        place = int(torch.randint(self.size, (), generator=rng))
        earlier, self.next[place] = self.next[place], image.clone()
        return earlier
