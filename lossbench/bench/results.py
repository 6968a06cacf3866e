"""From the records of cells to a report: values of every seed, verdicts, attribution. Nothing here trains or draws."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from itertools import chain, combinations
from typing import Any, Literal

from lossbench.bench.attribution import effects
from lossbench.bench.cells import MEANING, Cell
from lossbench.bench.stats import Comparison, compare, simultaneous
from lossbench.bench.suite import Combination, Suite, label, short
from lossbench.errors import RunError
from lossbench.record import read_record

SCHEMA = 1
COMPLAINT = "lossbench: "  # how the command line begins to say why it ended
Status = Literal["ok", "failed", "diverged", "missing"]
Rows = Mapping[Combination, Sequence["Result"]]
Values = dict[str, dict[str, Any]]  # "A2B/kid" -> value, n, unit, better, protocol, ...


@dataclass(frozen=True)
class Result:
    """What came of a cell."""

    combination: Combination
    seed: int
    again: bool
    status: Status
    error: str | None = None
    values: Values = field(default_factory=dict)
    beside: Mapping[str, Values] = field(default_factory=dict)  # copy, floor
    facts: Mapping[str, Any] = field(default_factory=dict)  # seconds per step, memory, run_id, directory


def results(cells: Iterable[Cell]) -> list[Result]:
    """Return what is known of every cell; none is left out."""
    return [_result(cell) for cell in cells]


def _result(cell: Cell) -> Result:
    own = (cell.combination, cell.seed, cell.again)
    try:
        record = read_record(cell.directory)
    except RunError as error:
        said = str(error) if (cell.directory / "run.json").exists() else _last_line(cell).removeprefix(COMPLAINT)
        return Result(*own, "failed", said) if said else Result(*own, "missing")
    if record["run_id"] != cell.run_id:
        return Result(*own, "missing")
    metrics = record.get("metrics", {})
    beside = {what: _flat(metrics, what) for what in ("copy", "floor")}
    facts = {
        "run_id": record["run_id"], "directory": cell.directory.name, "environment": record["environment"],
    }  # fmt: skip
    values = _flat(metrics, "translation") | _costs(record)
    reason = record["error"]
    if record["status"] == "failed" and (said := _last_line(cell)).startswith(COMPLAINT):
        reason = said.removeprefix(COMPLAINT)  # a full disk has no place for it in the record
    return Result(*own, record["status"], reason, values, beside, facts)


def _costs(record: Mapping[str, Any]) -> Values:
    """Return what a run cost, as values of metrics: those of one machine are comparable."""
    where = ", ".join(str(record["environment"][key]) for key in ("cpu", "threads", "device"))
    speed = record.get("speed") or {}
    spent = {
        "cost/seconds_per_step": {"value": speed.get("median"), "n": speed.get("n", 0), "unit": "s"},
        "cost/peak_memory_mb": {"value": record.get("peak_memory_mb"), "n": 1, "unit": "MB"},
    }
    same = {"better": "lower", "shown": 1.0, "protocol": where, "weights": {}, "sha256": ""}
    return {name: each | same for name, each in spent.items() if each["value"] is not None}


def _last_line(cell: Cell) -> str:
    """Return the last line that a cell printed."""
    try:
        lines = cell.log.read_text("utf-8", "replace").split("\n")
    except OSError:
        return ""
    return next((line.strip() for line in reversed(lines) if line.strip()), "")


def _flat(metrics: Mapping[str, Any], what: str) -> Values:
    """Return the values by direction and metric; one that is not finite, which no record should hold, is none."""
    found = {f"{way}/{name}": cell for way, all_of in metrics.items() for name, cell in all_of.get(what, {}).items()}
    return {name: cell | {"value": _finite(cell["value"])} for name, cell in found.items()}


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None


def report(suite: Suite, found: Sequence[Result]) -> dict[str, Any]:
    """Return all that may be said: each metric of each combination, verdicts on the primary ones, attribution.

    Verdicts hold together: their intervals are at the suite's level over all of them (Bonferroni). The intervals of
    other metrics hold each by itself, for the combinations of that metric, and bear no verdict.
    """
    names = list(dict.fromkeys(chain.from_iterable(result.values for result in found)))
    chosen = suite.combinations()
    rows = {each: [one for one in found if one.combination == each and not one.again] for each in chosen}
    again = [one for one in found if one.again]
    primary = _primary(suite, names)
    others = len(chosen) - 1
    return {
        "schema": SCHEMA,
        "baseline": label(chosen[0]),
        "primary": primary,
        "level": suite.bench.level,
        "margin": suite.bench.margin,
        "pairing": suite.bench.pairing,
        "cells": [_cell(one) for one in found],
        "metrics": {
            name: _metric(suite, name, rows, again, others * (len(primary) if name in primary else 1), name in primary)
            for name in names
        },
    }


def _primary(suite: Suite, names: Sequence[str]) -> list[str]:
    """Return the metrics that verdicts are about: of a name without a direction the first direction's."""
    asked = suite.bench.primary or [name for name in names if not name.startswith("cost/")][:1]
    found = [next((name for name in names if name == word or name.rpartition("/")[2] == word), None) for word in asked]
    return [name for name in found if name]


def _cell(one: Result) -> dict[str, Any]:
    values = {name: value["value"] for name, value in one.values.items()}
    own = {"combination": label(one.combination), "seed": one.seed, "again": one.again, "status": one.status}
    return {**own, "error": one.error, "values": values, **one.facts}


