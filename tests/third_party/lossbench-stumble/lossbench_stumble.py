"""Stumble: raises at step 7."""

from itertools import count

from torch import Tensor

from lossbench import LossSpec, Term, hookimpl


def stumble() -> Term:
    """Count the steps, and fall."""
    steps = count(1)

    def term(fake: Tensor) -> Tensor:
        if next(steps) == 7:
            raise ValueError("the lace is undone")
        return fake.square().mean()

    return term


@hookimpl
def lossbench_loss() -> LossSpec:
    return LossSpec(stumble)
