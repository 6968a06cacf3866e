"""report.json: what is published is what is written, and what cannot be read says so."""

from __future__ import annotations

import copy
import json
from pathlib import Path

import jsonschema
import pytest
from hypothesis import HealthCheck, given, settings, strategies

from lossbench.errors import LossbenchError, RunError
from lossbench.files import write_json
from lossbench.report.answer import answered
from lossbench.report.junit import junit
from lossbench.report.markdown import markdown
from lossbench.report.page import page
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


def places(part, path=()):
    """Yield the path to everything in a report; of long lists to the first three."""
    items = part.items() if isinstance(part, dict) else enumerate(part[:3]) if isinstance(part, list) else ()
    for key, value in items:
        yield (*path, key)
        yield from places(value, (*path, key))


@given(data=strategies.data())
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_is_in_a_report_it_is_told_or_refused(report, tmp_path, data):
    report["curves"] = {"cycle": {"seed": 0, "steps": [1, 2], "terms": {"A2B/gan": [0.5, None]}}}
    damaged = copy.deepcopy(report)
    *parents, last = data.draw(strategies.sampled_from(list(places(report))))
    part = damaged
    for key in parents:
        part = part[key]
    if data.draw(strategies.booleans()):
        del part[last]
    else:
        part[last] = data.draw(strategies.sampled_from([None, "", "<b>", -1, 0.5, True, [], {}, [None], {"a": 1}]))
    write_json(tmp_path / "damaged.json", damaged)
    try:
        found = read_report(tmp_path / "damaged.json")
        answers = [answered(found), answered(found, report), answered(report, found, exact=1e-9)]
    except LossbenchError:
        return
    for answer in answers:
        assert all((markdown(answer), junit(answer), page(answer), json.dumps(answer.json(), allow_nan=False)))


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
