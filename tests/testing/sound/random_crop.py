"""Random crop: a crop of the translation, at a place drawn anew each step, resembles that of the source."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from pydantic import PositiveInt
from torch import Generator, Tensor

from lossbench import LossSpec, Term, hookimpl


def random_crop(*, size: PositiveInt = 16, crops: PositiveInt = 2) -> Term:
    """Mean L1 of ``crops`` blurred crops of at most ``size`` px; images -> [0, 2]."""

    def term(fake: Tensor, real: Tensor, rng: Generator) -> Tensor:
        height, width = fake.shape[-2:]
        h, w = min(size, height), min(size, width)
        dtype = torch.promote_types(fake.dtype, torch.float32)
        values = []
        for _ in range(crops):
            top = int(torch.randint(height - h + 1, (), generator=rng, device=rng.device))
            left = int(torch.randint(width - w + 1, (), generator=rng, device=rng.device))
            a, b = (
                F.avg_pool2d(image[..., top : top + h, left : left + w].to(dtype), 3, stride=1)
                for image in (fake, real)
            )
            values.append((a - b).abs().mean())
        return torch.stack(values).mean()

    return term


@hookimpl
def lossbench_loss() -> LossSpec:
    """Random crop at weight 1."""
    return LossSpec(random_crop)
