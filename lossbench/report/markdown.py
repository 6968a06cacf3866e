"""The report as a pull request's comment: the verdict first, what changed, the rest folded, 60 kB at most."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from lossbench.report.answer import Answer
from lossbench.report.questions import UNFAIR, Row
from lossbench.report.words import apart, error, machine, mean, more_seeds, number, percent, short, told

MOST = 60_000  # bytes; GitHub refuses more than 65 536 letters
CUT = "More is in the HTML report: it does not fit into a comment."
ROWS = 60  # of a table
SIGNS = {
    "regressed": "❌", "differs": "❌", "failed": "❌", "missing": "❌", "incomplete": "⚠️", "incomparable": "⚠️",
    "outdone": "⚠️", "improved": "✅", "ok": "✅", "passed": "✅", "unchanged": "✅", "inconclusive": "❔", "new": "🆕",
}  # fmt: skip
QUIET = ("ok", "inconclusive")
WORD = re.compile(r"[\\`*{}\[\]<>|#~&@]|(?<!\w)_|_(?!\w)")


def markdown(answer: Answer) -> str:
    """Return the comment. Its first line, which is not shown, finds it again so that it is updated in its place."""
    head = f"<!-- lossbench: {_plain(answer.title)} -->\n"
    head += f"**{SIGNS[answer.word]} lossbench, {_plain(answer.title)}: {answer.headline}.** {_plain(answer.sentence)}"
    if answer.word == "unchanged":
        return f"{head} {_plain(answer.compared)}\n"
    parts = [head, *([f"**What to do:** {_plain(answer.advice)}"] if answer.advice else []), _plain(answer.compared)]
    parts += [f"> {_plain(note)}" for note in answer.notes]
    for part in _parts(answer):
        fits = len("\n\n".join([*parts, part]).encode()) < MOST - len(CUT)
        parts.append(part if fits else CUT)
    return "\n\n".join(dict.fromkeys(parts)) + "\n"


def _parts(answer: Answer) -> Iterator[str]:
    """Yield what follows the verdict, what matters most first."""
    rows = answer.losses if answer.change is None else answer.change
    about = _losses_head(answer) if answer.change is None else "Each combination beside itself in the baseline"
    loud = [row for row in rows if row["verdict"] not in QUIET]
    if loud and not all(row["verdict"] == "incomparable" for row in rows):  # of which the sentence says all
        yield f"{_plain(about)}:\n\n{_decided(answer, loud)}"
    if failures := answer.failures:
        yield "Runs that failed or are missing:\n\n" + "\n".join(map(_failure, failures))
    if answer.change is None and answer.earned:
        yield _plain(answer.earned)
    if quiet := [row for row in rows if row["verdict"] in QUIET]:
        yield _folded(f"{len(quiet)} comparisons that are ok or inconclusive", _decided(answer, quiet))
    if answer.change is not None and answer.losses:
        table = _table(answer, answer.losses, answer.report["baseline"])
        body = f"{table}\n\n{_plain(answer.earned)}".rstrip()
        yield _folded(f"Does a loss help? {_losses_head(answer)}", body)
    yield _folded("All metrics, means over seeds: information only, no verdict", _all(answer))
    yield _folded("Where, what and how to repeat it", _facts(answer))


def _losses_head(answer: Answer) -> str:
    return f"Each combination beside {answer.report['baseline']}, at this commit"


def _folded(summary: str, body: str) -> str:
    return f"<details><summary>{_plain(summary)}</summary>\n\n{body}\n\n</details>"


def _failure(cell: Mapping[str, Any]) -> str:
    reason = f": {cell['error']}" if cell["error"] else ""
    return f"- {_plain(cell['combination'])} seed {cell['seed']} {cell['status']}{_plain(reason)}"


def _decided(answer: Answer, rows: Sequence[Row]) -> str:
    """Return rows of the question that decides."""
    if answer.exact is None:
        return _table(answer, rows, answer.report["baseline"] if answer.change is None else "was")
    lines = [(row["combination"], row["metric"], _by(row), _verdict(row)) for row in rows]
    return _lined(("combination", "largest difference", "by", "verdict"), lines)


def _table(answer: Answer, rows: Sequence[Row], than: str) -> str:
    found = []
    for row in rows:
        metric = answer.report["metrics"][row["metric"]]
        both = (_mean(values, metric, row) for values in (row["before"], row["values"]))
        worse = "identical" if row["identical"] else "" if row["verdict"] in UNFAIR else apart(row)
        found.append((row["combination"], short(row["metric"], metric), *both, worse, _verdict(row)))
    head = ("combination", "metric", f"{than}, mean ± s.e.", "is", "by (interval)", "verdict")
    level = f"{100 * answer.report['level']:g} %"
    said = f"± is the standard error over seeds; all intervals together hold with {level} confidence."
    return f"{_lined(head, found)}\n\n{said}"


def _mean(values: Sequence[float], metric: Mapping[str, Any], row: Row) -> str:
    of = f" ({len(values)} seeds)" if row["verdict"] in UNFAIR else ""
    return f"{mean(values, metric)} {error(values, metric)}{of}"


def _by(row: Row) -> str:
    return percent(row["apart"]) if row.get("apart") else ""


def _verdict(row: Row) -> str:
    more = [more_seeds(row)] if row["verdict"] == "inconclusive" else []
    more += [f"accepted: {row['accepted']}"] if row["accepted"] else []
    more += [row["reason"]] if row["reason"] else []
    return "; ".join([f"{SIGNS[row['verdict']]} {told(row)}", *more])


def _lined(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows[:ROWS]]
    table = "\n".join(f"| {' | '.join(_plain(cell) if cell != '---' else cell for cell in line)} |" for line in lines)
    more = len(rows) - ROWS
    return table if more <= 0 else f"{table}\n\n... and {more} more, which are in the HTML report."


def _all(answer: Answer) -> str:
    metrics = answer.report["metrics"]
    combinations = [row["combination"] for row in next(iter(metrics.values()))["rows"]] if metrics else []
    rows = [
        [short(name, metric), *(mean(row["values"], metric) for row in metric["rows"]), *_beside(metric)]
        for name, metric in metrics.items()
    ]
    what = "copy is the input as if it were the translation; floor is how far two sets of real images are apart"
    return _lined(["metric", *combinations, "copy", "floor"], rows) + f"\n\n{what}."


def _beside(metric: Mapping[str, Any]) -> list[str]:
    return [number(metric["beside"][what], metric) for what in ("copy", "floor")]


def _facts(answer: Answer) -> str:
    report = answer.report
    data = report["dataset"] or {"name": None, "n": {}}
    counts = ", ".join(f"{count} {side}" for side, count in data["n"].items())
    machines = "\n".join(f"- {_plain(machine(each))}" for each in report["environments"])
    protocols = "\n".join(
        dict.fromkeys(
            f"- {_plain(name.rpartition('/')[2])}: protocol {_plain(metric['protocol'])}{_hashes(metric['weights'])}"
            for name, metric in report["metrics"].items()
            if not name.startswith("cost/")
        )
    )
    words = ",".join(report["cells"][0]["plugins"]) if report["cells"] else ""
    commands = f"lossbench bench suite.toml\nlossbench run --config suite.toml --plugins {words} --seed 0"
    of = f"{_plain(str(report['recipe']))} on {_plain(str(data['name']))} ({counts}), {len(report['cells'])} runs."
    return "\n\n".join(
        [
            of,
            machines,
            "Measured by:",
            protocols,
            _fenced("console", commands),
            _fenced("toml", report["suite"].strip()),
        ]
    )


def _fenced(language: str, text: str) -> str:
    """Return a block that nothing in it can end."""
    fence = "`" * max([3, *(len(run) + 1 for run in re.findall("`+", text))])
    return f"{fence}{language}\n{text}\n{fence}"


def _hashes(weights: Mapping[str, str]) -> str:
    return "".join(f", {name} {hash_[:8]}" for name, hash_ in weights.items())


def _plain(text: str) -> str:
    """Return text that markdown does not read anything into: strangers named the losses, and wrote the errors."""
    return WORD.sub(lambda found: f"&#{ord(found[0])};", " ".join(text.split()))
