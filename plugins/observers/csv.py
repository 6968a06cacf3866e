"""CSV: each value of a run as a row of one tidy table, metrics.csv in its directory."""

from __future__ import annotations

import csv
import os
from collections.abc import Mapping
from itertools import takewhile
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import PositiveInt

from lossbench import hookimpl

if TYPE_CHECKING:
    from lossbench import Run

HEADER = b"step,term,value,weight\n"


class Csv:
    """Append ``step,term,value,weight`` for each term of every ``every``-th step.

    The value is raw; value times weight is what was minimised. A run that goes on drops the rows after the step it goes
    on from, so that it ends with the table of a run that was never stopped.
    """

    def __init__(self, *, every: PositiveInt = 1) -> None:
        self.every = every
        self.path = Path()

    @hookimpl
    def lossbench_run_start(self, run: Run) -> None:
        """Cut the table back to the step that the run goes on from, or begin one."""
        self.path = run.directory / "metrics.csv"
        rows = self.path.read_bytes().splitlines(keepends=True) if self.path.exists() else []
        if kept := list(takewhile(lambda row: row == HEADER or 0 < _step(row) <= run.trainer.done, rows)):
            os.truncate(self.path, sum(map(len, kept)))
        else:
            self.path.write_bytes(HEADER)

    @hookimpl
    def lossbench_step(self, step: int, values: Mapping[str, float], weights: Mapping[str, float]) -> None:
        """Append a step. The file is closed again, so that a kill costs nothing."""
        if step % self.every == 0:
            with self.path.open("a", encoding="utf-8", newline="") as file:
                table = csv.writer(file, lineterminator="\n")
                table.writerows([step, term, value, weights[term]] for term, value in values.items())


def _step(row: bytes) -> int:
    """Return the step of a whole row, and 0 for what is none."""
    step = row.partition(b",")[0]
    return int(step) if row.endswith(b"\n") and step.isdigit() else 0


@hookimpl
def lossbench_observer() -> type[Csv]:
    """Rows in a file, for pandas, R or a spreadsheet."""
    return Csv
