"""Distance: the round trip comes back, in a norm of one's choice."""

from __future__ import annotations

from enum import Enum

from torch import Tensor

from lossbench import LossSpec, Term, hookimpl


class Norm(Enum):
    """How errors count."""

    L1 = 1
    L2 = 2


def enum_option(*, norm: Norm = Norm.L1) -> Term:
    """``mean |rec - real|^p``; images -> scalar >= 0."""

    def term(rec: Tensor, real: Tensor) -> Tensor:
        return (rec - real).abs().pow(norm.value).mean()

    return term


CAUGHT_BY = "names"


@hookimpl
def lossbench_loss() -> LossSpec:
    """Distance at weight 10."""
    return LossSpec(enum_option, weight=10.0)
