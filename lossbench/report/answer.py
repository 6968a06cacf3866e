"""What a report comes to: verdicts, one sentence, what to do, an exit code.

Two questions, never in one table. Does a loss help: combinations beside the baseline combination. Did a change break
something: each combination beside itself in another report. The second decides the exit code where it is asked.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, cast

from lossbench.bench.judging import meant
from lossbench.bench.stats import Margin
from lossbench.errors import OptionError, near_miss
from lossbench.report.accepted import Accepted, accept, unused
from lossbench.report.questions import Gate, Report, Row, beside_baseline, beside_before, exactly
from lossbench.report.sentences import Facts, advice, commit_of, compared, earned, headline, sentence
from lossbench.report.words import listed

Word = Literal[
    "regressed", "differs", "incomparable", "incomplete", "improved", "outdone", "inconclusive", "passed", "unchanged"
]
LOST = {"failed", "missing"}
CODES: Mapping[Word, int] = {"regressed": 1, "differs": 1, "incomparable": 4, "incomplete": 3}
TOLD = ("title", "word", "headline", "compared", "sentence", "advice", "earned", "exit_code", "notes", "exact")
STRICT = 5  # inconclusive, where that is not enough


@dataclass(frozen=True)
class Answer:
    """All that the forms of a report say; ``losses`` and ``change`` are the rows of the two questions.

    ``headline`` is ``word`` in the language of the question, ``compared`` says what stands beside what.
    """

    title: str
    report: Report
    gates: Sequence[Gate]
    losses: Sequence[Row]
    change: Sequence[Row] | None
    word: Word
    headline: str
    compared: str
    sentence: str
    advice: str
    exit_code: int
    notes: Sequence[str]
    earned: str
    exact: float | None

    @property
    def failures(self) -> list[Mapping[str, Any]]:
        """Return the runs that did not end well."""
        return [cell for cell in self.report["cells"] if cell["status"] != "ok"]

    def json(self) -> dict[str, Any]:
        """Return the report with its answer."""
        own = {key: getattr(self, key) for key in TOLD}
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
    title: str | None = None,
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
        title: what it is called; of one title there is one comment. By itself recipe and images.

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
    facts = Facts(report, baseline, gates, rows, exact)
    word = _word(facts)
    unsure = strict and any(row["verdict"] == "inconclusive" for row in rows)
    data = report["dataset"]
    return Answer(
        title=title or (f"{report['recipe']} on {data['name']}" if data else "a bench without a run"),
        report=report, gates=gates, losses=losses, change=change, word=word, headline=headline(facts, word),
        compared=compared(facts), sentence=sentence(facts, word), advice=advice(facts, word),
        exit_code=CODES.get(word, STRICT if unsure else 0), notes=notes, earned=earned(report, gates), exact=exact,
    )  # fmt: skip


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
    if (found := meant(name, known)) is None:
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
    commit = commit_of(baseline)
    if merge_base and not (commit and (merge_base.startswith(commit) or commit.startswith(merge_base))):
        yield f"The baseline is of {commit[:10] or 'an unknown commit'}, not of the merge base {merge_base[:10]}."


def _word(facts: Facts) -> Word:
    rows, asked = facts.rows, facts.baseline is not None
    verdicts = {row["verdict"] for row in rows if not row["accepted"]}
    if found := next((word for word in ("regressed", "differs", "incomparable") if word in verdicts), None):
        return cast(Word, found)
    if LOST & verdicts or facts.lost:
        return "incomplete"
    if asked and rows and all(row["identical"] for row in rows):
        return "unchanged"
    if not asked and facts.copied.keys() & {row["metric"] for row in facts.by.get("improved", ())}:
        return "outdone"
    return cast(Word, next((word for word in ("improved", "inconclusive") if word in verdicts), "passed"))
