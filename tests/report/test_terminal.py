"""The report on a terminal: every number with what it means, both questions, the answer last."""

from __future__ import annotations

import pytest
from rich.console import Console

from lossbench.bench.cells import Cell
from lossbench.report import terminal
from lossbench.report.answer import answered
from lossbench.report.terminal import show
from tests.bench.test_results import BASE, WORDS, Made, value, written


@pytest.fixture(autouse=True)
def shown(monkeypatch):
    """Return a reader of what was printed, line by line."""
    wide = Console(width=160, record=True, force_terminal=False)
    monkeypatch.setattr(terminal, "console", wide)
    return lambda: [" ".join(line.split()) for line in wide.export_text().splitlines() if line.strip()]


@pytest.fixture
def made(tmp_path):
    bench = Made(tmp_path / "made", "idt,tv", combine="add-one", primary="l1", margin="20%")
    return bench.add("cycle", BASE, copy=0.25, floor=0.125).add("cycle", WORDS["improved"], again=True)


def report(made, **others):
    for combination, numbers in others.items():
        made.add(combination.replace("_", "+"), numbers)
    return made.report()


def test_verdicts_stand_beside_their_values_and_intervals(made, shown):
    show(answered(report(made, cycle_idt=WORDS["improved"], cycle_tv=WORDS["regressed"])))
    lines = shown()
    assert lines[0] == "A2B/l1 (of 2, lower is better)"
    assert lines[3] == "1 cycle 1 5 64 baseline"
    assert lines[4].startswith("2 cycle+idt 0.5 5 64 -50 % -")
    assert lines[4].endswith(" % better")
    assert lines[5].startswith("3 cycle+tv 1.5 5 64 +50 % +")
    assert lines[5].endswith(" % worse")
    assert lines[6].startswith("cycle, other seeds 0.5 5 64 -50 %")
    assert lines[7:9] == ["copy 0.25", "floor 0.125"]
    assert lines[9] == "All intervals together hold with 90 % confidence; margin 20%."
    assert lines[-1].startswith("A loss makes it worse. Worse than cycle: cycle+tv, A2B/l1 50 % worse (")


def test_what_is_inconclusive_says_what_would_decide(made, shown):
    found = report(made, cycle_idt=WORDS["inconclusive"], cycle_tv=[1.0])
    seeds = found["metrics"]["A2B/l1"]["rows"][1]["seeds"]
    show(answered(found))
    lines = shown()
    assert seeds > 5
    assert lines[4].endswith(f"inconclusive, needs {seeds} seeds")
    assert lines[5].endswith("inconclusive, needs two seeds for an interval")
    more = f"{seeds} seeds would judge cycle+idt: lossbench bench suite.toml --seeds {seeds}."
    assert lines[-1].endswith(f"{more} cycle+tv needs two seeds for an interval.")


def test_people_read_values_in_their_unit_and_records_hold_them_as_they_are(shown, tmp_path):
    kid = Made(tmp_path / "kid", "idt", combine="add-one")
    for combination, number in (("cycle", 0.0123), ("cycle+idt", 0.0456)):
        kid.add(combination, [value(number, unit="", shown=100.0)] * 2, metric="kid")
    show(answered(kid.report()))
    lines = shown()
    assert lines[0] == "A2B/kid (x100, lower is better)"
    assert (lines[3], lines[4].split()[:3]) == ("1 cycle 1.23 2 64 baseline", ["2", "cycle+idt", "4.56"])


def test_other_metrics_bear_no_verdict(made, shown, tmp_path):
    for number, name in enumerate(("cycle", "cycle+idt")):
        for seed in range(2):
            cell = Cell(tuple(name.split("+")), seed, f"{name}{seed}", tmp_path / "two" / f"{name}{seed}")
            made.cells.append(written(cell, {"l1": 1.0, "psnr": value(20.0 + number, better="higher")}))
    show(answered(made.report()))
    lines = shown()
    start = next(n for n, line in enumerate(lines) if line.startswith("Other metrics, means over seeds, by number"))
    assert lines[start + 1] == "metric 1 2 3 copy"
    assert "A2B/psnr ↑ 20 21 - -" in lines
    assert not any("improved" in line for line in lines[start:])


def test_what_was_lost_is_said_with_its_reason(made, shown):
    made.add("cycle+idt", [1.0, None])
    written(made.cells[-1], {}, status="failed", error="expected [B, C], and no [/red] :warning:")
    show(answered(report(made, cycle_tv=[1.0, None])))
    lines = shown()
    assert lines[4].endswith(" failed, seed 1")
    assert lines[5].endswith(" missing, seed 1")
    assert lines[-4:-2] == [
        "cycle+idt seed 1 failed: expected [B, C], and no [/red] :warning:", "1 of 14 runs are missing.",
    ]  # fmt: skip
    assert lines[-1].startswith(
        "Incomplete. 1 of 14 runs failed: cycle+idt seed 1. 1 of 14 runs missing: cycle+tv seed 1."
    )


def test_a_metric_without_values_says_why(shown, tmp_path):
    lost = Made(tmp_path, "idt", combine="add-one")
    nothing = value(None, reason="fid-inception cannot be had.")
    show(answered(lost.add("cycle", [nothing] * 2).add("cycle+idt", [nothing] * 2).report()))
    lines = shown()
    assert lines[3] == "1 cycle - 0 baseline"
    assert lines[4] == "2 cycle+idt - 0 missing, seed 0, seed 1"
    assert "A2B/l1: fid-inception cannot be had." in lines


def test_before_anything_is_measured_there_is_something_to_show(shown, tmp_path):
    show(answered(Made(tmp_path, "idt", combine="add-one").add("cycle", [None]).report()))
    assert shown()[0] == "1 of 1 runs are missing."


def test_a_change_has_a_table_of_its_own(made, shown, tmp_path):
    earlier = Made(tmp_path / "earlier", "idt,tv", combine="add-one", primary="l1", margin="20%")
    earlier.add("cycle", BASE).add("cycle+idt", BASE).add("cycle+tv", BASE)
    show(answered(report(made, cycle_idt=WORDS["regressed"], cycle_tv=BASE), earlier.report()))
    lines = shown()
    assert lines[:2] == [
        "Did this change break it? Each combination beside itself in the baseline.", "A2B/l1 (of 2, lower is better)",
    ]  # fmt: skip
    assert lines[4] == "cycle 1 1 5 identical ok"
    assert lines[5].startswith("cycle+idt 1 1.5 5 +50 % +")
    assert lines[5].endswith(" % regressed")
    assert lines[6] == "cycle+tv 1 1 5 identical ok"
    assert lines[-1].startswith("Regressed, do not merge yet. Worse than the baseline: cycle+idt, A2B/l1 50 % worse (")


def test_an_exact_comparison_names_what_is_farthest_apart(made, shown, tmp_path):
    earlier = Made(tmp_path / "earlier", "idt,tv", combine="add-one", primary="l1", margin="20%")
    earlier.add("cycle", BASE).add("cycle", WORDS["improved"], again=True).add("cycle+idt", BASE)
    later = report(made, cycle_idt=[*BASE[:4], BASE[4] * (1 + 1e-6)])
    show(answered(later, earlier.report(), exact=1e-9))
    lines = shown()
    assert lines[3] == "cycle ok"
    assert lines[4] == "cycle+idt A2B/l1 0.0001 % differs"
