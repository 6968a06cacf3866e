"""A report in every form that is asked for: what `lossbench report` does, top to bottom."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from json import dumps
from pathlib import Path

from lossbench.files import write_bytes
from lossbench.report.accepted import read_accepted
from lossbench.report.answer import Answer, answered
from lossbench.report.evidence import evidence
from lossbench.report.junit import junit
from lossbench.report.markdown import markdown
from lossbench.report.page import page
from lossbench.report.schema import read_baseline, read_report
from lossbench.report.terminal import show

CELLS = "cells"
PRINTED = Path("-")


def told(
    results: Path,
    baseline: Path | None,
    forms: Mapping[str, Path],
    *,
    fail_on: Sequence[str] = (),
    strict: bool = False,
    accepted: Path | None = None,
    merge_base: str | None = None,
    exact: float | None = None,
    title: str | None = None,
) -> int:
    """Write a report in each form that is asked for, show it on the terminal, and return the exit code.

    Raises:
        LossbenchError: what is not there, or cannot be read or written.
    """
    found = read_report(results)
    if results.is_dir() and forms.keys() & {"html", "json"}:
        found |= evidence(found, results / CELLS)
    answer = answered(
        found, None if baseline is None else read_baseline(baseline), fail_on=fail_on, strict=strict,
        accepted=read_accepted(accepted) if accepted else (), merge_base=merge_base, exact=exact, title=title,
    )  # fmt: skip
    for form, path in forms.items():
        text = _text(form, answer, strict)
        if path == PRINTED:
            print(text, end="")
        else:
            write_bytes(path, text.encode())
    if PRINTED not in forms.values():
        show(answer)
    return answer.exit_code


def _text(form: str, answer: Answer, strict: bool) -> str:
    match form:
        case "markdown":
            return markdown(answer)
        case "junit":
            return junit(answer, strict=strict)
        case "html":
            return page(answer)
        case _:
            return dumps(answer.json(), indent=1, allow_nan=False) + "\n"
