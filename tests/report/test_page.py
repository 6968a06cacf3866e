"""The page: what it says, that it is whole in itself, safe, and small at a thousand cells."""

from __future__ import annotations

import base64
import json
import re
import time
from html.parser import HTMLParser
from io import BytesIO
from itertools import pairwise, product

import pytest
import torch
from PIL import Image

from lossbench.bench.cells import Cell
from lossbench.bench.results import report as reported
from lossbench.bench.results import results
from lossbench.bench.suite import label
from lossbench.errors import RunError
from lossbench.pictures import sample_grid
from lossbench.report import tables
from lossbench.report.answer import answered
from lossbench.report.page import page, run_page
from lossbench.report.words import more_seeds
from tests.bench.test_results import BASE, Made, value, written

EVIL = "<script>alert(1)</script>"
COMBINATIONS = ("cycle", "cycle+idt", "cycle+tv", "cycle+idt+tv")
MACHINE = {"cpu": "one", "threads": 1, "device": "cpu", "packages": {"torch": "2.0", "lossbench": "0.1"}}
TERM = {"term": "A2B/cycle", "weight": 10.0, "options": {"power": 1, "mode": None}, "asks": ["real", "rec"],
        "source": "lossbench_plugins.cycle", "distribution": "lossbench", "version": "0.1.0", "sha256": "abcdef" * 10}  # fmt: skip


def picture(number, size=32):
    """Return an image of one colour, each number another."""
    buffer = BytesIO()
    Image.new("RGB", (size, size), (number * 37 % 256, number * 91 % 256, number % 256)).save(buffer, "PNG")
    return f"data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode()}"


def with_evidence(report, rows=2):
    """Return a report with images of colours that differ, and curves of round numbers."""
    names = dict.fromkeys(cell["combination"] for cell in report["cells"])
    columns = {
        name: {"seed": 1, "images": [picture(10 + 10 * place + row) for row in range(rows)]}
        for place, name in enumerate(names)
    }
    given = {"input": [picture(row) for row in range(rows)], "truth": [picture(5 + row) for row in range(rows)]}
    terms = {"A2B/gan": [3.0, 1.0], "A2B/cycle": [1.0, 3.0], "A2B/gan:D": [0.5, 0.25]}
    curve = {"seed": 1, "steps": [10, 20], "terms": terms}
    return report | {"pictures": {"A2B": given | {"columns": columns}}, "curves": dict.fromkeys(names, curve)}


def full(root, worse=1.0, **facts):
    """Return a report of two losses, all combinations, five seeds, three metrics and costs."""
    made = Made(root, "idt,tv", combine="all", primary="l1", margin="5%")
    for place, name in enumerate(COMBINATIONS):
        factor = {"cycle": 1.0, "cycle+idt": 0.5, "cycle+tv": 1.5 * worse, "cycle+idt+tv": 0.75}[name]
        for seed in range(10 if name == "cycle" else 5):
            words = tuple(name.split("+"))
            cell = Cell(words, seed, f"{label(words)}{seed}", root / f"{label(words)}-seed{seed}", seed >= 5)
            values = {
                "l1": BASE[seed % 5] * factor,
                "psnr": value(20.0 + place + 0.1 * seed, better="higher"),
                "kid": value(0.1, shown=100.0),
            }
            speed = {"median": 0.1 + 0.1 * place, "quartiles": [0.1, 0.2], "n": 4}
            written(cell, values, copy=1.2, floor=0.9, environment=MACHINE, objective=[TERM], speed=speed, **facts)
            made.cells.append(cell)
    return with_evidence(reported(made.suite, results(made.cells)))


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    return full(tmp_path_factory.mktemp("now"))


@pytest.fixture(scope="module")
def text(report):
    return page(answered(report))


class Outline(HTMLParser):
    """What a page consists of: its elements in order, the text of each kind."""

    def __init__(self, text):
        super().__init__()
        self.seen, self.open = [], []
        self.text = {}
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.seen.append((tag, dict(attributes)))
        self.open.append(tag)

    def handle_endtag(self, tag):
        while self.open and self.open.pop() != tag:
            pass

    def handle_data(self, data):
        if self.open:
            self.text.setdefault(self.open[-1], []).append(data)

    def all(self, tag):
        return [attributes for name, attributes in self.seen if name == tag]


