"""Log distance: ratios of brightness are kept, as the eye sees them."""

from __future__ import annotations

from torch import Tensor

from lossbench import LossSpec, Term, hookimpl


def log_of_negative(*, eps: float = 1e-3) -> Term:
    """``mean |log(fake + eps) - log(real + eps)|``; images -> scalar >= 0."""

    def term(fake: Tensor, real: Tensor) -> Tensor:
        return ((fake + eps).log() - (real + eps).log()).abs().mean()

    return term


CAUGHT_BY = "scalar"


@hookimpl
def lossbench_loss() -> LossSpec:
    """Log distance at weight 1."""
    return LossSpec(log_of_negative)
