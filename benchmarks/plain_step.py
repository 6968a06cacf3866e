"""The yardstick: one CycleGAN step in plain PyTorch, from the paper, with nothing of lossbench's engine in it.

Tests compare the trainer with it, and speed benchmarks measure beside it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn


def plain_layers(network: nn.Module) -> nn.Module:
    """Give a network PyTorch's own convolutions and norms in the place of what is made of them, and return it."""
    for module in network.modules():
        for kind in (nn.Conv2d, nn.InstanceNorm2d):
            if isinstance(module, kind):
                module.__class__ = kind
    return network


class PlainStep:
    """Zhu et al., 2017: least squares, cycle and identity, generators first, then the discriminators."""

    def __init__(
        self,
        G: Mapping[str, nn.Module],
        D: Mapping[str, nn.Module],
        *,
        lr: float,
        cycle: float = 10.0,
        identity: float = 5.0,
        pooled: Callable[[str, Tensor], Tensor] = lambda direction, fake: fake.detach(),
    ) -> None:
        self.G, self.D, self.cycle, self.identity, self.pooled = G, D, cycle, identity, pooled
        self.optimiser_G = torch.optim.Adam([p for g in G.values() for p in g.parameters()], lr, (0.5, 0.999))
        self.optimiser_D = torch.optim.Adam([p for d in D.values() for p in d.parameters()], lr, (0.5, 0.999))

    def __call__(self, A: Tensor, B: Tensor) -> dict[str, float]:
        """Move every network once; return the terms."""
        terms: dict[str, Tensor] = {}
        fakes: dict[str, Tensor] = {}
        for D in self.D.values():
            D.requires_grad_(False)
        self.optimiser_G.zero_grad(set_to_none=True)
        for way, back, real, target in (("A2B", "B2A", A, B), ("B2A", "A2B", B, A)):
            fakes[way] = self.G[way](real)
            terms[f"{way}/gan"] = (self.D[way](fakes[way]) - 1).square().mean()
            terms[f"{way}/cycle"] = (self.G[back](fakes[way]) - real).abs().mean()
            if self.identity:
                terms[f"{way}/idt"] = (self.G[way](target) - target).abs().mean()
        weights = {"gan": 1.0, "cycle": self.cycle, "idt": self.identity}
        total = sum(weights[name.partition("/")[2]] * value for name, value in terms.items())
        assert isinstance(total, Tensor)
        total.backward()
        self.optimiser_G.step()

        for D in self.D.values():
            D.requires_grad_(True)
        self.optimiser_D.zero_grad(set_to_none=True)
        for way, target in (("A2B", B), ("B2A", A)):
            answers = self.D[way](target), self.D[way](self.pooled(way, fakes[way]))
            terms[f"{way}/gan:D"] = ((answers[0] - 1).square().mean() + answers[1].square().mean()) / 2
            terms[f"{way}/gan:D"].backward()
        self.optimiser_D.step()
        return {name: value.item() for name, value in terms.items()}