def section(text, name):
    return re.search(rf'<section id="{name}".*?(?=<section id=|<script>)', text, re.DOTALL)[0]


def plain(cell):
    return " ".join(re.sub(r"<[^>]*>", " ", cell.replace("<wbr>", "")).split())


def rows(part):
    """Return the cells' texts of each row of a table's body."""
    body = "".join(re.findall(r"<tbody>.*?</tbody>", part, re.DOTALL))
    return [
        [plain(cell) for cell in re.findall(r"<t[hd].*?</t[hd]>", row, re.DOTALL)]
        for row in re.findall(r"<tr>.*?</tr>", body, re.DOTALL)
    ]


# What it says -----------------------------------------------------------------------------------------------------


def test_the_verdict_stands_first_in_words(report, text):
    answer = answered(report)
    first = section(text, "verdict")
    assert (answer.word, answer.exit_code) == ("regressed", 1)
    assert '<h2 id="verdict-head">A loss makes it worse</h2>' in first
    for said in (answer.sentence, answer.advice, answer.earned):
        assert said
        assert said in first
    assert "<dt>Exit code</dt><dd>1</dd>" in first
    assert "<dt>Seeds</dt><dd>0 to 4; 5 to 9 of the baseline again</dd>" in first


def test_the_two_questions_have_a_table_each(report, text, tmp_path):
    assert 'id="change"' not in text
    both = page(answered(full(tmp_path, worse=1.2), report))
    change, losses = rows(section(both, "change")), rows(section(both, "losses"))
    assert [row[0] for row in change] == list(COMBINATIONS)
    assert [row[0] for row in losses] == list(COMBINATIONS[1:])
    assert change[2][1:3] == ["▼ regressed", next(row[2] for row in change if row[0] == "cycle+tv")]
    assert change[2][2].startswith("20 % worse")
    assert losses[1][2].startswith("80 % worse")
    assert both.index('id="change"') < both.index('id="losses"')


def test_a_row_says_mean_error_n_and_what_it_is_beside(text):
    # mean of BASE is 1; its standard deviation .0790569, so the standard error .0353553; halved .018
    row = next(row for row in rows(section(text, "losses")) if row[0] == "cycle+idt")
    assert row[1] == "▲ better"
    assert row[2].startswith("50 % better")
    assert row[3:6] == ["A2B/l1 of 2, lower is better", "0.5 ± 0.018 n = 5", "1 n = 5"]


def test_seeds_that_would_decide_stand_beside_inconclusive(tmp_path):
    made = (
        Made(tmp_path, "idt", combine="add-one", primary="l1")
        .add("cycle", BASE)
        .add("cycle+idt", [0.5, 1.9, 0.6, 1.4, 1.1])
    )
    answer = answered(made.report())
    (row,) = rows(section(page(answer), "losses"))
    assert row[1] == "? inconclusive"
    assert row[-1] == more_seeds(answer.losses[0]) != ""


def test_an_exact_comparison_says_how_far_apart_values_are(report, tmp_path):
    text = page(answered(full(tmp_path, worse=2.0), report, exact=1e-9))
    change = {row[0]: row[1:] for row in rows(section(text, "change"))}
    assert change["cycle+tv"][:3] == ["≠ differs", "50 % apart", "A2B/l1"]
    assert change["cycle"][:2] == ["✓ ok", "the same"]


def test_the_heat_map_has_every_metric_costs_last_and_what_they_are_beside(text):
    part = section(text, "metrics")
    heads = re.findall(r"<th[^>]*><span>(.*?)</span>", part)
    assert heads == [
        "combination",
        "seeds",
        "A2B/l1",
        "A2B/psnr",
        "A2B/kid",
        "cost/seconds_per_step",
        "cost/peak_memory_mb",
    ]
    found = {row[0]: row[1:] for row in rows(part)}
    assert found["cycle+idt"][:2] == ["5", "0.5 50 % better"]
    assert found["cycle baseline"][3] == "10"  # 0.1, shown times 100
    foot = part[part.index("<tfoot>") :]
    assert [re.sub("<.*?>", " ", each).split()[0] for each in re.findall(r'<th scope="row">.*?</th>', foot)] == [
        "cycle",
        "copy",
        "floor",
    ]
    assert "1.2" in foot
    assert "Verdicts are passed on primary metrics alone" in part


