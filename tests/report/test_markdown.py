"""The comment of a pull request: the verdict first, short, and nothing in it that a stranger's name could do."""

from __future__ import annotations

import re

import pytest
from markdown_it import MarkdownIt

from lossbench.report.answer import answered
from lossbench.report.markdown import MOST, markdown
from tests.bench.test_results import BASE, written

WORSE = [number * 1.5 for number in BASE]


@pytest.fixture
def bench(three):
    return three


def rendered(text):
    return MarkdownIt("commonmark", {"html": True}).enable("table").render(text)


def test_the_first_line_finds_it_and_the_second_is_the_verdict(bench):
    lines = markdown(answered(bench(cycle_idt=WORSE).report(), bench().report())).splitlines()
    assert lines[0] == "<!-- lossbench: cyclegan on shapes -->"
    assert lines[1].startswith(
        "**❌ lossbench, cyclegan on shapes: regressed, do not merge yet.** Worse than the baseline: cycle+idt, A2B/l1 50 % worse ("
    )
    assert (
        lines[3]
        == "**What to do:** Do not merge. Fix what got worse, or accept it with a reason and a date (--accepted FILE)."
    )


def test_of_one_title_there_is_one_comment(bench):
    lines = markdown(answered(bench().report(), title="exactly <x>")).splitlines()
    assert lines[0] == "<!-- lossbench: exactly &#60;x&#62; -->"
    assert lines[1].startswith("**✅ lossbench, exactly &#60;x&#62;: no loss makes it worse.**")


def test_nothing_changed_is_one_line(bench):
    lines = markdown(answered(bench().report(), bench().report())).splitlines()
    assert len(lines) == 2
    assert lines[1].startswith(
        "**✅ lossbench, cyclegan on shapes: unchanged.** All 15 runs give exactly the same numbers"
    )


def test_only_what_changed_stands_outside_the_folds(bench):
    text = markdown(answered(bench(cycle_idt=WORSE).report(), bench().report()))
    open_, folded = text.partition("<details>")[::2]
    rows = [line for line in open_.splitlines() if line.startswith("| cycle")]
    assert len(rows) == 1
    assert rows[0].startswith("| cycle+idt | A2B/l1 ↓ (of 2) | 1 ± 0.035 | 1.5 ± 0.053 | 50 % worse (")
    assert rows[0].endswith("| ❌ regressed |")
    assert "± is the standard error over seeds" in open_
    assert folded.count("| cycle |") >= 1
    assert text.count("<details>") == text.count("</details>") >= 3


def test_both_questions_have_tables_of_their_own(bench):
    text = markdown(answered(bench(cycle_idt=WORSE).report(), bench().report()))
    tables = re.findall(r"(?:^\|.*\n)+", text, re.MULTILINE)
    heads = [table.splitlines()[0] for table in tables]
    assert sum("| was, mean ± s.e. |" in head for head in heads) == 2  # loud and quiet
    assert sum("| cycle, mean ± s.e. |" in head for head in heads) == 1


def test_what_failed_is_named_with_its_reason_and_has_no_difference(bench):
    made = bench(cycle_idt=[*BASE[:4], None])
    written(made.cells[-6], {}, status="diverged", error="Step 3: A2B/idt is not finite")
    text = markdown(answered(made.report(), bench().report()))
    assert "- cycle+idt seed 4 diverged: Step 3: A2B/idt is not finite" in text
    rows = [line for line in text.splitlines() if line.startswith("| cycle+idt |") and "❌ failed; seed 4" in line]
    assert len(rows) == 2  # of each question
    assert not any("worse" in row or "better" in row for row in rows)


def test_names_and_errors_of_strangers_do_nothing(bench):
    made = bench(cycle_idt=[*BASE[:4], None])
    evil = "<script>alert(1)</script> @everyone [click](http://x) | `rm` <!-- --> </details> ![](http://x/y.png)"
    written(made.cells[-6], {}, status="failed", error=evil)
    html = rendered(markdown(answered(made.report())))
    assert "<script" not in html
    assert "<a " not in html
    assert "<img" not in html
    assert "@everyone" not in markdown(answered(made.report()))
    assert html.count("</details>") == html.count("<details>")
    assert "alert(1)" in html


def test_a_suite_of_strangers_does_not_leave_its_block(bench):
    report = bench().report()
    report["suite"] = 'dir = "```"\n```\n<img src=x>\n````\n'
    html = rendered(markdown(answered(report)))
    assert "<img" not in html
    assert "&lt;img src=x&gt;" in html


@pytest.mark.parametrize("length", [10, 400])
def test_a_report_of_many_combinations_fits(bench, length):
    report = bench(cycle_tv=WORSE).report()
    cells = [cell for cell in report["cells"] if cell["combination"] == "cycle+tv"]
    rows = report["metrics"]["A2B/l1"]["rows"]
    for number in range(300):
        name = f"cycle+{'x' * length}_{number}"
        report["cells"] += [cell | {"combination": name} for cell in cells]
        rows.append(rows[-1] | {"combination": name})
    text = markdown(answered(report))
    assert len(text.encode()) <= MOST
    assert "a loss makes it worse.** Worse than cycle: cycle+tv, " in text
    assert "... and 241 more, which are in the HTML report." in text
    assert ("does not fit into a comment" in text) == (length == 400)
    assert text.count("<details>") == text.count("</details>")


def test_without_a_baseline_it_says_which_loss_helps(bench):
    text = markdown(answered(bench(cycle_idt=[number * 0.5 for number in BASE]).report()))
    assert "Each combination beside cycle, at this commit:" in text
    assert "| cycle+idt | A2B/l1 ↓ (of 2) | 1 ± 0.035 | 0.5 ± 0.018 | 50 % better (" in text


def test_an_exact_comparison_has_its_own_table(bench):
    later = bench().report()
    later["cells"][0]["terms"] = {"A2B/cycle": 2.0}
    text = markdown(answered(later, bench().report(), exact=1e-9))
    assert "| cycle | A2B/cycle |  | ❌ differs; A2B/cycle is in this alone |" in text
