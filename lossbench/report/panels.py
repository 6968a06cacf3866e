"""The page's charts with the numbers beside them: seeds, attribution, curves, cost. Pure functions of a report."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from lossbench.bench.stats import contrast
from lossbench.report.charts import (
    Interval,
    Point,
    Scale,
    areas,
    axis,
    by_loss,
    lines,
    logarithmic,
    loss_of,
    on_front,
    portions,
    scatter,
    strip,
)
from lossbench.report.questions import Report
from lossbench.report.tables import MOST
from lossbench.report.words import error, listed, mean, number, title
from lossbench.screen import unit_of

SECONDS, MEMORY = "cost/seconds_per_step", "cost/peak_memory_mb"
ROWS = 2000  # of seeds that are drawn; of what is beyond only metrics with verdicts


def dots(report: Report, first: Sequence[str]) -> list[dict[str, Any]]:
    """Return every seed of every metric, those with verdicts first."""
    names = [*first, *(name for name in report["metrics"] if name not in first)]
    many = sum(len(metric["rows"]) for metric in report["metrics"].values()) > ROWS
    return [_dots(report, name) for name in (first if many else names)]


def _dots(report: Report, name: str) -> dict[str, Any]:
    metric = report["metrics"][name]
    base, *others = metric["rows"]
    again = [(f"{report['baseline']}, other seeds", metric["again"])] if metric["again"]["values"] else []
    rows = [(base["combination"], base), *again, *((row["combination"], row) for row in others)]
    values = [value for _, row in rows for value in row["values"]]
    scale = Scale.of(values)
    middle = statistics.fmean(base["values"]) if base["values"] else None
    marks = {"baseline": middle, **metric["beside"]}
    return {
        "name": name, "title": title(name, metric), "axis": axis(scale, metric["shown"]),
        "better": metric["better"], "marks": list(_marks(marks, scale, metric, report["baseline"])),
        "rows": [_row(name, label, row, metric, scale, marks, report["level"]) for label, row in rows],
    }  # fmt: skip


def _marks(
    marks: Mapping[str, float | None], scale: Scale, metric: Mapping[str, Any], baseline: str
) -> Iterator[dict[str, str]]:
    """Yield what the upright lines are, and which of them lie beyond the chart."""
    names = {"baseline": f"mean of {baseline}", "copy": "copy, the input itself", "floor": "floor, real against real"}
    for kind, value in marks.items():
        if value is not None:
            beyond = "" if scale.has(value) else ", beyond the chart"
            yield {"kind": kind, "said": f"{names[kind]}: {number(value, metric)}{beyond}"}


def _row(
    name: str, label: str, row: Mapping[str, Any], metric: Mapping[str, Any], scale: Scale,
    marks: Mapping[str, float | None], level: float,
) -> dict[str, Any]:  # fmt: skip
    values = row["values"]
    found = contrast({0: values}, {0: 1.0}, level=level, paired=False)
    middle = None if found.value is None else Interval(found.value, found.low, found.high)
    between = f", {between_of(asdict(found), metric)}" if found.low is not None else ""
    each = listed([number(value, metric) for value in values], most=20)
    said = f"{label}, {name}: {each}; mean {mean(values, metric)}{between}, n = {len(values)}" if values else ""
    return {
        "label": label, "mean": mean(values, metric), "error": error(values, metric), "n": len(values),
        "strip": strip(said or f"{label}, {name}: no value", scale, values, middle, marks),
    }  # fmt: skip


def between_of(estimate: Mapping[str, Any], metric: Mapping[str, Any]) -> str:
    """Return an interval, such as ``0.1 to 0.3``; of too few values nothing."""
    return "" if estimate["low"] is None else f"{number(estimate['low'], metric)} to {number(estimate['high'], metric)}"


def attribution(report: Report, names: Sequence[str]) -> Iterator[dict[str, Any]]:
    """Yield what each loss does to each of these metrics, beside what it costs."""
    for name in names:
        metric = report["metrics"][name]
        if not (found := metric["attribution"]):
            continue
        scales = {
            kind: Scale.of([0.0, *(each[key] for each in found[kind].values() for key in ("value", "low", "high"))])
            for kind in ("shapley", "interactions")
        }
        yield {
            "name": name, "title": title(name, metric), "level": f"{100 * found['level']:.3g} %",
            "sides": ("better", "worse") if metric["better"] == "lower" else ("worse", "better"),
            "axis": axis(scales["shapley"], metric["shown"]),
            "axis_interactions": axis(scales["interactions"], metric["shown"]),
            "losses": [
                _effect(loss, each, metric, scales["shapley"])
                | {"beside": [_beside(found["main"][loss], metric), *_spent(report, loss)]}
                for loss, each in found["shapley"].items()
            ],
            "interactions": [
                _effect(pair.replace("+", " with "), each, metric, scales["interactions"])
                for pair, each in found["interactions"].items()
            ],
        }  # fmt: skip


def _effect(label: str, estimate: Mapping[str, Any], metric: Mapping[str, Any], scale: Scale) -> dict[str, Any]:
    value = estimate["value"]
    middle = Interval(value, estimate["low"], estimate["high"]) if value is not None else None
    said = f"{label}: {_numbers(estimate, metric)}, {_sense(estimate, metric)}"
    return {
        "label": label, "numbers": _beside(estimate, metric), "sense": _sense(estimate, metric),
        "strip": strip(said, scale, [], middle, {"zero": 0.0}), "n": estimate["n"],
    }  # fmt: skip


def _numbers(estimate: Mapping[str, Any], metric: Mapping[str, Any]) -> str:
    if estimate["value"] is None:
        return "no value"
    between = f" ({between_of(estimate, metric)})" if estimate["low"] is not None else ""
    return f"{signed(estimate['value'], metric)}{between}"


def signed(value: float, metric: Mapping[str, Any]) -> str:
    """Return a difference as people see it."""
    return f"{value * metric['shown']:+.3g}"


def _sense(estimate: Mapping[str, Any], metric: Mapping[str, Any]) -> str:
    if estimate["low"] is None or estimate["low"] * estimate["high"] <= 0:
        return "no evidence"
    return "better" if (estimate["value"] < 0) == (metric["better"] == "lower") else "worse"


def _beside(estimate: Mapping[str, Any], metric: Mapping[str, Any], said: str = "") -> tuple[str, str]:
    """Return a value with its unit, and its interval."""
    if estimate["value"] is None:
        return "no value", ""
    return f"{signed(estimate['value'], metric)}{said}", between_of(estimate, metric)


def _spent(report: Report, loss: str) -> list[tuple[str, str]]:
    return [_cost(report, name, loss) for name in (SECONDS, MEMORY)]


def _cost(report: Report, name: str, loss: str) -> tuple[str, str]:
    metric = report["metrics"].get(name, {})
    each = (metric.get("attribution") or {}).get("shapley", {}).get(loss)
    return _beside(each, metric, f" {unit_of(metric)}") if each else ("not measured", "")


def curves(report: Report) -> list[dict[str, Any]]:
    """Return the loss curves of each combination's run in the middle."""
    shown = list(report.get("curves", {}).items())[:MOST]
    names = list(dict.fromkeys(loss_of(label) for _, curve in shown for label in curve["terms"]))
    return [curve_of(label, curve, names) for label, curve in shown]


