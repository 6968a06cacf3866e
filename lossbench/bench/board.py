"""What a bench shows of itself: what it will do, and one live table while it does."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from datetime import timedelta

from rich import box
from rich.live import Live
from rich.table import Table

from lossbench.bench.bench import Bench
from lossbench.bench.cells import Cell
from lossbench.bench.suite import label
from lossbench.screen import console

EVERY = 1.0  # seconds between two looks at the cells


class Board:
    """One live table: a row for each combination, how many of its runs are done, how far the others are."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        self.steps = bench.settled.config.train.steps
        self.began, self.looked = time.monotonic(), -math.inf
        self.done = {cell for cell in bench.cells if bench.done(cell)}
        self.before = len(self.done)
        self.running: Sequence[Cell] = ()
        self.live = Live(console=console, auto_refresh=False, transient=True)

    def __enter__(self) -> Board:
        if console.is_terminal:
            self.live.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.live.stop()
        if error[0] is None:  # one that is interrupted says so itself
            self._look(())

    def tick(self, bench: Bench, running: Sequence[Cell]) -> None:
        """Look at the cells and draw, about once a second; without a terminal a line for each that ends."""
        if self.looked < 0:
            show_start(bench, len(running))
        if time.monotonic() - self.looked < EVERY:
            return
        self._look(running)
        self.looked = time.monotonic()
        if console.is_terminal:
            self.live.update(self._table(bench, running), refresh=True)

    def _look(self, running: Sequence[Cell]) -> None:
        for cell in [cell for cell in self.bench.cells if cell not in self.done and cell not in running]:
            if self.bench.done(cell):
                self.done.add(cell)
                if not console.is_terminal:
                    console.print(f"{len(self.done)} of {len(self.bench.cells)}: {cell.name}", soft_wrap=True)
            elif cell in self.running:
                said = cell.last_words() or "it was killed"
                console.print(f"{cell.name} did not end: {said}", soft_wrap=True, markup=False, emoji=False)
        self.running = tuple(running)

    def _table(self, bench: Bench, running: Sequence[Cell]) -> Table:
        left = self._left(bench, running)
        table = Table("combination", "done", "running", box=box.SIMPLE_HEAD, title=left, title_justify="left")
        for combination in dict.fromkeys(cell.combination for cell in bench.cells):
            own = [cell for cell in bench.cells if cell.combination == combination]
            done = sum(cell in self.done for cell in own)
            now = [f"seed {cell.seed}: {cell.steps_done()}/{self.steps}" for cell in own if cell in running]
            table.add_row(label(combination), f"{done}/{len(own)}", ", ".join(now))
        return table

    def _left(self, bench: Bench, running: Sequence[Cell]) -> str:
        """Return how much is done, and about how long the rest will take."""
        said = f"{len(self.done)} of {len(bench.cells)} runs"
        share = len(self.done) - self.before + sum(cell.steps_done() for cell in running) / self.steps
        if share < 0.05:
            return said
        seconds = (time.monotonic() - self.began) / share * (len(bench.cells) - self.before - share)
        return f"{said}, about {_duration(seconds)} left"


def show_plan(bench: Bench, a_step: float, measuring: float, workers: int) -> None:
    """Print what a bench would do; in seconds what a step takes, and measuring a run."""
    left, names = bench.left(), [each.name for each in bench.settled.config.metrics]
    table = Table("combination", "runs", "done", box=box.SIMPLE_HEAD)
    for combination in dict.fromkeys(cell.combination for cell in bench.cells):
        own = [cell for cell in bench.cells if cell.combination == combination]
        again = " (twice the seeds, to be compared with itself)" if any(cell.again for cell in own) else ""
        table.add_row(f"{label(combination)}{again}", str(len(own)), str(sum(cell not in left for cell in own)))
    console.print(table)
    steps = bench.settled.config.train.steps
    total = (a_step * steps + measuring) * len(left) / workers
    console.print(
        f"{len(left)} runs of {steps} steps, {a_step:.3g} s a step of the largest and {measuring:.3g} s to measure it, "
        f"{workers} at a time: about {_duration(total)}. Into {bench.out}",
        soft_wrap=True,
    )
    console.print(f"Measured: {', '.join(name for name in names if name not in bench.unavailable)}.", soft_wrap=True)
    show_unavailable(bench.unavailable)


def show_start(bench: Bench, at_a_time: int) -> None:
    """Print what begins."""
    left, steps = bench.left(), bench.settled.config.train.steps
    begun = sum(cell.steps_done() > 0 for cell in left)
    going = f" ({begun} begun before)" if begun else ""
    said = f"{len(left)} of {len(bench.cells)} runs to do{going}, {steps} steps each, {at_a_time} at a time"
    console.print(f"{said}. Into {bench.out}", soft_wrap=True)
    show_unavailable(bench.unavailable)


def show_stop(bench: Bench) -> None:
    """Print what was kept."""
    left = bench.left()
    begun = sum(cell.steps_done() > 0 for cell in left)
    console.print(
        f"Stopped. {len(bench.cells) - len(left)} of {len(bench.cells)} runs are done, {begun} are begun. "
        f"Go on with: lossbench bench {bench.out}",
        soft_wrap=True,
    )


def show_unavailable(reasons: Mapping[str, str]) -> None:
    """Print which metrics cannot be had here."""
    for name, reason in reasons.items():
        console.print(f"{name} will be unavailable: {reason}", soft_wrap=True, markup=False)


def _duration(seconds: float) -> str:
    return str(timedelta(seconds=round(seconds)))
