"""Scribble: changes the translation that others are shown too."""

from lossbench import LossSpec, Term, hookimpl


def scribble() -> Term:
    """Clamp in place."""
    return lambda fake: fake.clamp_(-0.5, 0.5).square().mean()


@hookimpl
def lossbench_loss() -> LossSpec:
    return LossSpec(scribble)
