"""Counter: how many steps there were."""

from lossbench import hookimpl

steps = []


@hookimpl
def lossbench_step(step: int) -> None:
    steps.append(step)
