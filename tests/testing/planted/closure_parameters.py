"""Learned colour: after a trained 3 x 3 colour transform the translation matches the source."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from lossbench import LossSpec, Term, hookimpl


def closure_parameters() -> Term:
    """``mean |M fake - real|`` with M trained from the identity; images -> scalar >= 0."""
    matrix = nn.Parameter(torch.eye(3))

    def term(fake: Tensor, real: Tensor) -> Tensor:
        mixed = torch.einsum("cd,bdhw->bchw", matrix.to(fake), fake)
        return (mixed - real).abs().mean()

    return term


CAUGHT_BY = "parameters"


@hookimpl
def lossbench_loss() -> LossSpec:
    """Learned colour at weight 1."""
    return LossSpec(closure_parameters)