@pytest.mark.parametrize(
    ("worse", "shade"),
    [
        (0.0, ""),
        (0.9, ""),
        (1.0, "worse1"),
        (2.0, "worse2"),
        (4.0, "worse3"),
        (-1.5, "better1"),
        (-3.0, "better2"),
        (-9.0, "better3"),
        (None, ""),
    ],
)
def test_shades_are_steps_of_the_spread(worse, shade):
    assert tables.shade(worse, 1.0) == shade
    assert tables.shade(worse, 0.0) == ""


def test_the_spread_is_pooled_over_combinations():
    # variances 2 and 8, one degree of freedom each
    assert tables.spread([[1.0, 3.0], [1.0, 5.0], [7.0]]) == pytest.approx(5**0.5)
    assert tables.spread([[1.0], []]) == 0.0


@pytest.mark.parametrize(
    ("size", "columns", "shown"), [(64, 10, 64), (64, 4, 128), (32, 10, 96), (100, 40, 100), (256, 3, 128)]
)
def test_small_images_are_enlarged_by_whole_numbers(size, columns, shown):
    images = [picture(1, size)]
    assert tables.grid("A2B", [{"name": "input", "images": images}] * columns, "input")["px"] == shown


def test_images_name_their_seed_and_value(text):
    part = section(text, "images")
    assert 'alt="A2B, test image 2, by cycle+idt, seed 1, A2B/l1 0.55"' in part
    assert part.count("<img ") == 2 * (2 + 4)
    assert "seed in the middle by A2B/l1, never its best" in part


def test_pictures_of_seeds_say_their_numbers(text):
    part = section(text, "seeds")
    # mean 0.5, standard error .0176777, t of 4 degrees at 90 % 2.13185: +- .0376866
    assert "<title>cycle+idt, A2B/l1: 0.5, 0.55, 0.45, 0.525, 0.475; mean 0.5, 0.4623 to 0.5377, n = 5</title>" in part
    assert "cycle, other seeds" in part
    assert "mean of cycle: 1<" in part
    assert "copy, the input itself: 1.2<" in part
    assert part.count('class="choice"') == 5


def test_attribution_says_better_or_worse_and_what_it_costs(text):
    # means 1, .5, 1.5, .75: idt alone -.5, with tv -.75; tv alone +.5, with idt +.25
    found = {row[0]: row for row in rows(section(text, "attribution"))}
    assert found["idt"][2].startswith("-0.625 ")
    assert found["idt"][3] == "better"
    assert found["tv"][2].startswith("+0.375 ")
    assert found["tv"][3] == "worse"
    assert found["tv"][5].startswith("+0.2 s")  # .1, .2, .3, .4 s a step
    assert found["idt with tv"][2].startswith("-0.25 ")


def test_curves_say_each_share_and_keep_discriminators_apart(text):
    part = section(text, "curves")
    assert (
        "<title>cycle, seed 1, step 10 to 20: shares of the generators&#39; objective; at the end gan 25%, cycle 75%</title>"
        in part
    )
    assert part.count("Weighted terms of the discriminators") == 4
    assert "weighted terms of the discriminators; at the end A2B/gan:D 0.25</title>" in part


def test_the_front_of_quality_and_cost_is_named(text):
    part = section(text, "costs")
    assert "Nothing is better in both than: cycle 1 at 0.1 s; cycle+idt 0.5 at 0.2 s</title>" in part
    assert [row[1] for row in rows(part) if row[-1] == "◆ yes"] == ["cycle", "cycle+idt"]


def test_failures_are_named_with_their_reason(tmp_path):
    made = Made(tmp_path, "idt", combine="add-one", primary="l1").add("cycle", BASE).add("cycle+idt", BASE[:4])
    cell = Cell(("cycle", "idt"), 4, "x", tmp_path / "lost", False)
    made.cells.append(written(cell, {}, status="diverged", error=f"step 7: {EVIL} is nan", metrics={}))
    text = page(answered(made.report()))
    assert rows(section(text, "failures")) == [
        ["cycle+idt", "4", "✕ diverged", "step 7: &lt;script&gt;alert(1)&lt;/script&gt; is nan"]
    ]
    assert EVIL not in text


def test_without_failures_it_says_so(text):
    assert "None: all 25 runs ended well." in section(text, "failures")


