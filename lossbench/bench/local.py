"""Cells as processes of this machine, so many at a time; one that dies takes no other with it."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress

from lossbench.bench.cells import Cell

TICK = 0.2  # seconds
GRACE = 120  # seconds that a step and a snapshot may take


class Local:
    """Runs cells ``workers`` at a time, each with ``threads`` threads; of ``gpus``, if any, each worker sees one."""

    def __init__(self, workers: int, threads: int, gpus: Sequence[str] = ()) -> None:
        self.workers, self.threads, self.gpus = workers, threads, gpus

    def run(
        self, cells: Sequence[Cell], command: Callable[[Cell], list[str]], tick: Callable[[Sequence[Cell]], object]
    ) -> Iterator[tuple[Cell, int]]:
        """Yield each cell as it ends, with its exit code, below 0 the signal that killed it; ``tick(running)`` often.

        Interrupted, it lets every run finish its step and save.
        """
        waiting = deque(cells)
        free = deque(range(self.workers))
        running: dict[int, tuple[Cell, subprocess.Popen[bytes]]] = {}
        try:
            while waiting or running:
                while waiting and free:
                    worker, cell = free.popleft(), waiting.popleft()
                    running[worker] = cell, self._started(cell, command(cell), worker)
                tick([cell for cell, _ in running.values()])
                time.sleep(TICK)
                for worker, (cell, process) in list(running.items()):
                    if (code := process.poll()) is not None:
                        del running[worker]
                        free.append(worker)
                        yield cell, code
        finally:
            _stop([process for _, process in running.values()])

    def _started(self, cell: Cell, command: list[str], worker: int) -> subprocess.Popen[bytes]:
        cell.directory.parent.mkdir(parents=True, exist_ok=True)
        with cell.log.open("ab") as log:
            return subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=self._environment(worker),
                process_group=0,  # ctrl-C is for us alone: runs are asked once, since a second time stops them at once
            )  # fmt: skip

    def _environment(self, worker: int) -> Mapping[str, str]:
        names = dict(os.environ) | {"OMP_NUM_THREADS": str(self.threads)}
        return names | ({"CUDA_VISIBLE_DEVICES": self.gpus[worker % len(self.gpus)]} if self.gpus else {})


def _stop(processes: Sequence[subprocess.Popen[bytes]]) -> None:
    """Ask runs to save and end; those that do not are killed, and go on from an earlier snapshot."""
    for process in processes:
        with suppress(ProcessLookupError):
            process.send_signal(signal.SIGTERM)
    until = time.monotonic() + GRACE
    for process in processes:
        try:
            process.wait(max(0.1, until - time.monotonic()))
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
