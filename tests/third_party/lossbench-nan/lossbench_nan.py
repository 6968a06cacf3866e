"""NaN: a root of what becomes negative in the second half of a run."""

from lossbench import LossSpec, Term, hookimpl


def nan() -> Term:
    """Take the root."""
    return lambda fake, progress: fake.square().mean() * (0.5 - progress).sqrt()


@hookimpl
def lossbench_loss() -> LossSpec:
    return LossSpec(nan)
