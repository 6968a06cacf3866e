"""Cells as processes: so many at a time, each with its exit code, all asked to save when the bench is stopped."""

from __future__ import annotations

import os
import signal
import sys
import time

import pytest
import torch

from lossbench.bench import local
from lossbench.bench.bench import executor
from lossbench.bench.cells import Cell
from lossbench.bench.local import Local

SAVES = """
import pathlib, signal, sys, time
def save(number, frame):
    pathlib.Path(sys.argv[1]).write_text(signal.Signals(number).name)
    sys.exit(143)
signal.signal(signal.SIGTERM, save)
pathlib.Path(sys.argv[1]).touch()
time.sleep(60)
"""


@pytest.fixture
def cells(tmp_path):
    return [Cell(("cycle",), seed, "id", tmp_path / "cells" / f"cycle-seed{seed}") for seed in range(4)]


@pytest.fixture(autouse=True)
def _hurry(monkeypatch):
    monkeypatch.setattr(local, "TICK", 0.01)


def python(code):
    return lambda cell: [sys.executable, "-S", "-c", code, str(cell.directory)]


def nothing(running):
    pass


@pytest.mark.parametrize("workers", [1, 2])
def test_each_cell_ends_once_and_never_more_run_than_there_are_workers(cells, workers):
    most = []
    found = list(
        Local(workers, 1).run(cells, python("import time; time.sleep(0.1)"), lambda now: most.append(len(now)))
    )
    assert sorted((cell.seed, code) for cell, code in found) == [(0, 0), (1, 0), (2, 0), (3, 0)]
    assert max(most) == workers


def test_exit_codes_and_signals_come_back_and_take_no_other_cell_with_them(cells):
    code = (
        "import os, sys; os.kill(os.getpid(), 9) if 'seed1' in sys.argv[1] else sys.exit(2 * ('seed2' in sys.argv[1]))"
    )
    found = {cell.seed: code for cell, code in Local(2, 1).run(cells, python(code), nothing)}
    assert found == {0: 0, 1: -signal.SIGKILL, 2: 2, 3: 0}


def test_what_a_cell_prints_lies_beside_it_after_what_it_printed_before(cells):
    for word in ("one", "two"):
        code = f"import sys; print('{word}', flush=True); print('wrong', file=sys.stderr)"
        list(Local(1, 1).run(cells[:1], python(code), nothing))
    assert cells[0].log.read_text() == "one\nwrong\ntwo\nwrong\n"
    assert cells[0].log == cells[0].directory.parent / "cycle-seed0.log"


def test_commands_are_made_when_a_cell_begins(cells):
    """A cell that another bench, or the one before, has changed meanwhile is begun as it is then."""
    asked = []

    def command(cell):
        asked.append((cell.seed, len(ended)))
        return python("pass")(cell)

    ended = []
    for cell, _ in Local(1, 1).run(cells, command, nothing):
        ended.append(cell)
    assert asked == [(0, 0), (1, 1), (2, 2), (3, 3)]


def test_a_worker_has_its_threads_and_its_gpu(cells):
    code = "import os; print(os.environ['OMP_NUM_THREADS'], os.environ['CUDA_VISIBLE_DEVICES'])"
    list(Local(2, 3, ["4", "7"]).run(cells[:2], python(code), nothing))
    assert [cell.log.read_text() for cell in cells[:2]] == ["3 4\n", "3 7\n"]


def test_stopped_it_asks_each_run_once_and_waits_until_it_has_saved(cells):
    saved = [cell.directory.with_suffix(".saved") for cell in cells[:2]]

    def tick(running):
        if all(path.exists() for path in saved):
            raise KeyboardInterrupt

    command = python(SAVES.replace("sys.argv[1]", "sys.argv[1] + '.saved'"))
    with pytest.raises(KeyboardInterrupt):
        list(Local(2, 1).run(cells, command, tick))
    assert [path.read_text() for path in saved] == ["SIGTERM", "SIGTERM"]
    assert not cells[2].log.exists()


def test_a_run_that_does_not_end_is_killed_after_a_while(cells, monkeypatch):
    monkeypatch.setattr(local, "GRACE", 0.3)
    deaf = "import signal, sys, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); open(sys.argv[1] + '.up', 'w'); time.sleep(60)"

    def tick(running):
        if cells[0].directory.with_suffix(".up").exists():
            raise KeyboardInterrupt

    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        list(Local(1, 1).run(cells[:1], python(deaf), tick))
    assert time.monotonic() - began < 20


def test_ctrl_c_in_a_terminal_is_for_the_bench_alone(cells):
    """Else a run would be asked twice, and the second time stops at once."""
    list(Local(1, 1).run(cells[:1], python("import os; print(os.getpgrp())"), nothing))
    assert int(cells[0].log.read_text()) != os.getpgrp()


# What runs where --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("workers", "expected"), [(None, (8, 1)), (1, (1, 1)), (8, (8, 1)), (20, (20, 1))])
def test_there_is_a_worker_for_each_core_and_a_thread_for_each_worker(monkeypatch, workers, expected):
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(8)))
    made = executor("cpu", workers)
    assert (made.workers, made.threads, list(made.gpus)) == (*expected, [])


@pytest.mark.parametrize(
    ("seen", "device", "workers", "expected"),
    [
        (None, "cuda", None, (2, ["0", "1"])),
        ("5,7", "cuda", None, (2, ["5", "7"])),
        (None, "cuda", 6, (6, ["0", "1"])),
        (None, "cuda:1", None, (1, [])),
        ("5,7", "cuda:1", 2, (2, [])),
    ],
)
def test_each_gpu_that_may_be_used_has_runs_of_its_own(monkeypatch, seen, device, workers, expected):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if seen:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", seen)
    made = executor(device, workers)
    assert (made.workers, list(made.gpus), made.threads) == (*expected, 1)
