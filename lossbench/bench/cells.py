"""The cells of a bench: runs, each in a directory of its own, that are done, to be gone on with, or to be begun.

What a cell is called says what decides its result, so that one that is finished is known for it, and one whose losses,
settings or images changed is another.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

from lossbench.bench.suite import Combination, Suite, label
from lossbench.data import Dataset, Source
from lossbench.errors import RunError
from lossbench.files import free_directory
from lossbench.metrics import Metric
from lossbench.outcome import identity
from lossbench.prepare import Settled, settle
from lossbench.record import LOG, last_line, read_record
from lossbench.registry import is_file

SUITE = "suite.toml"
MEANING = ("protocol", "weights", "sha256")  # values that differ in one are never compared
RUN = (sys.executable, "-m", "lossbench")
Meanings = Mapping[str, Mapping[str, Any]]  # by metric
Standing = Literal["done", "unmeasured", "begun", "damaged", "absent"]


@dataclass(frozen=True)
class Cell:
    """A combination with a seed. ``again``: a second set of the baseline's, to compare it with itself."""

    combination: Combination
    seed: int
    run_id: str
    directory: Path
    again: bool = False

    @property
    def name(self) -> str:
        """Return for example ``cycle+idt seed 0``."""
        return f"{label(self.combination)} seed {self.seed}"

    @property
    def log(self) -> Path:
        """Return where what it printed lies."""
        return self.directory.with_suffix(".log")

    def standing(self, wanted: Meanings) -> Standing:
        """Return what is left to do."""
        if not self.directory.exists():
            return "absent"
        try:
            record = read_record(self.directory)
        except RunError:
            return "damaged" if (self.directory / "run.json").exists() else "absent"
        if record["run_id"] != self.run_id:
            return "damaged"
        if record["status"] != "ok":
            return "done" if record["status"] == "diverged" else "begun"
        measured = [values["translation"] for values in record["metrics"].values()]
        there = all(_part(values.get(name, {})) == wanted[name] for values in measured for name in wanted)
        return "done" if there else "unmeasured"

    def command(self, wanted: Meanings, words: Sequence[str], recipe: str) -> list[str]:
        """Return what does the rest; a directory that cannot be read is put aside first."""
        measured = ["--metrics", ",".join(words)]
        match self.standing(wanted):
            case "begun":
                return [*RUN, "run", "--resume", str(self.directory), *measured]
            case "unmeasured":
                trusted = ["--recipe", recipe] if is_file(recipe) else []
                return [*RUN, "evaluate", str(self.directory), *measured, *trusted, "--record"]
            case "damaged":
                self.directory.rename(free_directory(self.directory.with_suffix(".damaged")))
        return [*self.by_hand(), "--out", str(self.directory)]

    def by_hand(self) -> list[str]:
        """Return the command that trains it anywhere."""
        suite = self.directory.parent.parent / SUITE
        return [*RUN, "run", "--config", str(suite), "--plugins", ",".join(self.combination), "--seed", str(self.seed)]

    def last_words(self) -> str:
        """Return the last line that it printed."""
        try:
            lines = self.log.read_text("utf-8", "replace").split("\n")
        except OSError:
            return ""
        return next((line.strip() for line in reversed(lines) if line.strip()), "")

    def steps_done(self) -> int:
        """Return how far it is, by the last line of its log."""
        step = last_line(self.directory / LOG).get("step")
        return step if isinstance(step, int) else 0


def meanings(metrics: Iterable[Metric]) -> Meanings:
    """Return what values of each metric mean now."""
    return {each.name: _part(each.facts()) for each in metrics}


def _part(facts: Mapping[str, Any]) -> dict[str, Any]:
    return {key: facts.get(key) for key in MEANING}


class Held:
    """Images that are read once for all cells."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.read = cache(source.dataset)

    def defaults(self, size: int | None) -> dict[str, Any]:
        """Return the settings that suit these images."""
        return self.source.defaults(size)

    def dataset(self, size: int, load_size: int) -> Dataset:
        """Return the images, read once."""
        return self.read(size, load_size)


def cells(suite: Suite, out: Path, source: Source) -> tuple[list[Cell], list[Settled]]:
    """Return every cell, those of one seed together, and what each combination's settings come to, the baseline first.

    Raises:
        LossbenchError: a combination that cannot be.
    """
    found: list[Cell] = []
    held = Held(source)
    combinations = suite.combinations()
    settled = {each: settle(list(each), config=suite.config, source=held) for each in combinations}
    for combination in combinations:
        dotted = settled[combination].config.dotted()
        first, n = dotted["train.seed"], suite.bench.seeds
        again = range(first + n, first + 2 * n) if combination == combinations[0] else range(0)
        for seed in (*range(first, first + n), *again):
            run_id = identity(settled[combination], dotted | {"train.seed": seed})
            folder = out / "cells" / f"{label(combination)}-seed{seed}-{run_id[:8]}"
            found.append(Cell(combination, seed, run_id, folder, seed in again))
    return sorted(found, key=lambda cell: (cell.again, cell.seed)), list(settled.values())
