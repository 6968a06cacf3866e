"""What a report comes to: verdicts, one sentence, what to do, an exit code.

Two questions, never in one table. Does a loss help: combinations beside the baseline combination. Did a change break
something: each combination beside itself in another report. The second decides the exit code where it is asked.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from lossbench.bench.stats import Margin
from lossbench.errors import OptionError, near_miss
from lossbench.report.accepted import Accepted, accept, unused
from lossbench.report.questions import Gate, Report, Row, beside_baseline, beside_before, exactly
from lossbench.report.words import apart, listed, number, plural

Word = Literal["regressed", "differs", "incomparable", "incomplete", "inconclusive", "passed", "unchanged"]
CODES: Mapping[Word, int] = {"regressed": 1, "differs": 1, "incomparable": 4, "incomplete": 3}
STRICT = 5  # inconclusive, where that is not enough


@dataclass(frozen=True)
class Answer:
    """All that the forms of a report say; ``losses`` and ``change`` are the rows of the two questions."""

    report: Report
    gates: Sequence[Gate]
    losses: Sequence[Row]
    change: Sequence[Row] | None
    word: Word
    sentence: str
    advice: str
    exit_code: int
    notes: Sequence[str] = field(default_factory=tuple)
    earned: str = ""
    exact: float | None = None

    @property
    def failures(self) -> list[Mapping[str, Any]]:
        """Return the runs that did not end well."""
        return [cell for cell in self.report["cells"] if cell["status"] != "ok"]

    def json(self) -> dict[str, Any]:
        """Return the report with its answer."""
        own = {
            key: getattr(self, key) for key in ("word", "sentence", "advice", "earned", "exit_code", "notes", "exact")
        }
        gates = [{"metric": gate.metric, "margin": str(gate.margin)} for gate in self.gates]
        return {**self.report, "answer": {**own, "gates": gates, "losses": self.losses, "change": self.change}}


def answered(
    report: Report,
    baseline: Report | None = None,
    *,
    fail_on: Sequence[str] = (),
    strict: bool = False,
    accepted: Sequence[Accepted] = (),
    merge_base: str | None = None,
    exact: float | None = None,
) -> Answer:
    """Judge a report, beside another if there is one.

    Args:
        report: as ``read_report`` returns it.
        baseline: the same of another commit.
        fail_on: metrics that decide, each with its margin, ``kid:3%``; by itself those of the suite.
        strict: what is inconclusive is not good enough.
        accepted: regressions that do not count.
        merge_base: the commit that the baseline should be of.
        exact: in the place of statistics, the relative difference that every value and term may have.

    Raises:
        OptionError: a metric that was not measured, an exact comparison with nothing.
    """
    gates = gates_of(report, fail_on)
    losses = list(beside_baseline(report, gates))
    change = None
    if baseline is not None:
        change = list(exactly(report, baseline, exact) if exact is not None else beside_before(report, baseline, gates))
    elif exact is not None:
        raise OptionError("--exact compares with another report. Name it: --baseline FILE")
    rows = losses if change is None else change
    accept(rows, accepted)
    notes = [*_rules(report, gates, fail_on), *_others(report, baseline, merge_base), *unused(rows, accepted)]
    word = _word(report, rows, asked=change is not None)
    made = Answer(report, gates, losses, change, word, "", "", 0, notes, _earned(report, gates), exact)
    code = CODES.get(made.word, STRICT if strict and made.word == "inconclusive" else 0)
    return replace(made, exit_code=code, sentence=_sentence(made, rows), advice=_advice(made, rows))


def gates_of(report: Report, words: Sequence[str]) -> list[Gate]:
    """Return what decides.

    Raises:
        OptionError: a metric that was not measured, a margin that is none.
    """
    if not words:
        return [Gate(name, Margin.parse(report["margin"])) for name in report["primary"]]
    return [_gate(report, word) for word in words]


def _gate(report: Report, word: str) -> Gate:
    name, _, margin = word.partition(":")
    known = list(report["metrics"])
    found = next((each for each in known if each == name or each.rpartition("/")[2] == name), None)
    if found is None:
        close = near_miss(name, [*known, *(each.rpartition("/")[2] for each in known)])
        raise OptionError(f"--fail-on {word}: {name} was not measured.{close} Measured: {', '.join(known)}.")
    return Gate(found, Margin.parse(margin or report["margin"]))


def _rules(report: Report, gates: Sequence[Gate], fail_on: Sequence[str]) -> Iterator[str]:
    yield from (f"Changed when values could be seen already: {said}." for said in report.get("changed", ()))
    own = [Gate(name, Margin.parse(report["margin"])) for name in report["primary"]]
    if fail_on and list(gates) != own:
        said = ", ".join(f"{gate.metric} within {gate.margin}" for gate in own)
        yield f"The suite fixed {said}; --fail-on judges otherwise."


def _others(report: Report, baseline: Report | None, merge_base: str | None) -> Iterator[str]:
    """Say what differs around a comparison with a baseline without making it impossible."""
    if baseline is None:
        return
    for key, what in (("cpu", "processor"), ("device", "device")):
        now, before = ({each.get(key) for each in some["environments"]} for some in (report, baseline))
        if now != before:
            yield f"Another {what}: {listed(sorted(map(str, before)))} then, {listed(sorted(map(str, now)))} now."
    for package in ("torch", "lossbench"):
        now, before = ({each["packages"].get(package) for each in some["environments"]} for some in (report, baseline))
        if now != before:
            yield f"{package} was {listed(sorted(map(str, before)))}, is {listed(sorted(map(str, now)))}."
    commits = {str(each.get("commit") or "") for each in baseline["environments"]}
    if merge_base and any(
        not merge_base.startswith(commit) and not commit.startswith(merge_base) for commit in commits
    ):
        said = listed([commit[:10] or "an installed version" for commit in sorted(commits)])
        yield f"The baseline is of {said}, not of the merge base {merge_base[:10]}."


def _word(report: Report, rows: Sequence[Row], *, asked: bool) -> Word:
    verdicts = {row["verdict"] for row in rows if not row["accepted"]}
    if "regressed" in verdicts:
        return "regressed"
    if "differs" in verdicts:
        return "differs"
    if "incomparable" in verdicts:
        return "incomparable"
    if {"failed", "missing"} & verdicts or any(cell["status"] != "ok" for cell in report["cells"]):
        return "incomplete"
    if "inconclusive" in verdicts:
        return "inconclusive"
    return "unchanged" if asked and rows and all(row["identical"] for row in rows) else "passed"


def _sentence(made: Answer, rows: Sequence[Row]) -> str:
    against = made.report["baseline"] if made.change is None else "the baseline"
    by: dict[str, list[Row]] = {}
    for row in rows:
        by.setdefault("accepted" if row["accepted"] else row["verdict"], []).append(row)
    count = len(made.report["cells"])
    lost = sum(cell["status"] != "ok" for cell in made.report["cells"])
    if made.word == "unchanged":
        within = f" to {made.exact:g}" if made.exact is not None else ""
        return f"Nothing changed: {plural(count, 'run')} with the values of the baseline{within}."
    parts = []
    if some := by.get("regressed"):
        parts.append(f"Worse than {against}: {_named(some)}.")
    if some := by.get("differs"):
        parts.append(f"Other values than {against}: {_differing(some)}.")
    if some := by.get("incomparable"):
        parts.append(f"Nothing can be said of {_names(some)}: {some[0]['reason']}.")
    if lost:
        parts.append(f"{plural(lost, 'run')} of {count} failed or missing.")
    if some := by.get("accepted"):
        parts.append(f"Worse, and accepted: {_named(some)}.")
    if some := by.get("improved"):
        parts.append(f"Better than {against}: {_named(some)}.")
    if made.change is not None and made.word in ("inconclusive", "passed"):
        parts.insert(0, f"No regression in {plural(len(rows), 'comparison')}.")
    if some := by.get("inconclusive"):
        parts.append(f"Too few seeds to tell: {_names(some)}.")
    if (some := by.get("ok")) and made.word != "passed":
        parts.append(f"{plural(len(some), 'comparison')} ok.")
    if not rows:
        parts.append("There is one combination, so nothing to compare.")
    return " ".join(filter(None, parts)) or f"No worse than {against} in {plural(len(rows), 'comparison')}."


def _named(rows: Sequence[Row]) -> str:
    return listed([f"{row['combination']}, {row['metric']} {apart(row)}" for row in rows], between="; ")


def _names(rows: Sequence[Row]) -> str:
    return listed(list(dict.fromkeys(row["combination"] for row in rows)))


def _differing(rows: Sequence[Row]) -> str:
    said = [f"{row['combination']}, {row['metric']} by {row['apart']:.2g} of it" for row in rows]
    return listed(said, between="; ")


def _advice(made: Answer, rows: Sequence[Row]) -> str:
    match made.word:
        case "regressed" if made.change is None:
            return "Leave these losses out, or lower their weights."
        case "regressed":
            return "Mend the change, or accept it with a reason and a date (--accepted FILE)."
        case "differs":
            return "If that is meant, make a new baseline; if not, the change does more than it should."
        case "incomparable":
            return "Make a baseline with these settings, at the commit that this one is compared with."
        case "incomplete":
            return "Mend what the reasons say and run the bench again: what is finished does not run again."
        case "inconclusive":
            enough = [row["seeds"] for row in rows if row["verdict"] == "inconclusive" and row["seeds"]]
            return f"For more verdicts run {max(enough)} seeds (--seeds {max(enough)})." if enough else (
                "No number of seeds up to 100 would decide: the difference is as small as the margin, or there is none."
            )  # fmt: skip
        case _:
            return "Nothing to do." if made.change is not None else ""


def _earned(report: Report, gates: Sequence[Gate]) -> str:
    """Say which losses earned their place, by their Shapley values for the first metric that decides."""
    if not gates or not (found := report["metrics"][gates[0].metric]["attribution"]):
        return ""
    metric = report["metrics"][gates[0].metric]
    sides: dict[str, list[str]] = {"Helps": [], "Hurts": [], "No evidence either way": []}
    for loss, each in found["shapley"].items():
        sign = 1 if metric["better"] == "higher" else -1
        clear = each["low"] is not None and each["low"] * each["high"] > 0
        side = ("Helps" if each["value"] * sign > 0 else "Hurts") if clear else "No evidence either way"
        between = "" if each["low"] is None else f", {number(each['low'], metric)} to {number(each['high'], metric)}"
        sides[side].append(f"{loss} ({number(each['value'], metric)}{between})")
    said = "; ".join(f"{side}: {', '.join(some)}" for side, some in sides.items() if some)
    return f"What each loss adds to {gates[0].metric}, by Shapley value: {said}."
