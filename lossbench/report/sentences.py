"""The answer in words: what was compared, what came of it, what to do now."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import inf
from typing import Any

from lossbench.report.questions import Gate, Report, Row, groups
from lossbench.report.words import apart, listed, number, percent, plural

HEADLINES = {  # by word: of a change, of losses
    "regressed": ("regressed, do not merge yet", "a loss makes it worse"),
    "differs": ("results changed", ""),
    "incomparable": ("not compared", "not compared"),
    "incomplete": ("incomplete", "incomplete"),
    "improved": ("improved", "a loss helps"),
    "inconclusive": ("no regression found", "no evidence yet"),
    "passed": ("no regression", "no loss makes it worse"),
    "unchanged": ("unchanged", ""),
}


@dataclass(frozen=True)
class Facts:
    """What an answer is made of; ``rows`` are those of the question that decides."""

    report: Report
    baseline: Report | None
    gates: Sequence[Gate]
    rows: Sequence[Row]
    exact: float | None

    @cached_property
    def by(self) -> dict[str, list[Row]]:
        """Return the rows of each verdict."""
        found: dict[str, list[Row]] = {}
        for row in self.rows:
            found.setdefault("accepted" if row["accepted"] else row["verdict"], []).append(row)
        return found

    @property
    def lost(self) -> list[Mapping[str, Any]]:
        """Return the runs that failed or are missing."""
        return [cell for cell in self.report["cells"] if cell["status"] != "ok"]


def commit_of(report: Report) -> str:
    """Return the commit of the project that a bench ran in, or of lossbench itself, if either is known."""
    own = (report.get("project") or {}).get("commit")
    return str(own or next((each.get("commit") for each in report["environments"]), None) or "")


def headline(facts: Facts, word: str) -> str:
    """Return the word in the language of the question."""
    return HEADLINES[word][facts.baseline is None]


def compared(facts: Facts) -> str:
    """Say what stands beside what."""
    own = groups(facts.report)
    seeds = sorted({len(cells) for cells in own.values()})
    each = " to ".join(map(str, seeds[:1] + seeds[1:][-1:]))
    n = f"{plural(len(own), 'combination')}, {each} seed{'s' * (each != '1')} each"
    gates = ", ".join(f"{gate.metric} within {gate.margin}" for gate in facts.gates)
    if facts.baseline is None:
        base = facts.report["baseline"]
        return f"Losses compared with {base}: {n}, {gates}. Without --baseline nothing is said of a change."
    commits = [f" at {commit[:10]}" if (commit := commit_of(each)) else "" for each in (facts.report, facts.baseline)]
    if facts.exact is not None:
        expected = f"{n}; equal numbers are expected, to {facts.exact:g}"
        return f"This{commits[0]} compared run by run with the baseline{commits[1]}: {expected}."
    return f"This{commits[0]} compared with the baseline{commits[1]}: {n}, {gates}."


def sentence(facts: Facts, word: str) -> str:
    """Say what came of it, what matters most first."""
    if word == "unchanged":
        equal = "exactly the same numbers" if not facts.exact else f"the same numbers, to {facts.exact:g},"
        return f"All {plural(len(facts.report['cells']), 'run')} give {equal} as the baseline."
    return " ".join(_parts(facts, word))


def _parts(facts: Facts, word: str) -> Iterator[str]:
    by, against = facts.by, facts.report["baseline"] if facts.baseline is None else "the baseline"
    if some := by.get("regressed"):
        yield f"Worse than {against}: {_named(some)}."
    if some := by.get("differs"):
        yield f"The largest differences: {_differing(some)}."
    if some := by.get("incomparable"):
        yield f"{_upper(str(some[0]['reason']))} ({_names(some)})."
    if facts.lost:
        count = plural(len(facts.report["cells"]), "run")
        yield f"{len(facts.lost)} of {count} failed or missing: {_lost(facts.lost)}."
    if some := by.get("accepted"):
        exact = facts.exact is not None
        yield f"Other numbers, and accepted: {_differing(some)}." if exact else f"Worse, and accepted: {_named(some)}."
    if some := by.get("improved"):
        yield f"Better than {against}: {_named(some)}."
    if some := by.get("inconclusive"):
        yield _unsure(some)
    if word == "passed" and not by.get("accepted"):
        yield f"No worse than {against} in {plural(len(facts.rows), 'comparison')}." if facts.rows else (
            "There is one combination, so nothing to compare."
        )  # fmt: skip


def _named(rows: Sequence[Row]) -> str:
    return listed([f"{row['combination']}, {row['metric']} {apart(row)}" for row in rows], between="; ")


def _names(rows: Sequence[Row]) -> str:
    return listed(list(dict.fromkeys(row["combination"] for row in rows)))


def _upper(text: str) -> str:
    return text[:1].upper() + text[1:]


def _differing(rows: Sequence[Row]) -> str:
    first = sorted(rows, key=lambda row: -inf if row["apart"] is None else -row["apart"])
    return listed([f"{row['combination']}, {_by(row)}" for row in first], between="; ")


def _by(row: Row) -> str:
    return str(row["reason"]) if row["apart"] is None else f"{row['metric']} by {percent(row['apart'])}"


def _lost(cells: Sequence[Mapping[str, Any]]) -> str:
    return listed([f"{cell['combination']} seed {cell['seed']} {cell['status']}" for cell in cells])


def _unsure(rows: Sequence[Row]) -> str:
    """Say what cannot be told, and how much could hide in it."""
    most = max((row["relative_high"] for row in rows if row.get("relative_high") is not None), default=None)
    hidden = "" if most is None else f"; in them up to {percent(most)} worse could hide"
    return f"Too noisy to judge: {_names(rows)}{hidden}."


def advice(facts: Facts, word: str) -> str:
    """Say what to do, of everything that is to be done."""
    return " ".join(_steps(facts, word))


def _steps(facts: Facts, word: str) -> Iterator[str]:
    change = facts.baseline is not None
    if word == "regressed" and change:
        yield "Fix what got worse, or accept it with a reason and a date (--accepted FILE)."
    if word == "regressed" and not change:
        yield "Leave these losses out, or lower their weights."
    if facts.lost:
        yield f"Look at the runs that failed{_by_hand(facts.lost[0])} and run the bench again; the others are kept."
    if word == "differs":
        fixed = "once no run fails, " if facts.lost else ""
        yield (
            f"If this change was to alter results, {fixed}accept it with a reason and a date (--accepted FILE) or make "
            "a new baseline; if not, do not merge it."
        )
    if word == "incomparable":
        yield "If that was intended, make a new baseline with these settings; if not, take it back."
    if word == "inconclusive":
        yield from _more(facts)
    if word in ("passed", "unchanged", "improved") and change:
        yield "Nothing to do."


def _by_hand(cell: Mapping[str, Any]) -> str:
    words = ",".join(cell["plugins"])
    return f" (lossbench run --config suite.toml --plugins {words} --seed {cell['seed']})"


def _more(facts: Facts) -> Iterator[str]:
    """Say what more seeds would bring, and what they cost."""
    rows = facts.by["inconclusive"]
    if facts.baseline is not None:
        yield "Merge it if you can live with that."
    needed = [row["seeds"] for row in rows if row["seeds"]]
    have = max(len(row["values"]) for row in rows)
    if needed:
        most = max(needed)
        yield f"To judge {len(needed)} of them: --seeds {most}, about {most / max(have, 1):.2g} times the work."
    if len(needed) < len(rows):
        yield f"{len(rows) - len(needed)} would need more than 100 seeds."


def earned(report: Report, gates: Sequence[Gate]) -> str:
    """Say which losses earned their place, by their Shapley values for the first metric that decides."""
    if not gates or not (found := report["metrics"][gates[0].metric]["attribution"]):
        return ""
    metric = report["metrics"][gates[0].metric]
    sides: dict[str, list[str]] = {"helps": [], "hurts": [], "no evidence either way": []}
    for loss, each in found["shapley"].items():
        sign = 1 if metric["better"] == "higher" else -1
        clear = each["low"] is not None and each["low"] * each["high"] > 0
        side = ("helps" if each["value"] * sign > 0 else "hurts") if clear else "no evidence either way"
        between = "" if each["low"] is None else f", {number(each['low'], metric)} to {number(each['high'], metric)}"
        sides[side].append(f"{loss} ({number(each['value'], metric)}{between})")
    said = "; ".join(f"{side}: {', '.join(some)}" for side, some in sides.items() if some)
    return f"What each loss adds to {gates[0].metric}, {metric['better']} is better, by Shapley value. {_upper(said)}."
