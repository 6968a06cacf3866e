"""Where each term pushes an image: the gradient of the weighted term at what a generator made."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

MADE = ("fake", "rec", "idt")


def pushes(terms: Mapping[str, Tensor], images: Mapping[str, Tensor]) -> dict[str, dict[str, Tensor]]:
    """Return image -> term -> gradient [B, C, H, W], for the terms that act on it, on the CPU. Graphs stay alive."""
    made = {name: image for name, image in images.items() if name.rpartition("/")[2] in MADE and image.requires_grad}
    found: dict[str, dict[str, Tensor]] = {name: {} for name in made}
    for label, term in terms.items():
        if term.requires_grad and made:
            gradients = torch.autograd.grad(term, list(made.values()), retain_graph=True, allow_unused=True)
            for name, gradient in zip(made, gradients, strict=True):
                if gradient is not None:
                    found[name][label] = gradient.detach().float().cpu()
    return {name: some for name, some in found.items() if some}
