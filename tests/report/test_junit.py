"""JUnit XML, read back by somebody else's reader of it."""

from __future__ import annotations

from xml.etree import ElementTree

import pytest

from lossbench.report.answer import answered
from lossbench.report.junit import junit
from tests.bench.test_results import BASE, Made

WORSE, WIDE = [number * 1.5 for number in BASE], [0.5, 1.9, 0.6, 1.4, 1.0]


@pytest.fixture
def report(tmp_path):
    made = Made(tmp_path, "idt,tv,l1", combine="add-one", primary="l1", margin="5%")
    for combination, numbers in {"idt": WORSE, "tv": WIDE, "l1": [*BASE[:4], None]}.items():
        made.add(f"cycle+{combination}", numbers)
    return made.add("cycle", BASE).report()


@pytest.mark.parametrize("strict", [False, True])
def test_a_suite_for_each_combination_and_a_case_for_each_metric(report, strict):
    root = ElementTree.fromstring(junit(answered(report, strict=strict), strict=strict))
    assert root.attrib == {
        "name": "lossbench", "tests": "3", "failures": "2" if strict else "1", "errors": "1",
        "skipped": "0" if strict else "1",
    }  # fmt: skip
    found = {suite.get("name"): [child.tag for child in suite.find("testcase")] for suite in root}
    assert found == {"cycle+idt": ["failure"], "cycle+tv": ["failure" if strict else "skipped"], "cycle+l1": ["error"]}
    cases = list(root.iter("testcase"))
    assert {(case.get("classname"), case.get("name")) for case in cases} == {("shapes", "A2B/l1")}
    assert cases[0][0].get("message").startswith("regressed, 50 % worse (")
    assert "needs more than 100 seeds" in cases[1][0].get("message")


def test_a_case_that_is_ok_has_nothing_in_it(report):
    root = ElementTree.fromstring(junit(answered(report, report)))
    assert [len(case) for case in root.iter("testcase")] == [0, 0, 0, 1]  # one run is missing on both sides
    assert (root.get("failures"), root.get("errors")) == ("0", "1")


def test_text_that_xml_cannot_hold_is_written_out(report):
    for cell in report["cells"]:
        cell["combination"] = cell["combination"].replace("cycle+idt", 'a"<&\x1b[31m')
    report["metrics"]["A2B/l1"]["rows"][1]["combination"] = 'a"<&\x1b[31m'
    root = ElementTree.fromstring(junit(answered(report)))
    assert root[0].get("name") == 'a"<&\\x1b[31m'