def curve_of(label: str, curve: Mapping[str, Any], names: Sequence[str]) -> dict[str, Any]:
    """Return each term's share of what the generators minimise, the values, and apart from them the discriminators'."""
    steps, terms = curve["steps"], curve["terms"]
    own = {name: values for name, values in terms.items() if ":D" not in name}
    theirs = {name: values for name, values in terms.items() if ":D" in name}
    share = portions(by_loss(own)) if own else {}
    last = ", ".join(f"{name} {values[-1]:.0%}" for name, values in share.items())
    about = f"{label}, seed {curve['seed']}, step {steps[0]} to {steps[-1]}"
    return {
        "label": label, "seed": curve["seed"], "steps": steps[-1],
        "shares": areas(f"{about}: shares of the generators' objective; at the end {last}", steps, share, names)
        if share else "",
        "legend": [
            {"name": name, "colour": names.index(name), "first": f"{values[0]:.0%}", "last": f"{values[-1]:.0%}"}
            for name, values in share.items()
        ],
        "lines": [_lines(who, some, about, steps, names)
                  for who, some in (("generators", own), ("discriminators", theirs)) if some],
    }  # fmt: skip


def _lines(
    who: str, terms: Mapping[str, Sequence[float | None]], about: str, steps: Sequence[int], names: Sequence[str]
) -> dict[str, Any]:
    last = {label: "-" if values[-1] is None else f"{values[-1]:.3g}" for label, values in terms.items()}
    said = ", ".join(f"{label} {value}" for label, value in last.items())
    ways = list(dict.fromkeys(label.partition("/")[0] for label in terms))
    there = [value for values in terms.values() for value in values if value is not None]
    return {
        "who": who, "powers": logarithmic(there),
        "picture": lines(f"{about}: weighted terms of the {who}; at the end {said}", steps, terms, names),
        "terms": [
            {"label": label, "colour": names.index(loss_of(label)), "last": value,
             "dashed": ways.index(label.partition("/")[0]) > 0}
            for label, value in last.items()
        ],
    }  # fmt: skip


def costs(report: Report, names: Sequence[str]) -> Iterator[dict[str, Any]]:
    """Yield each of these metrics against seconds per step, with the combinations that nothing beats in both."""
    seconds = report["metrics"].get(SECONDS)
    for name in names if seconds else ():
        metric = report["metrics"][name]
        pairs = {
            row["combination"]: (statistics.fmean(spent["values"]), statistics.fmean(row["values"]))
            for row, spent in zip(metric["rows"], seconds["rows"], strict=True)
            if row["values"] and spent["values"]
        }
        fronts = on_front(list(pairs.values()), metric["better"])
        points = [Point(label, *at, front) for (label, at), front in zip(pairs.items(), fronts, strict=True)]
        if points:
            yield _costs(name, metric, seconds, points)


def _costs(name: str, metric: Mapping[str, Any], seconds: Mapping[str, Any], points: Sequence[Point]) -> dict[str, Any]:
    rows = [
        {"number": place, "label": each.name, "quality": number(each.y, metric), "front": each.front,
         "seconds": number(each.x, seconds)}
        for place, each in enumerate(points, 1)
    ]  # fmt: skip
    named = "; ".join(f"{row['label']} {row['quality']} at {row['seconds']} s" for row in rows if row["front"])
    return {
        "name": name, "title": title(name, metric), "better": metric["better"], "rows": rows,
        "reason": seconds["reason"],
        "picture": scatter(
            f"{name} against seconds per step, {len(rows)} combinations. Nothing is better in both than: {named}",
            points, (seconds["shown"], metric["shown"]),
        ),
    }  # fmt: skip
