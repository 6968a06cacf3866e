"""Rows of the two questions: a combination beside the baseline's, and beside itself in another report."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lossbench.bench.judging import FAILED, Rule, Sample, beside, incomplete, sample
from lossbench.bench.stats import Margin, simultaneous

Report = Mapping[str, Any]
Row = dict[str, Any]
MEANING = ("protocol", "weights")
UNFAIR = ("failed", "missing", "incomparable")  # verdicts beside which no difference is shown
ABSENT = {"status": "missing"}
TOLD = {"improved": "better", "regressed": "worse", "ok": "no worse"}  # of losses


@dataclass(frozen=True)
class Gate:
    """A metric that verdicts are about, and how much worse it may be."""

    metric: str
    margin: Margin


def groups(report: Report) -> dict[str, list[Mapping[str, Any]]]:
    """Return the runs of each combination, without the baseline's other seeds."""
    found: dict[str, list[Mapping[str, Any]]] = {report["baseline"]: []}
    for cell in report["cells"]:
        if not cell["again"]:
            found.setdefault(cell["combination"], []).append(cell)
    return found


def beside_baseline(report: Report, gates: Sequence[Gate]) -> Iterator[Row]:
    """Compare each combination with the baseline combination."""
    base, *others = (own := groups(report))
    level = simultaneous(report["level"], len(others) * len(gates))
    for gate in gates:
        metric = report["metrics"][gate.metric]
        beneath = sample(own[base], gate.metric)
        reason = metric["reason"] or ""
        for name in others:
            row = _row(name, gate, metric, sample(own[name], gate.metric), beneath, _rule(report, gate, level), reason)
            yield row | {"told": TOLD.get(row["verdict"])}


def beside_before(report: Report, baseline: Report, gates: Sequence[Gate]) -> Iterator[Row]:
    """Compare each combination with itself in the baseline."""
    now, before = groups(report), groups(baseline)
    everything = list(dict.fromkeys([*now, *before]))
    both = [name for name in everything if name in now and name in before]
    level = simultaneous(report["level"], len(both) * len(gates))
    other = _otherwise(report, baseline)
    for gate in gates:
        metric, earlier = report["metrics"][gate.metric], baseline["metrics"].get(gate.metric)
        for name in everything:
            mine, theirs = sample(now.get(name, ()), gate.metric), sample(before.get(name, ()), gate.metric)
            reason = other or _unlike(gate.metric, metric, earlier) or incomplete(f"{name} of the baseline", theirs)
            row = _row(name, gate, metric, mine, theirs, _rule(report, gate, level), reason)
            if name not in before:
                row |= {"verdict": "new", "reason": "the baseline does not have it"}
            elif name not in now:
                row |= {"verdict": "missing", "reason": "only the baseline has it"}
            yield row


def _rule(report: Report, gate: Gate, level: float) -> Rule:
    better = report["metrics"][gate.metric]["better"]
    return Rule(better, gate.margin, level, report["pairing"] == "seed")


def _row(
    name: str, gate: Gate, metric: Mapping[str, Any], mine: Sample, theirs: Sample, rule: Rule, reason: str
) -> Row:
    found = beside(mine, theirs, rule, reason)
    lost = [f"seed {seed}" for seed in mine.lost]
    same = bool(mine.values) and (mine.seeds, mine.values) == (theirs.seeds, theirs.values)
    if same and found["verdict"] == "inconclusive":
        found |= {"verdict": "ok"}  # the same bits: there is no noise between them
    return {
        "combination": name, "metric": gate.metric, "limit": str(gate.margin), **found,
        "values": mine.values, "before": theirs.values, "identical": same, "accepted": None,
        "reason": ", ".join(lost) or (reason if found["verdict"] == "incomparable" else None),
    }  # fmt: skip


def _otherwise(report: Report, baseline: Report) -> str:
    """Say what makes two reports ones of different things, if so."""
    if report["recipe"] != baseline["recipe"]:
        return f"the recipe was {baseline['recipe']}, is {report['recipe']}"
    mine, theirs = report["dataset"] or {}, baseline["dataset"] or {}
    if mine.get("fingerprint") != theirs.get("fingerprint"):
        return f"the images are others: {theirs.get('name')} then, {mine.get('name')} now"
    now, before = report["settings"], baseline["settings"]
    differ = [key for key in {**before, **now} if now.get(key) != before.get(key)]
    return "; ".join(f"{key} was {before.get(key)}, is {now.get(key)}" for key in differ)


def _unlike(name: str, now: Mapping[str, Any], before: Mapping[str, Any] | None) -> str:
    if before is None:
        return f"the baseline has no {name}"
    if now["reason"] or before["reason"]:
        return str(now["reason"] or before["reason"])
    return "" if all(now[key] == before[key] for key in MEANING) else f"{name} was measured by another protocol"


def exactly(report: Report, baseline: Report, tolerance: float) -> Iterator[Row]:
    """Compare every value and term of each run with the same run's in the baseline."""
    now, before = groups(report), groups(baseline)
    other = _otherwise(report, baseline)
    for name in dict.fromkeys([*now, *before]):
        row: Row = {"combination": name, "metric": "", "identical": False, "accepted": None, "reason": None}
        mine = {cell["seed"]: cell for cell in now.get(name, ())}
        theirs = {cell["seed"]: cell for cell in before.get(name, ())}
        if other:
            yield row | {"verdict": "incomparable", "reason": other}
        elif name not in before:
            yield row | {"verdict": "new", "reason": "the baseline does not have it"}
        elif lost := _not_ok({**dict.fromkeys(theirs, ABSENT), **mine}):
            word = "failed" if any(cell["status"] in FAILED for cell in mine.values()) else "missing"
            yield row | {"verdict": word, "reason": lost}
        elif lost := _not_ok({**dict.fromkeys(mine, ABSENT), **theirs}):
            yield row | {"verdict": "incomparable", "reason": f"the baseline's {lost}"}
        else:
            yield row | _farthest([(cell, theirs[seed]) for seed, cell in mine.items()], tolerance)


def _not_ok(cells: Mapping[int, Mapping[str, Any]]) -> str:
    return ", ".join(f"seed {seed} {cell['status']}" for seed, cell in cells.items() if cell["status"] != "ok")


def _farthest(pairs: Sequence[tuple[Mapping[str, Any], Mapping[str, Any]]], tolerance: float) -> Row:
    """Return the largest relative difference of any value or term, and of which."""
    worst, where = 0.0, ""
    for now, before in pairs:
        for kind in ("values", "terms"):
            for name in [name for name in {**now[kind], **before[kind]} if not name.startswith("cost/")]:
                a, b = now[kind].get(name), before[kind].get(name)
                if (a is None) != (b is None):
                    said = f"{name} is in {'the baseline' if a is None else 'this'} alone"
                    return {"verdict": "differs", "metric": name, "apart": None, "reason": said}
                if a is not None and b is not None and a != b:
                    worst, where = max((worst, where), (abs(a - b) / max(abs(a), abs(b)), name))
    return {
        "verdict": "differs" if worst > tolerance else "ok",
        "metric": where,
        "apart": worst,
        "identical": not worst,
    }
