"""The answer in words: what was compared, what came of it, what to do now."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import inf
from statistics import fmean
from typing import Any

from lossbench.report.questions import Gate, Report, Row, groups
from lossbench.report.words import apart, listed, more_seeds, number, percent, plural

LOST = {"failed": ("failed", "diverged"), "missing": ("missing",)}
SIDES = ("helps", "hurts", "no evidence either way")
HEADLINES = {  # by word: of a change, of losses
    "regressed": ("regressed, do not merge yet", "a loss makes it worse"),
    "differs": ("results changed", ""),
    "incomparable": ("not compared", "not compared"),
    "incomplete": ("incomplete", "incomplete"),
    "improved": ("improved", "a loss helps"),
    "outdone": ("", "better than the baseline, worse than the unchanged input"),
    "inconclusive": ("it cannot be told whether it got worse", "not decided yet"),
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

    @cached_property
    def copied(self) -> dict[str, str]:
        """Return what decides and by which the unchanged input beats every combination, with the input's value.

        What compares translations with the input itself is left out: there nothing can beat it.
        """
        found = {}
        for name in dict.fromkeys(gate.metric for gate in self.gates):
            metric = self.report["metrics"][name]
            copy, sign = metric["beside"]["copy"], 1 if metric["better"] == "lower" else -1
            means = [sign * fmean(row["values"]) for row in metric["rows"] if row["values"]]
            rival = metric.get("against") in ("truth", "target") and copy is not None
            if rival and means and sign * copy < min(means):
                found[name] = number(copy, metric)
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
        again = sum(cell["again"] for cell in facts.report["cells"])
        twin = f", and {base} again with {plural(again, 'other seed')} as a check" if again else ""
        perfect = [gate.metric for gate in facts.gates if facts.report["metrics"][gate.metric].get("against") == "real"]
        ideal = f" The unchanged input is perfect by {listed(perfect)}, which compares with it." if perfect else ""
        change = "Of a change it says nothing: that takes a --baseline."
        return f"Losses compared with {base}: {n}{twin}; {gates}.{ideal} {change}"
    commits = [f" at {commit[:10]}" if (commit := commit_of(each)) else "" for each in (facts.report, facts.baseline)]
    if facts.exact is not None:
        expected = f"{n}; equal numbers are expected, to {facts.exact:g}"
        return f"This{commits[0]} compared run by run with the baseline{commits[1]}: {expected}."
    return f"This{commits[0]} compared with the baseline{commits[1]}: {n}; {gates}."


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
        every = plural(len({row["combination"] for row in facts.rows}), "combination")
        yield f"{len(some)} of {every} differ, most of all {_differing([max(some, key=_apart)])}."
    if some := by.get("incomparable"):
        yield f"{_upper(str(some[0]['reason']))} ({_names(some)})."
    for what, words in LOST.items():
        if cells := [cell for cell in facts.lost if cell["status"] in words]:
            yield f"{len(cells)} of {plural(len(facts.report['cells']), 'run')} {what}: {_lost(cells)}."
    if some := by.get("accepted"):
        exact = facts.exact is not None
        yield f"Other numbers, and accepted: {_differing(some)}." if exact else f"Worse, and accepted: {_named(some)}."
    if some := by.get("improved"):
        yield f"Better than {against}: {_named(some)}."
    if facts.baseline is None:
        for metric, value in facts.copied.items():
            better = f"By {metric} the unchanged input ({value}) is better than every combination"
            yield f"{better}: none is shown to translate well."
    if some := by.get("inconclusive"):
        if facts.baseline is None and (fine := by.get("ok")):
            yield f"No worse than {against}: {_named(fine)}."
        yield f"Too noisy to judge: {_unsure(facts, some)}."
    if word == "passed" and not by.get("accepted"):
        yield f"No worse than {against} in {plural(len(facts.rows), 'comparison')}." if facts.rows else (
            "There is one combination, so nothing to compare."
        )  # fmt: skip


def _named(rows: Sequence[Row]) -> str:
    return listed([f"{row['combination']}, {row['metric']} {apart(row)}" for row in rows], between="; ")


def _names(rows: Sequence[Row]) -> str:
    return listed(list(dict.fromkeys(row["combination"] for row in rows)))


def _upper(text: str) -> str:
    """Begin a sentence, unless with an option's key."""
    return text if "." in text.partition(" ")[0] else text[:1].upper() + text[1:]


def _differing(rows: Sequence[Row]) -> str:
    first = sorted(rows, key=_apart, reverse=True)
    return listed([f"{row['combination']}, {_by(row)}" for row in first], between="; ")


def _apart(row: Row) -> float:
    return inf if row["apart"] is None else float(row["apart"])


def _by(row: Row) -> str:
    return str(row["reason"]) if row["apart"] is None else f"{row['metric']} by {percent(row['apart'])}"


def _lost(cells: Sequence[Mapping[str, Any]]) -> str:
    return listed([f"{cell['combination']} seed {cell['seed']}" for cell in cells])


def _all(facts: Facts, rows: Sequence[Row]) -> str:
    """Return the combinations of some rows, of all together how many."""
    every = {row["combination"] for row in facts.rows}
    whole = len(every) > 1 and every == {row["combination"] for row in rows}
    return f"{'both' if len(every) == 2 else f'all {len(every)}'} combinations" if whole else _names(rows)


