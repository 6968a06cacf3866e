"""What a bench shows of itself: what it will do, and how far it is."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import pytest
from rich.console import Console

from lossbench.bench import board
from lossbench.bench.board import Board, show_plan
from lossbench.bench.cells import Cell


@pytest.fixture(autouse=True)
def shown(monkeypatch):
    """Return a reader of what was printed, line by line."""
    wide = Console(width=160, record=True, force_terminal=False)
    monkeypatch.setattr(board, "console", wide)
    return lambda: [" ".join(line.split()) for line in wide.export_text().splitlines() if line.strip()]


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


def test_a_run_that_does_not_end_is_a_line_with_its_last_words_while_others_go_on(shown, tmp_path, monkeypatch):
    monkeypatch.setattr(board, "EVERY", 0.0)
    bench = Faked(tmp_path)
    first, second, third, _ = bench.cells
    with Board(bench) as table:
        table.tick(bench, [first, second])
        first.log.write_text("training\nlossbench: No space [left].\n\n", "utf-8")
        table.tick(bench, [second, third])
        bench.finished.add(third)
    assert shown()[2:] == [
        "cycle seed 0 did not end: lossbench: No space [left].", "cycle+idt seed 0 did not end: it was killed",
        "1 of 4: cycle seed 1",
    ]  # fmt: skip


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
    show_plan(Faked(tmp_path, done=1), 0.5, 8, 2)
    assert shown()[2:] == [
        "cycle 2 1", "cycle+idt 2 0",
        "3 runs of 100 steps, 0.5 s a step of the largest and 8 s to measure it, 2 at a time: about 0:01:27. Into here",
        "Measured: l1.", "fid will be unavailable: [no] weights.",
    ]  # fmt: skip
