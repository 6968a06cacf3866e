"""Tables of the docs from the reports of benches, results/bench-NAME.json, made by benchmarks/combinations.py."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

from reference import markdown  # type: ignore[import-not-found]  # the script's own folder

from lossbench.report.answer import Answer, answered
from lossbench.report.words import apart, error, listed, machine, mean, more_seeds, number, short, told

RESULTS = Path(__file__).parent / "results"
SUITES = ("shapes", "shapes-same", "shapes-squash", "emoji")


def combinations(name: str) -> str:
    """Every combination beside the baseline, its verdict, and what else was measured."""
    answer = _answer(name)
    (gate,) = answer.gates
    metric = answer.report["metrics"][gate.metric]
    judged = {row["combination"]: row for row in answer.losses}
    rows = [["losses", short(gate.metric, metric), f"beside {answer.report['baseline']}", "verdict"]]
    for row in metric["rows"]:
        said = (apart(judged[row["combination"]]), _verdict(judged[row["combination"]])) if len(rows) > 1 else ("", "")
        rows.append([row["combination"], f"{mean(row['values'], metric)} {error(row['values'], metric)}", *said])
    again = metric["again"]
    twin = f"{mean(again['values'], metric)} {error(again['values'], metric)}"
    rows.append([f"{answer.report['baseline']}, other seeds", twin, apart(again), again["verdict"]])
    for what, value in metric["beside"].items():
        if value is not None:
            rows.append([what, number(value, metric), "", ""])
    return "\n\n".join([str(markdown(rows)), outcome(name)])


def outcome(name: str) -> str:
    """What a bench came to, in words, and where it was computed."""
    answer = _answer(name)
    return f"{answer.sentence} {answer.earned} {_facts(answer)}"


def others(name: str) -> str:
    """Means of all that was measured in the first direction, which bear no verdict."""
    report = _answer(name).report
    way = report["primary"][0].partition("/")[0]
    names = [each for each in report["metrics"] if each.partition("/")[0] in (way, "cost")]
    combinations = [row["combination"] for row in report["metrics"][names[0]]["rows"]]
    rows = [["metric", *combinations, "copy"]]
    for each in names:
        metric = report["metrics"][each]
        means = [mean(row["values"], metric, 3) for row in metric["rows"]]
        rows.append([short(each, metric), *means, number(metric["beside"]["copy"], metric, 3)])
    return str(markdown(rows))


def attribution(name: str) -> str:
    """What each loss adds to each metric and to the cost, by its Shapley value."""
    report = _answer(name).report
    found = {each: metric for each, metric in report["metrics"].items() if metric["attribution"]}
    losses = list(next(iter(found.values()))["attribution"]["shapley"])
    rows = [["metric", *losses]]
    for each, metric in found.items():
        rows.append([short(each, metric), *(_effect(metric, loss) for loss in losses)])
    level = next(iter(found.values()))["attribution"]["level"]
    said = f"Shapley value with its interval at {100 * level:.3g} %, so that those of a row hold together"
    rest = "* leaves 0 out. Rows are not adjusted for each other: of many metrics some have a star by luck."
    return "\n\n".join([str(markdown(rows)), f"{said} at {100 * report['level']:g} %; {rest}"])


def report_pages() -> str:
    """The pages that the site makes of the reports, which are links there."""
    there = [name for name in SUITES if (RESULTS / f"bench-{name}.json").exists()]
    lines = [f"- `reports/{name}.html`: {_answer(name).sentence}" for name in there]
    return "\n".join(lines) or "Not measured yet."


def _effect(metric: dict[str, Any], loss: str) -> str:
    each = metric["attribution"]["shapley"][loss]
    if each["low"] is None:
        return number(each["value"], metric, 3)
    star = " *" if each["low"] * each["high"] > 0 else ""
    between = f"{number(each['low'], metric, 3)} to {number(each['high'], metric, 3)}"
    return f"{number(each['value'], metric, 3)} ({between}){star}"


def _verdict(row: dict[str, Any]) -> str:
    more = f", {more_seeds(row)}" if row["verdict"] == "inconclusive" else ""
    return f"{told(row)}{more}{', ' + row['reason'] if row['reason'] else ''}"


def _facts(answer: Answer) -> str:
    """Where the numbers come from: n, what was trained, machine, commit."""
    report = answer.report
    row = report["metrics"][answer.gates[0].metric]["rows"][0]
    seeds, images = len(row["values"]), " to ".join(dict.fromkeys(map(str, row["images"] or ())))
    return (
        f"{seeds} seeds of each combination, {images} test images, {report['settings']['train.steps']} steps at "
        f"{report['settings']['data.size']} px; ± is the standard error over seeds; intervals hold together at "
        f"{100 * report['level']:g} %; margin {answer.gates[0].margin}. "
        f"{listed([machine(each) for each in report['environments']])}."
    )


def _answer(name: str) -> Answer:
    return answered(json.loads((RESULTS / f"bench-{name}.json").read_text("utf-8")))


def _tables() -> Iterator[tuple[str, Callable[[], str]]]:
    for name in SUITES:
        for table in (combinations, others, attribution, outcome):
            yield f"{table.__name__}_{name.replace('-', '_')}", partial(table, name)


COMBINATIONS = {"report_pages": report_pages, **dict(_tables())}