def _unsure(facts: Facts, rows: Sequence[Row]) -> str:
    """Say what cannot be told: of a change how bad it could be, of losses which way the means are."""
    if facts.baseline is not None:
        who = "it" if len({row["combination"] for row in rows}) == 1 else "they"
        return f"{_all(facts, rows)}; {who} could be {_at_worst(rows)} (allowed: {rows[0]['limit']})"
    if len(rows) == 1:
        return _named(rows)
    better = sum(row["worse"] is not None and row["worse"] < 0 for row in rows)
    means = f"{better} of {len(rows)} means are better than {facts.report['baseline']}'s"
    return f"{_all(facts, rows)}; {means}, by no more than luck could do"


def _at_worst(rows: Sequence[Row]) -> str:
    most = max((row["relative_high"] for row in rows if row.get("relative_high") is not None), default=inf)
    return "far worse" if most > 1 else f"up to {percent(most)} worse"


def advice(facts: Facts, word: str) -> str:
    """Say what to do, the decision first, then how."""
    return " ".join(_steps(facts, word))


def _steps(facts: Facts, word: str) -> Iterator[str]:
    if word == "incomparable":
        baseline = "make a new baseline: run this suite at the baseline's commit"
        yield f"Do not merge yet. Revert that, or, if it is intended, {baseline}."
    elif facts.baseline is None:
        yield from _of_losses(facts, word)
    else:
        yield from _of_change(facts, word)
    if facts.lost:
        failed = [cell for cell in facts.lost if cell["status"] != "missing"]
        then = "Run" if word == "incomplete" else "Then run"
        report = ", and make this report again" if facts.baseline else ""
        bench = f"the bench again, lossbench bench suite.toml, which reuses what is finished{report}"
        yield f"{then} {bench}{_by_hand(failed)}."


def _of_change(facts: Facts, word: str) -> Iterator[str]:
    if word == "regressed":
        yield "Do not merge. Fix what got worse, or accept it with a reason and a date (--accepted FILE)."
    elif word == "differs":
        yield (
            "Were results meant to change? If not, do not merge. If so, accept that with a reason and a date "
            "(--accepted FILE), or make a new baseline."
        )
    elif word == "incomplete":
        yield "Do not merge yet."
    elif word == "inconclusive":
        some = facts.by["inconclusive"]
        yield f"Merge only if {_at_worst(some)} would be acceptable: within {some[0]['limit']} is not shown."
        yield from _more(facts)
    else:
        yield "Merge: there is nothing to do."


def _of_losses(facts: Facts, word: str) -> Iterator[str]:
    if word == "regressed":
        yield "Leave these losses out, or lower their weights."
    elif word == "outdone":
        yield "Use none of them yet: train longer, or judge by a metric on which the unchanged input is bad."
    elif word == "improved":
        names = list(dict.fromkeys(row["combination"] for row in facts.by["improved"]))
        one = f"{names[0]}" if len(names) == 1 else "one of these; they were not compared with each other"
        yield f"Use {one}."
    elif word == "inconclusive":
        if helps := sides(facts.report, facts.gates).get("helps"):
            yield f"Over all combinations together {listed(list(helps))} helps; no single one is shown to be better."
        else:
            yield "Conclude nothing yet, neither that a loss helps nor that it does not."
        yield from _more(facts)


def _by_hand(cells: Sequence[Mapping[str, Any]]) -> str:
    """Say how to repeat the first of some runs."""
    if not cells:
        return ""
    words = ",".join(cells[0]["plugins"])
    return f". To see one fail: lossbench run --config suite.toml --plugins {words} --seed {cells[0]['seed']}"


def _more(facts: Facts) -> Iterator[str]:
    """Say what more seeds would bring, and what they cost."""
    rows = facts.by["inconclusive"]
    needed = [row for row in rows if row["seeds"]]
    if needed:
        first, most = min(needed, key=lambda row: row["seeds"]), max(row["seeds"] for row in needed)
        every = f"; {most} would judge {_all(facts, needed)}" if first["seeds"] < most else ""
        one = first["combination"] if every else _all(facts, needed)
        command = f"lossbench bench suite.toml --seeds {first['seeds']}"
        yield f"{first['seeds']} seeds would judge {one}: {command}{every}."
    beyond: dict[str, list[Row]] = {}
    for row in rows:
        if not row["seeds"]:
            beyond.setdefault(more_seeds(row).removeprefix("needs "), []).append(row)
    for what, some in beyond.items():
        yield f"{_names(some)} need{'s' * (len(some) == 1)} {what}."


def sides(report: Report, gates: Sequence[Gate]) -> dict[str, dict[str, str]]:
    """Return which losses help and hurt, and of which there is no evidence, each with its Shapley value in words.

    It is that for the first metric that decides, over all combinations together.
    """
    metric = report["metrics"][gates[0].metric] if gates else {}
    found: dict[str, dict[str, str]] = {}
    for loss, each in (metric.get("attribution") or {"shapley": {}})["shapley"].items():
        sign = 1 if metric["better"] == "higher" else -1
        clear = each["low"] is not None and each["low"] * each["high"] > 0
        side = ("helps" if each["value"] * sign > 0 else "hurts") if clear else "no evidence either way"
        between = "" if each["low"] is None else f" ({number(each['low'], metric)} to {number(each['high'], metric)})"
        found.setdefault(side, {})[loss] = f"{number(each['value'], metric)}{between}"
    return found


def earned(report: Report, gates: Sequence[Gate]) -> str:
    """Say which losses earned their place."""
    found = sides(report, gates)
    if not found:
        return ""
    listing = {side: ", ".join(map(" ".join, found.get(side, {}).items())) for side in SIDES}
    said = "; ".join(f"{side}: {losses}" for side, losses in listing.items() if losses)
    adds = f"What each loss adds to {gates[0].metric}, averaged over the others on and off (Shapley value)"
    return f"{adds}; {report['metrics'][gates[0].metric]['better']} is better. {_upper(said)}."
