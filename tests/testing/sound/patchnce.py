"""PatchNCE: a patch of the translation is most like the patch of the source at the same place."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from pydantic import PositiveFloat, PositiveInt
from torch import Generator, Tensor, nn

from lossbench import LossSpec, hookimpl


class PatchNCE(nn.Module):
    """Cross-entropy of cosine similarities between projected features at random places."""

    def __init__(self, layers: tuple[int, ...], patches: int, width: int, temperature: float) -> None:
        super().__init__()
        self.layers = layers
        self.patches = patches
        self.temperature = temperature
        self.heads = nn.ModuleList(
            nn.Sequential(nn.LazyLinear(width), nn.ReLU(), nn.Linear(width, width)) for _ in layers
        )

    def forward(self, fake: Tensor, real: Tensor, G: nn.Module, rng: Generator) -> dict[str, Tensor]:
        """[B, C, H, W], twice -> one scalar a layer."""
        queries = G.features(fake, self.layers)
        with torch.no_grad():
            keys = G.features(real, self.layers)
        found: dict[str, Tensor] = {}
        for layer, head, query, key in zip(self.layers, self.heads, queries, keys, strict=True):
            pixels = query.shape[-2] * query.shape[-1]
            where = torch.randperm(pixels, generator=rng, device=rng.device)[: self.patches].to(query.device)
            q, k = (self.project(head, features.flatten(2)[..., where]) for features in (query, key))
            logits = q @ k.detach().transpose(1, 2) / self.temperature  # [B, P, P]
            labels = torch.arange(len(where), device=logits.device).expand(len(logits), -1)
            found[f"layer{layer}"] = F.cross_entropy(logits.flatten(0, 1), labels.flatten()) / len(self.layers)
        return found

    @staticmethod
    def project(head: nn.Module, features: Tensor) -> Tensor:
        """[B, C, P] -> unit vectors [B, P, width]."""
        dtype = next(head.parameters()).dtype
        return F.normalize(head(features.transpose(1, 2).to(dtype)), dim=-1, eps=1e-6)


def patchnce(
    *,
    layers: tuple[int, ...] = (3, 6, 9),
    patches: PositiveInt = 64,
    width: PositiveInt = 32,
    temperature: PositiveFloat = 0.07,
) -> PatchNCE:
    """Contrast of patches in the generator's own features (Park et al., 2020), with a trained head for each layer."""
    return PatchNCE(layers, patches, width, temperature)


@hookimpl
def lossbench_loss() -> LossSpec:
    """PatchNCE at weight 1, as in CUT."""
    return LossSpec(patchnce, checks={"gradcheck": "features of the source are held fixed, as in the paper"})
