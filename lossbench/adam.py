"""Adam by PyTorch's function for it: the class around it imports torch's compiler, half the time to a first step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.optim.adam import adam

EPS = 1e-8
Moments = dict[str, Tensor]


class Adam:
    """Moves parameters against their gradients (Kingma & Ba, 2015); one without gradient stays, moments and all."""

    def __init__(self, parameters: Sequence[nn.Parameter], betas: tuple[float, float]) -> None:
        self.parameters = list(parameters)
        self.betas = betas
        self.moments: dict[int, Moments] = {}  # of each parameter that ever moved, by place

    def zero_grad(self) -> None:
        """Forget every gradient."""
        for parameter in self.parameters:
            parameter.grad = None

    @torch.no_grad()
    def step(self, lr: float) -> None:
        """Move every parameter that has a gradient."""
        moved = [(place, each) for place, each in enumerate(self.parameters) if each.grad is not None]
        own = [self.moments.setdefault(place, _begun(each)) for place, each in moved]
        adam(
            [each for _, each in moved], [each.grad for _, each in moved if each.grad is not None],
            [moments["exp_avg"] for moments in own], [moments["exp_avg_sq"] for moments in own], [],
            [moments["step"] for moments in own],
            amsgrad=False, beta1=self.betas[0], beta2=self.betas[1], lr=lr, weight_decay=0.0, eps=EPS, maximize=False,
        )  # fmt: skip

    def load(self, moments: Mapping[int, Moments]) -> None:
        """Go on from earlier moments.

        Raises:
            KeyError, RuntimeError: they are of other parameters.
        """
        own = dict(enumerate(self.parameters))
        fresh = {place: _begun(own[place]) for place in moments}
        self.moments = {
            place: {name: tensor.copy_(moments[place][name]) for name, tensor in own.items()}
            for place, own in fresh.items()
        }


def _begun(parameter: nn.Parameter) -> Moments:
    return {
        "step": torch.zeros(()),
        "exp_avg": torch.zeros_like(parameter, requires_grad=False),
        "exp_avg_sq": torch.zeros_like(parameter, requires_grad=False),
    }
