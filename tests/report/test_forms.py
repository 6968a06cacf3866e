"""`lossbench report`: forms, exit codes, and one line where something is wrong."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from lossbench.files import write_json
from lossbench.report.schema import read_report
from tests.bench.test_results import BASE, Made

WORSE = [number * 1.5 for number in BASE]


@pytest.fixture
def benches(tmp_path):
    """Write reports into directories, as benches leave them: before, and after something got worse."""
    for name, numbers in (("before", BASE), ("after", WORSE)):
        made = Made(tmp_path / name / "cells", "idt", combine="all", primary="l1", margin="5%")
        report = made.add("cycle", BASE).add("cycle+idt", numbers).add("cycle", BASE, again=True).report()
        write_json(tmp_path / name / "report.json", report)
    return tmp_path


def test_every_form_at_once_and_the_exit_code(benches, lossbench):
    forms = ["--markdown", "r.md", "--html", "r.html", "--junit", "r.xml", "--json", "r.json"]
    code, out, err = lossbench("report", "after", "--baseline", "before", *forms)
    assert (code, err) == (1, "")
    assert out.splitlines()[-1].startswith(
        "Regressed, do not merge yet. Worse than the baseline: cycle+idt, A2B/l1 50 % worse ("
    )
    assert (benches / "r.md").read_text("utf-8").startswith("<!-- lossbench: cyclegan on shapes -->")
    assert "<testsuites" in (benches / "r.xml").read_text("utf-8")
    assert "Worse than the baseline" in (benches / "r.html").read_text("utf-8")
    written = read_report(benches / "r.json")
    assert (written["answer"]["exit_code"], written["answer"]["word"]) == (1, "regressed")
    assert lossbench("report", "r.json", "--baseline", "before")[0] == 1  # travels without its runs
    assert lossbench("report", "before", "--baseline", "before/report.json")[0] == 0


def test_a_form_that_is_printed_stands_alone(benches, lossbench):
    code, out, _ = lossbench("report", "after", "--json", "-")
    assert (code, json.loads(out)["answer"]["word"]) == (1, "regressed")
    code, out, _ = lossbench("report", "before", "--baseline", "before", "--markdown", "-")
    assert (code, len(out.splitlines())) == (0, 2)


@pytest.mark.parametrize(
    ("words", "code", "line"),
    [
        ("nowhere", 2, "lossbench: nowhere holds no report. It is made by: lossbench bench"),
        ("after --baseline nowhere", 2, "lossbench: nowhere holds no report."),
        ("after --baseline torn.json", 4, "lossbench: --baseline torn.json cannot be read:"),
        ("torn.json", 2, "lossbench: torn.json cannot be read:"),
        ("after --baseline old.json", 4, "lossbench: --baseline old.json is not a report of schema 2."),
        ("after --fail-on ll1:3%", 2, "lossbench: --fail-on ll1:3%: ll1 was not measured. Did you mean `l1`?"),
        ("after --fail-on l1:3x", 2, "lossbench: `3x` is not a margin."),
        ("after --exact 1e-9", 2, "lossbench: --exact compares with another report. Name it: --baseline FILE"),
        ("after --accepted torn.json", 2, "lossbench: --accepted torn.json is not TOML:"),
        ("after --markdown no/where.md", 2, "lossbench: no/where.md cannot be written: no such file or directory"),
    ],
)
def test_what_is_wrong_is_one_line_and_nothing_is_lost(benches, lossbench, words, code, line):
    (benches / "torn.json").write_text('{"schema"', "utf-8")
    (benches / "old.json").write_text('{"schema": 1}', "utf-8")
    before = (benches / "after" / "report.json").read_bytes()
    found, _, err = lossbench("report", *words.split())
    assert (found, err.count("\n")) == (code, 1)
    assert err.lower().startswith(line.lower())
    assert (benches / "after" / "report.json").read_bytes() == before


def test_a_broken_record_is_incomplete(benches, lossbench):
    report = read_report(benches / "before")
    report["cells"][0] |= {"status": "failed", "error": "run.json is damaged", "values": {}}
    write_json(benches / "before" / "report.json", report)
    code, out, _ = lossbench("report", "before")
    assert code == 3
    assert "cycle seed 0 failed: run.json is damaged" in out


def test_no_torch_is_imported(benches):
    code = (
        "import sys; from pathlib import Path; from lossbench.report.forms import told; "
        f"told(Path({str(benches / 'after')!r}), None, {{'html': Path({str(benches / 'r.html')!r})}}); "
        "sys.exit('torch' in sys.modules or 'matplotlib' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, check=False).returncode == 0