def test_it_says_how_to_do_it_again(report, text):
    part = section(text, "setting")
    assert "lossbench bench suite.toml" in part
    assert part.count("lossbench run --config suite.toml --plugins ") == 25
    assert "lossbench run --config suite.toml --plugins cycle,idt,tv --seed 3\n" in part
    assert f'<pre id="suite" tabindex="0">{report["suite"].replace(chr(34), "&#34;")}</pre>' in part
    assert "<td>A2B 10.0</td><td>power 1</td><td>lossbench 0.1.0</td>" in part


def test_without_evidence_it_says_where_images_come_from(tmp_path):
    made = Made(tmp_path, "idt", combine="add-one", primary="l1").add("cycle", BASE).add("cycle+idt", BASE)
    text = page(answered(made.report()))
    assert "<code>lossbench report DIR</code>" in section(text, "images")
    assert "No curves" in section(text, "curves")
    assert "<img" not in text


def test_a_report_of_nothing_is_a_page(tmp_path):
    made = Made(tmp_path, "idt", combine="add-one", primary="l1").add("cycle", [None] * 5).add("cycle+idt", [None] * 5)
    text = page(answered(made.report()))
    assert "a bench without a run" in section(text, "verdict")
    assert "Nothing was measured" in section(text, "metrics")
    assert len(rows(section(text, "failures"))) == 10


# What it is -------------------------------------------------------------------------------------------------------


def test_it_loads_nothing(text):
    outline = Outline(text)
    for tag, attributes in outline.seen:
        for key in ("src", "href", "srcset", "data", "action", "poster"):
            assert attributes.get(key, "#").startswith(("#", "data:")), tag
    style = re.search(r"<style>.*?</style>", text, re.DOTALL)[0]
    assert "url(" not in style
    assert "@import" not in style
    assert "http://" not in text
    assert "https://" not in text
    policy = next(
        each["content"] for each in outline.all("meta") if each.get("http-equiv") == "Content-Security-Policy"
    )
    assert policy.startswith("default-src 'none'; img-src data:;")


