"""CSV: the table holds what the log holds, and a run that goes on ends with the table of one that was never stopped."""

from __future__ import annotations

import csv
import io

import pytest

from lossbench import hookimpl, train
from lossbench.record import read_log
from tests.conftest import TINY

pytestmark = pytest.mark.usefixtures("plain_pictures")


@pytest.fixture(autouse=True)
def _unjudged(monkeypatch):
    monkeypatch.setattr("lossbench.run.closing", lambda run: {})


class Stop:
    @hookimpl
    def lossbench_step(self, step):
        if step == 2:
            raise KeyboardInterrupt


def begin(out, *others, **settings):
    keys = TINY | {"cycle.weight": "linear:10,5"} | {key.replace("__", "."): value for key, value in settings.items()}
    return train("cycle", observers=["csv", *others], settings=keys, out=out).directory / "metrics.csv"


def table(path):
    return list(csv.DictReader(io.StringIO(path.read_text("utf-8"))))


@pytest.fixture
def whole(tmp_path):
    return begin(tmp_path / "whole")


@pytest.fixture
def stopped(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        begin(tmp_path / "stopped", Stop())
    return tmp_path / "stopped" / "metrics.csv"


def test_the_table_holds_what_the_log_holds(whole):
    raw = [
        (str(line["step"]), term, repr(value))
        for line in read_log(whole.with_name("metrics.jsonl"))
        for term, value in line["raw"].items()
    ]
    assert [(row["step"], row["term"], row["value"]) for row in table(whole)] == raw
    weights = [float(row["weight"]) for row in table(whole) if row["term"] == "A2B/cycle"]
    assert weights[0] == 10
    assert weights == sorted(weights, reverse=True)


def test_rows_of_every_second_step(tmp_path):
    assert {row["step"] for row in table(begin(tmp_path / "run", csv__every=2))} == {"2", "4"}


def test_a_run_that_goes_on_ends_with_the_same_table(whole, stopped):
    train(resume=stopped.parent)
    assert stopped.read_bytes() == whole.read_bytes()


@pytest.mark.parametrize("ahead", ["3,A2B/gan,0.5,1.0\n4,A2B/gan,0.5,1.0\n", "3,A2B/ga", "12", "\0\0\0", "no,table\n"])
def test_rows_ahead_of_the_step_it_goes_on_from_are_dropped(whole, stopped, ahead):
    with stopped.open("a") as file:
        file.write(ahead)
    train(resume=stopped.parent)
    assert stopped.read_bytes() == whole.read_bytes()


def test_a_table_begins_where_it_is_switched_on(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        train("cycle", observers=[Stop()], settings=TINY, out=tmp_path / "run")
    train(resume=tmp_path / "run", observers=["csv"])
    assert [row["step"] for row in table(tmp_path / "run" / "metrics.csv")] == ["3"] * 6 + ["4"] * 6
