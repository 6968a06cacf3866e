"""What a bench shows: how far it is, and of every number what it means."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import pytest
from rich.console import Console

from lossbench.bench import board
from lossbench.bench.board import Board, show_plan, show_report
from lossbench.bench.cells import Cell
from tests.bench.test_results import BASE, WORDS, Made, value, written


@pytest.fixture(autouse=True)
def shown(monkeypatch):
    """Return a reader of what was printed, line by line."""
    wide = Console(width=160, record=True, force_terminal=False)
    monkeypatch.setattr(board, "console", wide)
    return lambda: [" ".join(line.split()) for line in wide.export_text().splitlines() if line.strip()]


@pytest.fixture
def made(tmp_path):
    bench = Made(tmp_path, "idt,tv", combine="add-one", primary="l1", margin="20%")
    return bench.add("cycle", BASE, copy=0.25, floor=0.125).add("cycle", WORDS["improved"], again=True)


def report(made, **others):
    for combination, numbers in others.items():
        made.add(combination.replace("_", "+"), numbers)
    return made.report()


# Verdicts ---------------------------------------------------------------------------------------------------------


def test_verdicts_stand_beside_their_values_and_intervals(made, shown):
    show_report(report(made, cycle_idt=WORDS["improved"], cycle_tv=WORDS["regressed"]))
    lines = shown()
    assert lines[0] == "A2B/l1 (of 2), lower is better"
    assert lines[3] == "cycle 1 5 64 baseline"
    assert lines[4].startswith("cycle+idt 0.5 5 64 -50 % -")
    assert lines[4].endswith(" % improved")
    assert lines[5].startswith("cycle+tv 1.5 5 64 +50 % +")
    assert lines[5].endswith(" % regressed")
    assert lines[6].startswith("cycle, other seeds 0.5 5 64 -50 %")
    assert lines[7:9] == ["copy 0.25", "floor 0.125"]
    assert lines[9] == "Intervals of 95 % each hold together at 90 %; margin 20%."


def test_what_is_inconclusive_says_what_would_decide(made, shown):
    row = report(made, cycle_idt=WORDS["inconclusive"], cycle_tv=[1.0])
    show_report(row)
    lines = shown()
    seeds = row["metrics"]["A2B/l1"]["rows"][1]["seeds"]
    assert seeds > 5
    assert lines[4].endswith(f"inconclusive, {seeds} seeds would decide")
    assert lines[5].endswith("inconclusive, an interval needs two seeds")
    row["metrics"]["A2B/l1"]["rows"][1]["seeds"] = None
    show_report(row)
    assert any(line.endswith("inconclusive, 100 seeds would not decide") for line in shown())


def test_people_read_values_in_their_unit_and_records_hold_them_as_they_are(made, shown, tmp_path):
    kid = Made(tmp_path / "kid", "idt", combine="add-one")
    for combination, number in (("cycle", 0.0123), ("cycle+idt", 0.0456)):
        kid.add(combination, [value(number, unit="", shown=100.0)] * 2, metric="kid")
    show_report(kid.report())
    lines = shown()
    assert lines[0] == "A2B/kid (x100), lower is better"
    assert (lines[3], lines[4].split()[:2]) == ("cycle 1.23 2 64 baseline", ["cycle+idt", "4.56"])


def test_other_metrics_bear_no_verdict(made, shown, tmp_path):
    for number, name in enumerate(("cycle", "cycle+idt")):
        for seed in range(2):
            cell = Cell(tuple(name.split("+")), seed, f"{name}{seed}", tmp_path / "two" / f"{name}{seed}")
            made.cells.append(written(cell, {"l1": 1.0, "psnr": value(20.0 + number, better="higher")}))
    show_report(made.report())
    lines = shown()
    start = lines.index("Other metrics, means over seeds; no verdict is passed on them.")
    assert lines[start + 1] == "metric better cycle cycle+idt cycle+tv copy"
    assert "A2B/psnr higher 20 21 - -" in lines
    assert not any("improved" in line for line in lines[start:])


def test_what_was_lost_is_said_with_its_reason(made, shown):
    made.add("cycle+idt", [1.0, None])
    written(made.cells[-1], {}, status="failed", error="expected [B, C], and no [/red] :warning:")
    show_report(report(made, cycle_tv=[1.0, None]))
    lines = shown()
    assert lines[4].endswith(" failed")
    assert lines[5].endswith(" missing")
    assert lines[-2:] == [
        "cycle+idt seed 1 failed: expected [B, C], and no [/red] :warning:", "1 of 14 runs are missing.",
    ]  # fmt: skip


def test_a_metric_without_values_says_why(shown, tmp_path):
    lost = Made(tmp_path, "idt", combine="add-one")
    nothing = value(None, reason="fid-inception cannot be had.")
    show_report(lost.add("cycle", [nothing] * 2).add("cycle+idt", [nothing] * 2).report())
    lines = shown()
    assert lines[3] == "cycle - 0 baseline"
    assert lines[4] == "cycle+idt - 0 missing"
    assert "A2B/l1: fid-inception cannot be had." in lines


def test_before_anything_is_measured_there_is_something_to_show(shown, tmp_path):
    show_report(Made(tmp_path, "idt", combine="add-one").add("cycle", [None]).report())
    assert shown() == ["1 of 1 runs are missing."]


# How far it is ----------------------------------------------------------------------------------------------------


class Faked:
    """A bench of two combinations and two seeds, of whose cells some are done."""

    def __init__(self, root, done=0):
        words = [("cycle",), ("cycle", "idt")]
        self.cells = [Cell(each, seed, "id", root / f"{each}{seed}") for seed in range(2) for each in words]
        config = SimpleNamespace(train=SimpleNamespace(steps=100), metrics=[SimpleNamespace(name="l1")])
        self.settled, self.unavailable, self.out = (
            SimpleNamespace(config=config),
            {"fid": "[no] weights."},
            Path("here"),
        )
        self.finished = set(self.cells[:done])

    def done(self, cell):
        return cell in self.finished

    def left(self):
        return [cell for cell in self.cells if not self.done(cell)]


def steps(cell, count):
    cell.directory.mkdir(parents=True)
    (cell.directory / "metrics.jsonl").write_text(json.dumps({"step": count}) + "\n")


def test_without_a_terminal_each_run_that_ends_is_a_line_the_last_too(shown, tmp_path, monkeypatch):
    monkeypatch.setattr(board, "EVERY", 0.0)
    bench = Faked(tmp_path, done=1)
    with Board(bench) as table:
        for cell in bench.cells[1:]:
            table.tick(bench, [cell])
            bench.finished.add(cell)
    begun, lacking, *ended = shown()
    assert lacking == "fid will be unavailable: [no] weights."
    assert begun == "3 of 4 runs to do, 100 steps each, 1 at a time. Into here"
    assert ended == ["2 of 4: cycle+idt seed 0", "3 of 4: cycle seed 1", "4 of 4: cycle+idt seed 1"]


def test_cells_are_not_looked_at_at_every_tick(tmp_path, monkeypatch):
    bench = Faked(tmp_path)
    looked = []
    monkeypatch.setattr(bench, "done", lambda cell: looked.append(cell))
    table = Board(bench)
    for _ in range(100):
        table.tick(bench, [])
    assert len(looked) <= 12  # as it was made, once at least, and once more where the machine is slow


def test_the_table_says_who_runs_how_far_and_how_long_it_takes(tmp_path, monkeypatch):
    bench = Faked(tmp_path, done=1)
    table = Board(bench)
    now = table.began + 30.0
    monkeypatch.setattr(board.time, "monotonic", lambda: now)
    running = bench.cells[1:3]
    steps(running[0], 40)
    drawn = Console(width=160)
    with drawn.capture() as said:
        drawn.print(table._table(bench, running))
    lines = [" ".join(line.split()) for line in said.get().splitlines() if line.strip()]
    assert lines[0] == "1 of 4 runs, about 0:03:15 left"  # 30 s for 0.4 of a run, and 2.6 to go
    assert lines[1] == "combination done running"
    assert lines[3:] == ["cycle 1/2 seed 1: 0/100", "cycle+idt 0/2 seed 0: 40/100"]


def test_at_first_nobody_knows_how_long_it_takes(tmp_path):
    bench = Faked(tmp_path)
    assert Board(bench)._left(bench, bench.cells[:1]) == "0 of 4 runs"


def test_a_terminal_has_one_live_table_and_no_lines(tmp_path, monkeypatch):
    terminal = Console(width=160, force_terminal=True, record=True)
    monkeypatch.setattr(board, "console", terminal)
    bench = Faked(tmp_path, done=1)
    with Board(bench) as table:
        table.tick(bench, bench.cells[1:2])
        bench.finished.add(bench.cells[1])
    said = terminal.export_text()
    assert "cycle+idt" in said
    assert "2 of 4:" not in said


def test_a_plan_says_what_it_would_do(shown, tmp_path):
    show_plan(Faked(tmp_path, done=1), 0.5, 2)
    assert shown()[2:] == [
        "cycle 2 1", "cycle+idt 2 0",
        "3 runs of 100 steps, 0.5 s a step of the largest, 2 at a time: about 0:01:15, and the measuring. Into here",
        "Measured: l1.", "fid will be unavailable: [no] weights.",
    ]  # fmt: skip
