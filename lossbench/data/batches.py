"""Training batches: order, crop and flip as functions of (seed, step, domain)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from lossbench import rng
from lossbench.data.images import read_images, shorter
from lossbench.errors import DataError, printable

ROOM = 0.2  # of a GPU's free memory, that each domain may take


class Batches:
    """``batches[step]`` -> domain -> [B, C, size, size] in [-1, 1].

    Every domain is shuffled anew on each pass over it. Paired domains share order, crop and flip. On a GPU images lie
    there as bytes, all of them where they fit, and are cut and brought to their range there.
    """

    def __init__(
        self,
        images: Mapping[str, Tensor],
        *,
        batch: int,
        size: int,
        flip: bool,
        paired: bool,
        seed: int,
        device: str | torch.device = "cpu",
    ) -> None:
        self.device = torch.device(device)
        self.images = {domain: _resident(each, self.device) for domain, each in images.items()}
        self.batch = batch
        self.size = size
        self.flip = flip
        self.paired = paired
        self.seed = seed
        self._orders: dict[tuple[str, int], Tensor] = {}

    def __getitem__(self, step: int) -> dict[str, Tensor]:
        return {domain: to_tensor(self._there(self._cut(domain, step))) for domain in self.images}

    def _there(self, images: Tensor) -> Tensor:
        """Return images on the device; the copy is under way while the next is cut."""
        if self.device.type != "cuda" or images.is_cuda:
            return images
        return images.pin_memory().to(self.device, non_blocking=True)

    def _cut(self, domain: str, step: int) -> Tensor:
        images, who = self.images[domain], "pair" if self.paired else domain
        draw = rng.stream(self.seed, step, "crop", who)
        room = images.shape[-1] - self.size
        cut = []
        for position in range(step * self.batch, (step + 1) * self.batch):
            top, left = torch.randint(room + 1, (2,), generator=draw).tolist()
            mirrored = bool(torch.randint(2, (1,), generator=draw)) and self.flip
            image = images[self._index(who, len(images), position), :, top : top + self.size, left : left + self.size]
            cut.append(image.flip(-1) if mirrored else image)
        return torch.stack(cut)

    def _index(self, who: str, count: int, position: int) -> int:
        turn, place = divmod(position, count)
        if (who, turn) not in self._orders:
            self._orders = {key: order for key, order in self._orders.items() if key[0] != who or key[1] == turn - 1}
            self._orders[who, turn] = torch.randperm(count, generator=rng.stream(self.seed, turn, "order", who))
        return int(self._orders[who, turn][place])


def _resident(images: Tensor, device: torch.device) -> Tensor:
    """Return images on a GPU if they leave room for everything else."""
    if device.type != "cuda" or images.nbytes > ROOM * torch.cuda.mem_get_info(device)[0]:
        return images
    return images.to(device)


def read_image(path: str | Path, size: int | None = None) -> Tensor:
    """Return an image file as float32 [1, 3, H, W] in [-1, 1]; with ``size``, its shorter side brought to so many px.

    Raises:
        DataError: it is no image, or cannot be read.
    """
    images, bad = read_images([Path(path)])
    for reason in bad.values():
        raise DataError(f"{printable(str(path))}: {reason}. Name another image.")
    pixels = images[0] if size is None else shorter(images[0], size)
    return to_tensor(torch.from_numpy(pixels).permute(2, 0, 1)[None])


def to_tensor(images: Tensor) -> Tensor:
    """uint8 in 0..255 -> float32 in [-1, 1]."""
    return images.float().div_(127.5).sub_(1)


def to_uint8(images: Tensor) -> Tensor:
    """Float in [-1, 1] -> uint8 in 0..255, rounded, on the CPU."""
    return images.detach().float().clamp(-1, 1).add(1).mul(127.5).round().to("cpu", torch.uint8)
