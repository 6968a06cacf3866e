"""InfoNCE: of all source images in the batch, a translation is most like its own."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from pydantic import PositiveFloat, PositiveInt
from torch import Tensor

from lossbench import LossSpec, Term, hookimpl


def infonce(*, temperature: PositiveFloat = 0.1, cells: PositiveInt = 4) -> Term:
    """Cross-entropy of cosine similarities between small versions of the images (van den Oord et al., 2018).

    Images -> scalar >= 0, about log B where nothing is told apart. 0 for a batch of one: there are no negatives.
    """

    def embed(image: Tensor) -> Tensor:
        image = image.to(torch.promote_types(image.dtype, torch.float32))
        return F.normalize(F.adaptive_avg_pool2d(image, cells).flatten(1), eps=1e-3)

    def term(fake: Tensor, real: Tensor) -> Tensor:
        logits = embed(fake) @ embed(real).T / temperature
        return F.cross_entropy(logits, torch.arange(len(fake), device=fake.device))

    return term


@hookimpl
def lossbench_loss() -> LossSpec:
    """InfoNCE at weight 1."""
    return LossSpec(infonce)
