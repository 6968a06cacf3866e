"""report.json: what is published is what is written, and what cannot be read says so."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest

from lossbench.errors import RunError
from lossbench.files import write_json
from lossbench.report.answer import answered
from lossbench.report.schema import Incomparable, published, read_baseline, read_report
from tests.bench.test_results import BASE, Made

ROOT = Path(__file__).parents[2]


@pytest.fixture
def report(tmp_path):
    made = Made(tmp_path / "made", "idt", combine="all", primary="l1")
    return made.add("cycle", BASE, copy=0.5).add("cycle+idt", [*BASE[:4], None]).add("cycle", BASE, again=True).report()


def test_what_a_bench_writes_keeps_to_the_schema(report):
    jsonschema.validate(json.loads(json.dumps(report)), published())


def test_what_the_command_writes_keeps_to_it_too(report):
    jsonschema.validate(json.loads(json.dumps(answered(report, report).json())), published())


@pytest.mark.parametrize(
    "path", sorted((ROOT / "benchmarks" / "results").glob("bench-*.json")), ids=lambda path: path.stem
)
def test_committed_results_keep_to_it(path):
    jsonschema.validate(json.loads(path.read_text("utf-8")), published())


def test_what_breaks_it_is_noticed(report):
    for key in ("cells", "metrics", "baseline"):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate({name: value for name, value in report.items() if name != key}, published())
    report["cells"][0]["status"] = "fine"
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(report, published())


def test_the_published_file_is_that_of_the_code():
    assert json.loads((ROOT / "docs" / "report.schema.json").read_text("utf-8")) == published()


def test_a_directory_and_a_file_are_read(report, tmp_path):
    write_json(tmp_path / "report.json", report)
    assert read_report(tmp_path) == read_report(tmp_path / "report.json") == report


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "holds no report. It is made by: lossbench bench"),
        (b"{", "cannot be read: "),
        (b"\xff", "cannot be read: "),
        (b"[]", "is not a report of schema 2. Make it anew with this version"),
        (b'{"schema": 1}', "is not a report of schema 2. Make it anew with this version"),
        (b'{"schema": 2}', "is damaged: recipe: field required."),
    ],
)
def test_what_cannot_be_read_is_one_line(tmp_path, content, message):
    path = tmp_path / "report.json"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(RunError, match=message):
        read_report(path)
    with pytest.raises(RunError if content is None else Incomparable, match=message):
        read_baseline(path)