def _metric(
    suite: Suite, name: str, rows: Rows, again: Sequence[Result], comparisons: int, judged: bool
) -> dict[str, Any]:
    """Return what is known of a metric: its meaning, each combination beside the baseline, and attribution."""
    every = [*chain.from_iterable(rows.values()), *again]
    meaning = next(one.values[name] for one in every if name in one.values)
    base, *others = rows
    level = simultaneous(suite.bench.level, comparisons)
    judge = partial(compare, better=meaning["better"], margin=suite.margin, level=level)
    mixed, paired = _incomparable(every, name), suite.bench.pairing == "seed"
    baseline = _row(base, rows[base], name)
    told = next(filter(None, (one.values[name].get("reason") for one in every if name in one.values)), "")
    reason = mixed or told or _incomplete(baseline)
    found = [_row(each, rows[each], name) | _compared(judge, rows[each], rows[base], name, paired) for each in others]
    twin = _row(base, again, name) | _compared(judge, again, rows[base], name, paired=False)
    return {
        **{key: meaning[key] for key in ("unit", "better", "shown", "protocol", "weights")},
        "level": level,
        "reason": reason or None,
        "rows": [baseline, *(row | {"verdict": _verdict(row, reason) if judged else None} for row in found)],
        "again": twin | {"verdict": _verdict(twin, reason)},
        "beside": {what: _beside(every, what, name) for what in ("copy", "floor")},
        "attribution": None if mixed else _attribution(suite, rows, name),
    }


def _row(combination: Combination, some: Sequence[Result], name: str) -> dict[str, Any]:
    """Return a combination's values, and the seeds that have none: a run that is whole may have nothing to measure."""
    failed = [one.seed for one in some if one.status in ("failed", "diverged")]
    missing = sorted({one.seed for one in some} - {*failed, *_seeds(some, name)})
    counts = [one.values[name]["n"] for one in _measured(some, name)]
    own = {"combination": label(combination), "values": _series(some, name), "cells": len(some)}
    own |= {"images": [min(counts), max(counts)] if counts else None}
    return {**own, "failed": failed, "missing": missing}


def _incomplete(baseline: Mapping[str, Any]) -> str:
    """Say why nothing can be compared with the baseline, if so."""
    lost = [*baseline["failed"], *baseline["missing"]]
    seeds = ", ".join(map(str, lost))
    return f"nothing is compared with {baseline['combination']}, which has no value of seed {seeds}" if lost else ""


def _verdict(row: Mapping[str, Any], reason: str) -> str:
    """Return a comparison's verdict, unless runs are lost: what is left of them is no fair sample."""
    lost = next((what for what in ("failed", "missing") if row[what]), "")
    return lost or ("incomparable" if reason else str(row["verdict"]))


def _compared(
    judge: Callable[..., Comparison], some: Sequence[Result], base: Sequence[Result], name: str, paired: bool
) -> dict[str, Any]:
    """Return a group of cells beside the baseline's, seed by seed where both have the same."""
    same = _seeds(some, name) == _seeds(base, name)
    found = judge(_series(some, name), _series(base, name), paired=paired and same)
    shares = {key: getattr(found, key) for key in ("relative", "relative_low", "relative_high")}
    return asdict(found) | shares | ({} if same else {"correlation": None})


def _measured(some: Iterable[Result], name: str) -> list[Result]:
    return [one for one in some if one.status == "ok" and (one.values.get(name) or {}).get("value") is not None]


def _seeds(some: Iterable[Result], name: str) -> list[int]:
    return [one.seed for one in _measured(some, name)]


def _series(some: Iterable[Result], name: str) -> list[float]:
    return [one.values[name]["value"] for one in _measured(some, name)]


def _incomparable(every: Iterable[Result], name: str) -> str:
    """Say why the values of a metric cannot be compared, if they cannot."""
    values = [one.values[name] for one in every if name in one.values]
    kept = {str([each.get(key) for key in MEANING]) for each in values}
    return "it was not measured in one way (protocol, weights, file; of costs the machine)" if len(kept) > 1 else ""


def _beside(every: Iterable[Result], what: str, name: str) -> float | None:
    """Return the value of the copy or of the floor, which no training changes."""
    there = (one.beside.get(what, {}).get(name, {}).get("value") for one in every)
    return next((value for value in there if value is not None), None)


def _attribution(suite: Suite, rows: Rows, name: str) -> dict[str, Any] | None:
    """Return what each loss does, where every combination of those that vary was trained and measured."""
    everywhere = frozenset.intersection(*map(frozenset, rows)) | {suite.adversary}
    values = {frozenset(each) - everywhere: _series(some, name) for each, some in rows.items() if _series(some, name)}
    free = sorted(frozenset().union(*values))
    settings = {frozenset(on) for n in range(len(free) + 1) for on in combinations(free, n)}
    if not free or settings - set(values):
        return None
    same = len({tuple(_seeds(some, name)) for some in rows.values()}) == 1
    found = effects(values, level=suite.bench.level, paired=suite.bench.pairing == "seed" and same)
    return {
        "level": suite.bench.level,
        "main": {short(loss): asdict(each) for loss, each in found.main.items()},
        "interactions": {label(pair): asdict(each) for pair, each in found.interactions.items()},
        "shapley": {short(loss): asdict(each) for loss, each in found.shapley.items()},
    }
