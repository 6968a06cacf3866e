"""Path length: a small step in the source is about as large a step in the translation, wherever one stands."""

from __future__ import annotations

import torch
from torch import Generator, Tensor, nn

from lossbench import LossSpec, hookimpl


class PathLength(nn.Module):
    """Squared deviation of the Jacobian's size from its running mean."""

    usual: Tensor

    def __init__(self, decay: float) -> None:
        super().__init__()
        self.decay = decay
        self.register_buffer("usual", torch.zeros(()))

    def forward(self, real: Tensor, G: nn.Module, rng: Generator) -> Tensor:
        """[B, C, H, W] -> scalar."""
        with torch.enable_grad():  # it is also called where gradients are off
            image = real.detach().requires_grad_()
            fake = G(image)
            noise = torch.randn(fake.shape, generator=rng, device=rng.device).to(fake) / fake[0].numel() ** 0.5
            (slope,) = torch.autograd.grad((fake * noise).sum(), image, create_graph=True)
            slope = slope.to(self.usual.dtype).flatten(1)
            length = (slope.square().sum(dim=1) + 1e-8).sqrt()
            usual = torch.lerp(self.usual, length.detach().mean().to(self.usual), 1 - self.decay)
            value = (length - usual).square().mean()
        if self.training:
            self.usual.copy_(usual)
        return value


def path_length(*, decay: float = 0.9) -> PathLength:
    """``mean (|J^T y| - a)^2``, y noise, a its running mean (Karras et al., 2020); a second derivative of G."""
    return PathLength(decay)


@hookimpl
def lossbench_loss() -> LossSpec:
    """Path length at weight 2."""
    return LossSpec(path_length, weight=2.0, checks={"gradcheck": "the running mean is held fixed, as in the paper"})
