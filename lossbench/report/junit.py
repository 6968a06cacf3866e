"""The report as JUnit XML: a suite for each combination, a case for each metric that decides."""

from __future__ import annotations

from collections.abc import Sequence
from xml.etree.ElementTree import Element, SubElement, indent, tostring

from lossbench.errors import printable
from lossbench.report.answer import Answer
from lossbench.report.questions import Row
from lossbench.report.words import apart, more_seeds, percent

FAILURES = ("regressed", "differs")
ERRORS = ("failed", "missing", "incomparable")


def junit(answer: Answer, *, strict: bool = False) -> str:
    """Return the cases of the question that decides; what is inconclusive is skipped, or under ``strict`` fails."""
    rows = answer.losses if answer.change is None else answer.change
    data = str((answer.report["dataset"] or {}).get("name"))
    root = Element("testsuites", name="lossbench")
    for combination in dict.fromkeys(row["combination"] for row in rows):
        own = [row for row in rows if row["combination"] == combination]
        root.append(_suite(combination, own, data, strict))
    _count(root, list(root.iter("testcase")))
    indent(root)
    return tostring(root, "unicode", xml_declaration=True) + "\n"


def _suite(combination: str, rows: Sequence[Row], data: str, strict: bool) -> Element:
    suite = Element("testsuite", name=printable(combination))
    for row in rows:
        case = SubElement(suite, "testcase", classname=printable(data), name=printable(row["metric"] or "exactly"))
        if kind := _kind(row, strict):
            SubElement(case, kind, message=printable(_said(row)))
    _count(suite, list(suite))
    return suite


def _kind(row: Row, strict: bool) -> str:
    """Return what becomes of a verdict: nothing is a case that passed."""
    if row["verdict"] in FAILURES and not row["accepted"]:
        return "failure"
    if row["verdict"] in ERRORS:
        return "error"
    if row["verdict"] == "inconclusive":
        return "failure" if strict else "skipped"
    return ""


def _said(row: Row) -> str:
    by = f"{percent(row['apart'])} apart" if row.get("apart") else apart(row)
    more = more_seeds(row) if row["verdict"] == "inconclusive" else ""
    return ", ".join(filter(None, (row["verdict"], by, row["reason"], more)))


def _count(element: Element, cases: Sequence[Element]) -> None:
    element.set("tests", str(len(cases)))
    for kind in ("failure", "error", "skipped"):
        name = kind if kind == "skipped" else f"{kind}s"
        element.set(name, str(sum(case.find(kind) is not None for case in cases)))
