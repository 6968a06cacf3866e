"""What a bench shows: what it will do, one live table while it does, and its verdicts."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from typing import Any

from rich import box
from rich.live import Live
from rich.table import Column, Table
from rich.text import Text

from lossbench.bench.bench import Bench
from lossbench.bench.cells import Cell
from lossbench.bench.stats import MOST_SEEDS
from lossbench.bench.suite import label
from lossbench.screen import console, unit_of

STYLES = {"improved": "bold green", "regressed": "bold red", "failed": "bold red", "missing": "red"}
EVERY = 1.0  # seconds between two looks at the cells


class Board:
    """One live table: a row for each combination, how many of its runs are done, how far the others are."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        self.steps = bench.settled.config.train.steps
        self.began, self.looked = time.monotonic(), -math.inf
        self.done = {cell for cell in bench.cells if bench.done(cell)}
        self.before = len(self.done)
        self.live = Live(console=console, auto_refresh=False, transient=True)

    def __enter__(self) -> Board:
        if console.is_terminal:
            self.live.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.live.stop()
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


def show_plan(bench: Bench, seconds: float, workers: int) -> None:
    """Print what a bench would do."""
    left, names = bench.left(), [each.name for each in bench.settled.config.metrics]
    table = Table("combination", "runs", "done", box=box.SIMPLE_HEAD)
    for combination in dict.fromkeys(cell.combination for cell in bench.cells):
        own = [cell for cell in bench.cells if cell.combination == combination]
        again = " (twice the seeds, to be compared with itself)" if any(cell.again for cell in own) else ""
        table.add_row(f"{label(combination)}{again}", str(len(own)), str(sum(cell not in left for cell in own)))
    console.print(table)
    steps = bench.settled.config.train.steps
    total = seconds * steps * len(left) / workers
    console.print(
        f"{len(left)} runs of {steps} steps, {seconds:.3g} s a step of the largest, {workers} at a time: about "
        f"{_duration(total)}, and the measuring. Into {bench.out}",
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


def show_report(report: Mapping[str, Any]) -> None:
    """Print the verdicts on the primary metrics, what else was measured, and what failed."""
    for said in report.get("changed", ()):
        console.print(f"Changed when values could be seen already: {said}", soft_wrap=True, markup=False)
    for name in report["primary"]:
        _show_primary(name, report)
    others = [name for name in report["metrics"] if name not in report["primary"]]
    if others:
        console.print("\nOther metrics, means over seeds; no verdict is passed on them.", style="dim")
        console.print(_means(report, others))
    for name, metric in report["metrics"].items():
        if metric["reason"]:
            console.print(f"{name}: {metric['reason']}", soft_wrap=True, markup=False)
    for cell in [cell for cell in report["cells"] if cell["status"] in ("failed", "diverged")]:
        said = f"{cell['combination']} seed {cell['seed']} {cell['status']}: {cell['error']}"
        console.print(said, soft_wrap=True, markup=False, emoji=False)
    if missing := sum(cell["status"] == "missing" for cell in report["cells"]):
        console.print(f"{missing} of {len(report['cells'])} runs are missing.")


def _show_primary(name: str, report: Mapping[str, Any]) -> None:
    metric = report["metrics"][name]
    unit, factor = f" ({unit_of(metric)})" if unit_of(metric) else "", metric["shown"]
    console.print(f"\n{name}{unit}, {metric['better']} is better", style="bold")
    heads = ("mean", "seeds", "images", "worse by", "interval", "verdict")
    table = Table(Column("combination", overflow="fold"), *heads, box=box.SIMPLE_HEAD)
    for row in metric["rows"]:
        verdict = Text(row.get("verdict") or "baseline", style=STYLES.get(row.get("verdict") or "", ""))
        if row.get("verdict") == "inconclusive":
            verdict.append(f", {_seeds(row)}", style="dim")
        table.add_row(row["combination"], *_of(row, factor), *_worse(row), verdict)
    again = metric["again"]
    if again["values"]:
        verdict = Text(again["verdict"], style="dim")
        table.add_row(f"{report['baseline']}, other seeds", *_of(again, factor), *_worse(again), verdict)
    for what, value in metric["beside"].items():
        if value is not None:
            table.add_row(what, f"{value * factor:.4g}", style="dim")
    console.print(table)
    level = f"{100 * report['level']:g} %"
    console.print(
        f"Intervals of {100 * metric['level']:.3g} % each hold together at {level}; margin {report['margin']}.",
        style="dim",
    )
    if metric["attribution"]:
        _show_attribution(metric, report)


def _show_attribution(metric: Mapping[str, Any], report: Mapping[str, Any]) -> None:
    """Print what each loss adds, mean over all orders of switching on, and what it costs."""
    found, factor = metric["attribution"], metric["shown"]
    seconds = (report["metrics"].get("cost/seconds_per_step", {}).get("attribution") or {}).get("shapley", {})
    table = Table("loss", "Shapley value", f"interval, {100 * found['level']:g} %", "s a step", box=box.SIMPLE_HEAD)
    for loss, each in found["shapley"].items():
        low, high = each["low"], each["high"]
        between = "" if low is None else f"{low * factor:+.3g} to {high * factor:+.3g}"
        cost = f"{seconds[loss]['value']:+.3g}" if loss in seconds else ""
        table.add_row(loss, f"{each['value'] * factor:+.3g}", between, cost)
    console.print(table)
    console.print(
        f"What each loss adds to it, {metric['better']} is better; interactions are in the report.", style="dim"
    )


def _of(row: Mapping[str, Any], factor: float) -> tuple[str, str, str]:
    """Return a row's mean, how many seeds it is of, and of how many images each of their values."""
    images = " to ".join(dict.fromkeys(map(str, row["images"] or ())))
    return _mean(row["values"], factor), str(len(row["values"])), images


def _worse(row: Mapping[str, Any]) -> tuple[str, str]:
    """Return how much worse than the baseline, and its interval: as shares where there are any."""
    if row.get("worse") is None:
        return "", ""
    keys = ("relative", "relative_low", "relative_high") if row["relative"] is not None else ("worse", "low", "high")
    factor, unit = (100, " %") if row["relative"] is not None else (1, "")
    middle, low, high = (row[key] for key in keys)
    between = "" if low is None else f"{low * factor:+.3g} to {high * factor:+.3g}{unit}"
    return f"{middle * factor:+.3g}{unit}", between


def _seeds(row: Mapping[str, Any]) -> str:
    if row["n"] < 2:
        return "an interval needs two seeds"
    return f"{row['seeds']} seeds would decide" if row["seeds"] else f"{MOST_SEEDS} seeds would not decide"


def _means(report: Mapping[str, Any], names: Iterable[str]) -> Table:
    combinations = [row["combination"] for row in next(iter(report["metrics"].values()))["rows"]]
    heads = [Column(head, overflow="fold") for head in ("metric", "better", *combinations, "copy")]
    table = Table(*heads, box=box.SIMPLE_HEAD)
    for name in names:
        metric = report["metrics"][name]
        means = [_mean(row["values"], metric["shown"]) for row in metric["rows"]]
        copy = metric["beside"]["copy"]
        table.add_row(name, metric["better"], *means, "-" if copy is None else f"{copy * metric['shown']:.4g}")
    return table


def _mean(values: Sequence[float], factor: float) -> str:
    return f"{sum(values) / len(values) * factor:.4g}" if values else "-"


def _duration(seconds: float) -> str:
    return str(timedelta(seconds=round(seconds)))
