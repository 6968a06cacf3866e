"""The report on a terminal: tables first, since the last lines are those that are seen."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from math import inf
from typing import Any

from rich import box
from rich.table import Column, Table
from rich.text import Text

from lossbench.report.answer import Answer
from lossbench.report.questions import Row
from lossbench.report.words import ARROW, mean, more_seeds, number, percent, title, told
from lossbench.screen import console

COPY = -1  # in the place of a combination's
WIDTH = 9  # of a column of numbers
STYLES = {
    "improved": "bold green", "regressed": "bold red", "differs": "bold red", "failed": "bold red", "missing": "red",
    "incomparable": "yellow", "passed": "bold green", "unchanged": "bold green", "incomplete": "bold red",
    "outdone": "bold yellow",
}  # fmt: skip


def show(answer: Answer) -> None:
    """Print both questions, what else was measured, what failed, and last the answer."""
    report = answer.report
    if answer.change is not None:
        _show_change(answer, answer.change)
    for gate in answer.gates:
        _show_losses(gate.metric, answer)
    decided = [gate.metric for gate in answer.gates]
    others = [name for name in report["metrics"] if name not in decided]
    if others:
        said = "Other metrics, means over seeds, by number of combination; no verdict is passed on them."
        console.print(f"\n{said} ↓ lower is better, ↑ higher.", style="dim")
        for table in _means(report, others):
            console.print(table)
    for name, metric in report["metrics"].items():
        if metric["reason"]:
            _say(f"{name}: {metric['reason']}")
    for cell in [cell for cell in answer.failures if cell["status"] != "missing"]:
        _say(f"{cell['combination']} seed {cell['seed']} {cell['status']}: {cell['error']}")
    if missing := sum(cell["status"] == "missing" for cell in report["cells"]):
        _say(f"{missing} of {len(report['cells'])} runs are missing.")
    for said in (*answer.notes, answer.compared):
        _say(said)
    if answer.earned:
        _say(answer.earned)
    last = Text(answer.headline.capitalize(), style=STYLES.get(answer.word, "bold"))
    last.append(f". {answer.sentence} {answer.advice}".rstrip(), style="not bold default")
    console.print(last, soft_wrap=True)


def _say(text: str) -> None:
    console.print(text, soft_wrap=True, markup=False, emoji=False)


def _show_change(answer: Answer, rows: Sequence[Row]) -> None:
    """Print each combination beside itself in the baseline, metric by metric."""
    console.print("\nDid this change break it? Each combination beside itself in the baseline.", style="bold")
    if answer.exact is not None:
        table = Table(
            Column("combination", overflow="fold"), "largest difference", "by", "verdict", box=box.SIMPLE_HEAD
        )
        for row in rows:
            by = percent(row["apart"]) if row.get("apart") else ""
            table.add_row(row["combination"], row["metric"], by, _verdict(row))
        console.print(table)
        return
    for gate in answer.gates:
        metric = answer.report["metrics"][gate.metric]
        console.print(title(gate.metric, metric))
        heads = ("was", "is", "seeds", "worse by", "interval", Column("verdict", min_width=13))
        table = Table(Column("combination", overflow="fold"), *heads, box=box.SIMPLE_HEAD)
        for row in (row for row in rows if row["metric"] == gate.metric):
            both = mean(row["before"], metric), mean(row["values"], metric), str(len(row["values"]))
            worse = ("identical", "") if row["identical"] else _worse(row)
            table.add_row(row["combination"], *both, *worse, _verdict(row))
        console.print(table)


def _verdict(row: Row) -> Text:
    verdict = Text(told(row), style=STYLES.get(row["verdict"], ""))
    if row["verdict"] == "inconclusive":
        verdict.append(f", {more_seeds(row)}", style="dim")
    for said in filter(None, (row["accepted"], row["reason"])):
        verdict.append(f", {said}", style="dim")
    return verdict


def _worse(row: Mapping[str, Any]) -> tuple[str, str]:
    """Return how much worse, and its interval: as shares where there are any."""
    if row.get("worse") is None:
        return "", ""
    keys = ("relative", "relative_low", "relative_high") if row["relative"] is not None else ("worse", "low", "high")
    factor, unit = (100, " %") if row["relative"] is not None else (1, "")
    middle, low, high = (row[key] for key in keys)
    if low is None:
        return f"{_signed(middle * factor)}{unit}", ""
    most = 1 if unit and low * high < 0 else inf  # where it could be better or worse, by how many times says nothing
    least = "<-100" if low < -most else _signed(low * factor)
    return f"{_signed(middle * factor)}{unit}", f"{least} to {'>+100' if high > most else _signed(high * factor)}{unit}"


def _signed(value: float) -> str:
    return f"{value:+.0f}" if abs(value) >= 100 else f"{value:+.3g}"


def _show_losses(name: str, answer: Answer) -> None:
    """Print each combination beside the baseline combination; elsewhere its number stands for it."""
    report = answer.report
    metric = report["metrics"][name]
    judged = {row["combination"]: row for row in answer.losses if row["metric"] == name}
    console.print(f"\n{title(name, metric)}", style="bold")
    heads = ("mean", "seeds", "images", "worse by", "interval", Column("verdict", min_width=13))
    table = Table("", Column("combination", overflow="fold"), *heads, box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for number_, row in enumerate(metric["rows"], 1):
        found = judged.get(row["combination"])
        said = (
            (*_worse(found), _verdict(found))
            if found
            else ("", "", Text("baseline" if row["combination"] == report["baseline"] else "missing"))
        )
        table.add_row(str(number_), row["combination"], *_of(row, metric), *said)
    if (again := metric["again"])["values"]:
        other = Text(again["verdict"], style="dim")
        table.add_row("", f"{report['baseline']}, other seeds", *_of(again, metric), *_worse(again), other)
    for what, value in metric["beside"].items():
        if value is not None:
            table.add_row("", what, number(value, metric), style="dim")
    console.print(table)
    limit = next(gate.margin for gate in answer.gates if gate.metric == name)
    console.print(
        f"All intervals together hold with {100 * report['level']:g} % confidence; margin {limit}.", style="dim"
    )
    if metric["attribution"]:
        _show_attribution(metric, report)


def _show_attribution(metric: Mapping[str, Any], report: Mapping[str, Any]) -> None:
    """Print what each loss adds, mean over all orders of switching on, and what it costs."""
    found = metric["attribution"]
    seconds = (report["metrics"].get("cost/seconds_per_step", {}).get("attribution") or {}).get("shapley", {})
    table = Table("loss", "Shapley value", f"interval, {100 * found['level']:.3g} %", "s a step", box=box.SIMPLE_HEAD)
    for loss, each in found["shapley"].items():
        low, high = each["low"], each["high"]
        between = "" if low is None else f"{number(low, metric)} to {number(high, metric)}"
        cost = f"{seconds[loss]['value']:+.3g}" if loss in seconds else ""
        table.add_row(loss, number(each["value"], metric), between, cost)
    console.print(table)
    console.print(
        f"What each loss adds to it, {metric['better']} is better; interactions are in the report.", style="dim"
    )


def _of(row: Mapping[str, Any], metric: Mapping[str, Any]) -> tuple[str, str, str]:
    """Return a row's mean, how many seeds it is of, and of how many images each of their values."""
    images = " to ".join(dict.fromkeys(map(str, row["images"] or ())))
    return mean(row["values"], metric), str(len(row["values"])), images


def _means(report: Mapping[str, Any], names: Sequence[str]) -> Iterator[Table]:
    """Yield a column for each combination, under its number: as many in a table as fit into the terminal."""
    count = len(report["metrics"][names[0]]["rows"])
    wide = max(len(name) for name in names) + len("  ↓  ")
    most = max(1, (console.width - wide) // WIDTH)
    columns = [*range(count), COPY]
    for start in range(0, len(columns), most):
        some = columns[start : start + most]
        heads = [Column("copy" if place == COPY else str(place + 1), min_width=WIDTH - 2) for place in some]
        table = Table(Column("metric", no_wrap=True), *heads, box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
        for name in names:
            metric = report["metrics"][name]
            table.add_row(f"{name} {ARROW[metric['better']]}", *(_at(metric, place) for place in some))
        yield table


def _at(metric: Mapping[str, Any], place: int) -> str:
    if place == COPY:
        return number(metric["beside"]["copy"], metric, 3)
    return mean(metric["rows"][place]["values"], metric, 3)
