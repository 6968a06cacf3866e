"""Counter: how many steps there were."""

from lossbench import hookimpl

steps = []


class Counter:
    """Remember the number of every ``every``-th step."""

    def __init__(self, *, every: int = 1) -> None:
        self.every = every

    @hookimpl
    def lossbench_step(self, step: int) -> None:
        if step % self.every == 0:
            steps.append(step)


@hookimpl
def lossbench_observer() -> type[Counter]:
    return Counter
