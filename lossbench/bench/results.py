"""From the records of cells to a report: values of every seed, verdicts, attribution. Nothing here trains or draws."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from itertools import chain, combinations
from typing import Any, Literal

from lossbench.bench.attribution import effects
from lossbench.bench.cells import MEANING, Cell
from lossbench.bench.judging import Rule, Sample, beside, incomplete, meant, sample
from lossbench.bench.stats import simultaneous
from lossbench.bench.suite import Combination, Suite, label, short
from lossbench.errors import RunError
from lossbench.record import LOG, last_line, read_record

SCHEMA = 2
COMPLAINT = "lossbench: "  # how the command line begins to say why it ended
ASIDE = {  # settings that do not decide what values are values of, or that are said elsewhere
    "data.dir", "metrics", "observe", "plugins", "recipe", "train.device", "train.every", "train.keep", "train.seed",
}  # fmt: skip
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
    facts: Mapping[str, Any] = field(default_factory=dict)  # run_id, directory, terms of the last step
    record: Mapping[str, Any] = field(default_factory=dict)


def results(cells: Iterable[Cell]) -> list[Result]:
    """Return what is known of every cell; none is left out."""
    return [_result(cell) for cell in cells]


def _result(cell: Cell) -> Result:
    own: tuple[Combination, int, bool] = (cell.combination, cell.seed, cell.again)
    try:
        record = read_record(cell.directory)
    except RunError as error:
        said = str(error) if (cell.directory / "run.json").exists() else cell.last_words().removeprefix(COMPLAINT)
        return Result(*own, "failed", said) if said else Result(*own, "missing")
    if record["run_id"] != cell.run_id:
        return Result(*own, "missing")
    metrics = record.get("metrics", {})
    beside = {what: _flat(metrics, what) for what in ("copy", "floor")}
    values = _flat(metrics, "translation") | _costs(record)
    reason = record["error"]
    if record["status"] == "failed" and (said := cell.last_words()).startswith(COMPLAINT):
        reason = said.removeprefix(COMPLAINT)  # a full disk has no place for it in the record
    own_facts = {"run_id": record["run_id"], "directory": cell.directory.name, "terms": _last_terms(cell)}
    return Result(*own, record["status"], reason, values, beside, own_facts, record)


def _last_terms(cell: Cell) -> dict[str, float | None]:
    """Return each raw term of the last step."""
    line = last_line(cell.directory / LOG)
    return {label: _finite(value) for label, value in line.get("raw", {}).items()}


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


def _flat(metrics: Mapping[str, Any], what: str) -> Values:
    """Return the values by direction and metric; one that is not finite, which no record should hold, is none."""
    found = {f"{way}/{name}": cell for way, all_of in metrics.items() for name, cell in all_of.get(what, {}).items()}
    return {name: cell | {"value": _finite(cell["value"])} for name, cell in found.items()}


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None


def report(suite: Suite, found: Sequence[Result], against: Mapping[str, str | None] | None = None) -> dict[str, Any]:
    """Return all that may be said: each metric of each combination, verdicts on the primary ones, attribution.

    Verdicts hold together: their intervals are at the suite's level over all of them (Bonferroni). The intervals of
    other metrics hold each by itself, for the combinations of that metric, and bear no verdict. ``against``: what each
    metric compares translations with, by name.
    """
    names = list(dict.fromkeys(chain.from_iterable(result.values for result in found)))
    chosen = suite.combinations()
    rows = {each: [one for one in found if one.combination == each and not one.again] for each in chosen}
    again = [one for one in found if one.again]
    primary = _primary(suite, names)
    others = len(chosen) - 1
    machines = list(
        {json.dumps(one.record["environment"]): one.record["environment"] for one in found if one.record}.values()
    )
    return {
        "schema": SCHEMA,
        **_about(found),
        "suite": suite.toml(),
        "environments": machines,
        "baseline": label(chosen[0]),
        "primary": primary,
        "level": suite.bench.level,
        "margin": suite.bench.margin,
        "pairing": suite.bench.pairing,
        "cells": [_cell(one) | _where(one, machines) for one in found],
        "metrics": {
            name: {"against": (against or {}).get(name.rpartition("/")[2])}
            | _metric(suite, name, rows, again, others * (len(primary) if name in primary else 1), name in primary)
            for name in names
        },
    }


def _about(found: Sequence[Result]) -> dict[str, Any]:
    """Return what all runs share, by the first that left a record: recipe, images, settings; and every loss."""
    records = [one.record for one in found if one.record]
    if not records:
        return {"recipe": None, "dataset": None, "settings": {}, "losses": {}}
    first, losses = records[0], _losses(records)
    settings = {
        key: value for key, value in first["config"].items() if key not in ASIDE and key.partition(".")[0] not in losses
    }
    return {"recipe": first["config"]["recipe"], "dataset": first["dataset"], "settings": settings, "losses": losses}


def _losses(records: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the losses of any run by name: what they were given, and whose they are."""
    found: dict[str, Any] = {}
    for term in chain.from_iterable(record["objective"] for record in records):
        way, _, name = term["term"].partition("/")
        name = name.partition("/")[0].partition(":")[0]
        facts = {key: term[key] for key in ("options", "distribution", "version", "sha256")}
        found.setdefault(name, facts | {"weights": {}})["weights"][way] = term["weight"]
    return found


