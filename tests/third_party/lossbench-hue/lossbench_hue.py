"""Hue: the mean colour of the translation is that of the target."""

from torch import Tensor

from lossbench import LossSpec, Term, hookimpl


def hue(*, power: int = 2) -> Term:
    """Compare mean colours."""

    def term(fake: Tensor, target: Tensor) -> Tensor:
        return (fake.mean(dim=(2, 3)) - target.mean(dim=(2, 3))).abs().pow(power).mean()

    return term


@hookimpl
def lossbench_loss() -> LossSpec:
    return LossSpec(hue, weight=0.5)