def test_headings_are_in_order_and_names_are_unique(text):
    outline = Outline(text)
    levels = [int(tag[1]) for tag, _ in outline.seen if re.fullmatch("h[1-6]", tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after - before <= 1 for before, after in pairwise(levels))
    names = [attributes["id"] for _, attributes in outline.seen if "id" in attributes]
    assert len(names) == len(set(names))
    targets = {each["href"][1:] for each in outline.all("a")}
    assert targets <= set(names)


def test_every_picture_has_a_text(text):
    outline = Outline(text)
    assert all(each.get("alt") for each in outline.all("img"))
    shown = [each for each in outline.all("svg") if each.get("aria-hidden") != "true"]
    assert len(re.findall(r"<svg[^>]*role=\"img\"[^>]*><title>[^<]{10,}", text)) == len(shown) > 0


def test_what_strangers_name_is_text(report):
    poisoned = json.loads(json.dumps(report).replace("idt", EVIL).replace("kid", EVIL))
    text = page(answered(poisoned))
    assert EVIL not in text
    assert text.count("&lt;script&gt;alert(1)&lt;/script&gt;") > 20
    assert text.count("<script") == 1


def test_equal_reports_are_equal_pages(report):
    assert page(answered(report)) == page(answered(json.loads(json.dumps(report))))


def thousand():
    """Return a report of 256 combinations, 4 seeds each, with 20 metrics."""
    names = [f"loss{place}" for place in range(8)]
    chosen = [
        "+".join(["cycle", *(name for name, on in zip(names, bits, strict=True) if on)])
        for bits in product((0, 1), repeat=8)
    ]
    measured = [*(f"A2B/m{place}" for place in range(18)), "cost/seconds_per_step", "cost/peak_memory_mb"]
    numbers = {name: [1 + 0.001 * seed + 0.01 * place for seed in range(4)] for place, name in enumerate(chosen)}
    empty = {"combination": "cycle", "values": [], "images": None, "failed": [], "missing": []}
    own = [
        empty
        | {
            "combination": name,
            "values": values,
            "images": [64, 64],
            "worse": values[0] - 1,
            "relative": values[0] - 1,
            "relative_high": 1.0,
        }
        for name, values in numbers.items()
    ]
    metric = {"unit": "of 2", "better": "lower", "shown": 1.0, "protocol": "1", "weights": {}, "level": 0.9, "reason": None,
              "beside": {"copy": None, "floor": None}, "attribution": None, "rows": own, "again": empty}  # fmt: skip
    cells = [
        {"combination": name, "plugins": name.split("+"), "seed": seed, "again": False, "status": "ok", "error": None,
         "environment": 0, "values": dict.fromkeys(measured, values[seed])}
        for name, values in numbers.items() for seed in range(4)
    ]  # fmt: skip
    steps = list(range(10, 610, 10))
    terms = {f"{way}/{name}": [1.23456 + 0.01 * step for step in steps] for way in ("A2B", "B2A") for name in names}
    report = {
        "schema": 2, "recipe": "cyclegan", "dataset": {"name": "shapes", "fingerprint": "f", "n": {"testA": 64}},
        "settings": {}, "losses": {}, "suite": "", "environments": [MACHINE], "baseline": "cycle", "primary": ["A2B/m0"],
        "level": 0.9, "margin": "2%", "pairing": "none", "cells": cells, "metrics": dict.fromkeys(measured, metric),
    }  # fmt: skip
    curve = {"seed": 0, "steps": steps, "terms": terms}
    return with_evidence(report) | {"curves": dict.fromkeys(chosen, curve)}


def test_a_thousand_cells_are_small_and_quick():
    report = thousand()
    assert len(report["cells"]) == 1024
    answer = answered(report)
    start = time.perf_counter()
    text = page(answer)
    assert time.perf_counter() - start < 10
    assert len(text.encode()) < 10e6
    assert "192 further combinations left out here" in text
    assert "those of the other 19 are in report.json" in text


# A run ------------------------------------------------------------------------------------------------------------


@pytest.fixture
def run(tmp_path):
    cell = Cell(("cycle",), 3, "id", tmp_path / "cycle-seed3", False)
    written(cell, {"l1": 0.5}, copy=0.75, objective=[TERM], environment=MACHINE, parameters={"G_A2B": 1234567})
    lines = [{"step": step, "raw": {"A2B/gan": 1.0}, "weighted": {"A2B/gan": 1.0, "A2B/cycle": 3.0}} for step in (1, 2)]
    (cell.directory / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines), "utf-8")
    (cell.directory / "samples").mkdir()
    return cell.directory


def test_a_run_says_what_was_minimised_and_what_came_of_it(run):
    sample_grid(
        run / "samples" / "A2B_000002.png",
        {name: torch.zeros(2, 3, 16, 16, dtype=torch.uint8) for name in ("input", "translation", "truth")},
    )
    text = run_page(run)
    assert '<h2 id="verdict-head">Ok</h2>' in text
    assert rows(section(text, "objective")) == [
        ["A2B/cycle", "10.0", "real, rec", "power 1", "lossbench 0.1.0 lossbench_plugins.cycle", "abcdefabcdefabcd"]
    ]
    assert rows(section(text, "values")) == [["l1", "0.5", "0.75", "", "64", "of 2, lower is better", "1"]]
    assert section(text, "images").count("<img ") == 6
    assert "at the end gan 25%, cycle 75%" in text
    assert "<dd>1,234,567</dd>" in text
    assert "0.1, median of 4" in text


def test_a_picture_without_a_layout_is_shown_whole(run):
    Image.new("RGB", (8, 8)).save(run / "samples" / "A2B_000002.png")
    text = run_page(run)
    assert section(text, "images").count("<img ") == 1
    assert 'src="data:image/png;base64,' in text


def test_a_run_that_failed_says_why_and_has_gaps(tmp_path):
    cell = written(
        Cell(("cycle",), 3, "id", tmp_path / "cell", False),
        {},
        status="diverged",
        error=EVIL,
        metrics={},
        speed=None,
        peak_memory_mb=None,
    )
    text = run_page(cell.directory)
    assert '<h2 id="verdict-head">Diverged</h2>' in text
    assert EVIL not in text
    for said in ("Nothing was measured.", "No samples were drawn.", "No step was logged.", "not known"):
        assert said in text


def test_no_run_is_an_error(tmp_path):
    with pytest.raises(RunError, match="holds no run"):
        run_page(tmp_path)