def _where(one: Result, machines: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return where a run was computed, as a place among the environments."""
    return {"environment": machines.index(one.record["environment"]) if one.record else None}


def _primary(suite: Suite, names: Sequence[str]) -> list[str]:
    """Return the metrics that verdicts are about: of a name without a direction the first direction's."""
    asked = suite.bench.primary or [name for name in names if not name.startswith("cost/")][:1]
    return [name for name in (meant(word, names) for word in asked) if name]


def _cell(one: Result) -> dict[str, Any]:
    values = {name: value["value"] for name, value in one.values.items()}
    own = {"combination": label(one.combination), "seed": one.seed, "again": one.again, "status": one.status}
    facts = {"run_id": None, "directory": None, "terms": {}, **one.facts}
    return {**own, "plugins": list(one.combination), "error": one.error, "values": values, **facts}


def _metric(
    suite: Suite, name: str, rows: Rows, again: Sequence[Result], comparisons: int, judged: bool
) -> dict[str, Any]:
    """Return what is known of a metric: its meaning, each combination beside the baseline, and attribution."""
    every = [*chain.from_iterable(rows.values()), *again]
    meaning = next(one.values[name] for one in every if name in one.values)
    base, *others = rows
    level = simultaneous(suite.bench.level, comparisons)
    paired = suite.bench.pairing == "seed"
    rule = Rule(meaning["better"], suite.margin, level, paired)
    samples = {each: _sample(some, name) for each, some in rows.items()}
    mixed = _incomparable(every, name)
    told = next(filter(None, (one.values[name].get("reason") for one in every if name in one.values)), "")
    reason = mixed or told or incomplete(label(base), samples[base])
    own = {each: _row(each, rows[each], samples[each], name) for each in rows}
    found = [own[each] | beside(samples[each], samples[base], rule, reason) for each in others]
    twin = _sample(again, name)
    other = _row(base, again, twin, name) | beside(twin, samples[base], replace(rule, paired=False), reason)
    return {
        **{key: meaning[key] for key in ("unit", "better", "shown", "protocol", "weights")},
        "level": level,
        "reason": reason or None,
        "rows": [own[base], *(row | ({} if judged else {"verdict": None}) for row in found)],
        "again": other,
        "beside": {what: _beside(every, what, name) for what in ("copy", "floor")},
        "attribution": None if mixed else _attribution(suite, samples),
    }


def _sample(some: Iterable[Result], name: str) -> Sample:
    return sample([_cell(one) for one in some], name)


def _row(combination: Combination, some: Sequence[Result], found: Sample, name: str) -> dict[str, Any]:
    """Return a combination's values, and the seeds that have none."""
    measured = [one.values.get(name, {}) for one in some if one.status == "ok"]
    counts = [value["n"] for value in measured if value.get("value") is not None]
    return {
        "combination": label(combination),
        "values": found.values,
        "seeds_measured": found.seeds,
        "cells": len(some),
        "images": [min(counts), max(counts)] if counts else None,
        "failed": found.failed,
        "missing": found.missing,
    }


def _incomparable(every: Iterable[Result], name: str) -> str:
    """Say why the values of a metric cannot be compared, if they cannot."""
    values = [one.values[name] for one in every if name in one.values]
    kept = {str([each.get(key) for key in MEANING]) for each in values}
    return "it was not measured in one way (protocol, weights, file; of costs the machine)" if len(kept) > 1 else ""


def _beside(every: Iterable[Result], what: str, name: str) -> float | None:
    """Return the value of the copy or of the floor, which no training changes."""
    there = (one.beside.get(what, {}).get(name, {}).get("value") for one in every)
    return next((value for value in there if value is not None), None)


def _attribution(suite: Suite, samples: Mapping[Combination, Sample]) -> dict[str, Any] | None:
    """Return what each loss does, where every combination of those that vary was trained and measured."""
    everywhere = frozenset.intersection(*map(frozenset, samples)) | {suite.adversary}
    values = {frozenset(each) - everywhere: found.values for each, found in samples.items() if found.values}
    free = sorted(frozenset().union(*values))
    settings = {frozenset(on) for n in range(len(free) + 1) for on in combinations(free, n)}
    if not free or settings - set(values):
        return None
    same = len({tuple(found.seeds) for found in samples.values()}) == 1
    level = simultaneous(suite.bench.level, len(free))  # of all losses together
    found = effects(values, level=level, paired=suite.bench.pairing == "seed" and same)
    return {
        "level": level,
        "main": {short(loss): asdict(each) for loss, each in found.main.items()},
        "interactions": {label(pair): asdict(each) for pair, each in found.interactions.items()},
        "shapley": {short(loss): asdict(each) for loss, each in found.shapley.items()},
    }
