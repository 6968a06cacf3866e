"""From records to a report: every verdict word, nothing lost or invented, a thousand of them in seconds."""

from __future__ import annotations

import json
import math
import statistics
import time
from dataclasses import asdict
from itertools import product

import pytest
from scipy import stats as scipy_stats

from lossbench.bench.attribution import effects
from lossbench.bench.cells import Cell
from lossbench.bench.results import report, results
from lossbench.bench.suite import label, suite
from lossbench.files import write_json
from lossbench.record import read_record

FACTS = {"unit": "of 2", "better": "lower", "shown": 1.0, "protocol": "1", "weights": {}, "sha256": "5" * 64}
BASE = [1.0, 1.1, 0.9, 1.05, 0.95]


def value(number, **facts):
    return FACTS | {"value": number, "n": 0 if number is None else 64} | facts


def written(cell, values, *, copy=None, floor=None, **facts):
    """Write a record such as a run leaves, of metric -> number or facts of a value; return the cell."""
    beside = {"copy": copy, "floor": floor}
    table = {what: {"l1": value(number)} for what, number in beside.items() if number is not None}
    table["translation"] = {name: each if isinstance(each, dict) else value(each) for name, each in values.items()}
    record = {
        "schema": 2, "run_id": cell.run_id, "status": "ok", "error": None, "command": "lossbench run", "objective": [],
        "config": {"recipe": "cyclegan", "data.size": 32, "train.seed": cell.seed, "metrics": list(values)},
        "dataset": {"name": "shapes", "fingerprint": "f", "n": {"trainA": 4, "testA": 64}, "paired_test": True},
        "environment": {"cpu": "one", "threads": 1, "device": "cpu", "packages": {}}, "steps_done": 4,
        "metrics": {"A2B": table}, "speed": {"median": 0.1, "quartiles": [0.1, 0.1], "n": 4}, "peak_memory_mb": 500.0,
    } | facts  # fmt: skip
    cell.directory.mkdir(parents=True)
    write_json(cell.directory / "run.json", record)
    return cell


class Made:
    """A bench that was never run: records by combination and seed."""

    def __init__(self, root, plugins="idt,tv", adversary="gan", **bench):
        keys = {f"bench.{key}": given for key, given in {"always": "cycle", "seeds": 5, **bench}.items()}
        self.suite = suite(keys, ["cycle", *plugins.split(",")], adversary)
        self.root, self.cells = root, []

    def add(self, combination, numbers, *, again=False, metric="l1", **facts):
        """Write a record for each number; None: a cell without one."""
        words = tuple(combination.split("+"))
        start = self.suite.bench.seeds if again else 0
        for seed, number in enumerate(numbers, start):
            cell = Cell(words, seed, f"{label(words)}{seed}", self.root / f"{label(words)}-seed{seed}", again)
            if number is not None:
                written(cell, {metric: number}, **facts)
            self.cells.append(cell)
        return self

    def report(self):
        found = report(self.suite, results(self.cells))
        assert json.loads(json.dumps(found, allow_nan=False)) == found
        return found

    def rows(self, metric="A2B/l1"):
        return {row["combination"]: row for row in self.report()["metrics"][metric]["rows"]}

    def verdicts(self, metric="A2B/l1"):
        return [row.get("verdict") for row in self.rows(metric).values()]


@pytest.fixture
def two(tmp_path):
    """Return a maker of a bench of the baseline and one more combination."""
    made = []

    def make(base, other, *, better="lower", facts=None, **bench):
        place = Made(tmp_path / str(len(made)), "idt", combine="add-one", **bench)
        made.append(place)
        turn = {"better": better, **(facts or {})}
        for combination, numbers in (("cycle", base), ("cycle+idt", other)):
            place.add(combination, [number if number is None else value(number, **turn) for number in numbers])
        return place

    return make


def test_a_synthetic_record_is_one_that_lossbench_reads(tmp_path):
    cell = written(Cell(("cycle",), 3, "id", tmp_path / "cell"), {"l1": 0.5})
    assert read_record(cell.directory)["metrics"]["A2B"]["translation"]["l1"]["value"] == 0.5


# Verdicts ---------------------------------------------------------------------------------------------------------

WORDS = {
    "improved": [number - 0.5 for number in BASE],
    "regressed": [number + 0.5 for number in BASE],
    "inconclusive": [0.5, 1.9, 0.6, 1.4, 1.0],
    "ok": [1.0, 1.0, 1.0, 1.0, 1.0],
}


@pytest.mark.parametrize(("verdict", "other"), WORDS.items())
def test_every_word_of_a_comparison(two, verdict, other):
    assert two(BASE, other, margin="20%").verdicts() == [None, verdict]


@pytest.mark.parametrize(("better", "verdict"), [("lower", "regressed"), ("higher", "improved")])
def test_more_is_worse_or_better_as_the_metric_says(two, better, verdict):
    made = two(BASE, WORDS["regressed"], better=better)
    row = made.rows()["cycle+idt"]
    sign = 1 if better == "lower" else -1
    assert row["verdict"] == verdict
    assert row["difference"] == pytest.approx(0.5)
    assert (row["worse"], row["relative"]) == pytest.approx((0.5 * sign, 0.5 * sign))
    assert row["low"] < row["worse"] < row["high"]


def test_the_interval_is_welchs_at_the_level_of_all_verdicts_together(tmp_path):
    made = Made(tmp_path, combine="add-one", primary="A2B/l1,A2B/kid")
    other, third = [1.3, 1.5, 1.2, 1.4, 1.9], [0.7, 0.9, 0.8, 1.0, 0.6]
    for combination, numbers in (("cycle", BASE), ("cycle+idt", other), ("cycle+tv", third)):
        for cell, number in enumerate(numbers):
            place = Cell(tuple(combination.split("+")), cell, f"{cell}", tmp_path / f"{combination}{cell}")
            made.cells.append(written(place, {"l1": number, "kid": number, "psnr": number}))
    found = made.report()
    together = 1 - 0.1 / 4  # two combinations beside the baseline, of two metrics
    for name, level in (("A2B/l1", together), ("A2B/kid", together), ("A2B/psnr", 1 - 0.1 / 2)):
        assert found["metrics"][name]["level"] == pytest.approx(level)
        expected = scipy_stats.ttest_ind(other, BASE, equal_var=False).confidence_interval(level)
        row = found["metrics"][name]["rows"][1]
        assert (row["low"], row["high"]) == pytest.approx((expected.low, expected.high))
    assert found["primary"] == ["A2B/l1", "A2B/kid"]
    assert {row.get("verdict") for row in found["metrics"]["A2B/psnr"]["rows"]} == {None}


def test_without_a_primary_metric_the_first_is_it_and_never_a_cost(two):
    made = two(BASE, BASE)
    made.add("cycle+tv", [None])
    assert made.report()["primary"] == ["A2B/l1"]
    gone = two([None], [None])
    written(gone.cells[0], {}, status="failed", error="Killed.")
    written(gone.cells[1], {"l1": 1.0})
    assert gone.report()["primary"] == ["A2B/l1"]


def test_seeds_are_compared_with_each_other_only_where_that_was_fixed_and_they_agree(two):
    other = [number + 0.05 for number in BASE]
    assert two(BASE, other, pairing="seed").rows()["cycle+idt"]["low"] == pytest.approx(0.05)  # no spread at all
    apart = two(BASE, other).rows()["cycle+idt"]
    assert apart["low"] < 0
    assert apart["correlation"] == pytest.approx(1)
    lost = two(BASE, [*other[:4], None], pairing="seed").rows()["cycle+idt"]
    expected = scipy_stats.ttest_ind(other[:4], BASE, equal_var=False).confidence_interval(0.9)
    assert (lost["low"], lost["high"], lost["correlation"]) == (*map(pytest.approx, expected), None)


# What is lost -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", ["failed", "diverged"])
def test_a_failed_run_is_said_and_in_no_mean(two, status):
    made = two(BASE, [1.0, 1.0, 1.0, 1.0, None])
    written(made.cells[-1], {"l1": 1e9}, status=status, error="Step 3: it broke.")
    found = made.report()
    row = made.rows()["cycle+idt"]
    assert (row["verdict"], row["failed"], row["missing"], row["cells"]) == ("failed", [4], [], 5)
    assert row["values"] == [1.0] * 4
    cell = found["cells"][-1]
    assert (cell["status"], cell["error"], cell["seed"]) == (status, "Step 3: it broke.", 4)


def test_a_run_that_is_not_there_is_missing(two):
    made = two(BASE, [1.0, 1.0, 1.0, 1.0, None])
    row = made.rows()["cycle+idt"]
    assert (row["verdict"], row["failed"], row["missing"]) == ("missing", [], [4])
    assert [cell["status"] for cell in made.report()["cells"]].count("missing") == 1


def test_failed_is_said_before_missing(two):
    made = two(BASE, [1.0, 1.0, 1.0, None, None])
    written(made.cells[-1], {}, status="failed", error="It broke.")
    row = made.rows()["cycle+idt"]
    assert (row["verdict"], row["failed"], row["missing"]) == ("failed", [4], [3])


@pytest.mark.parametrize("number", [None, math.nan, math.inf])
def test_a_whole_run_in_which_nothing_could_be_measured_is_not_left_out_in_silence(two, number):
    made = two(BASE, [1.0] * 5)
    path = made.cells[-1].directory / "run.json"
    record = json.loads(path.read_text())
    record["metrics"]["A2B"]["translation"]["l1"] |= {"value": number, "reason": "there is no image"}
    path.write_text(json.dumps(record))
    row = made.rows()["cycle+idt"]
    assert (row["verdict"], row["missing"], row["values"]) == ("missing", [4], [1.0] * 4)
    found = made.report()
    assert found["metrics"]["A2B/l1"]["reason"] == "there is no image"
    assert found["cells"][-1]["values"]["A2B/l1"] is None


def test_nothing_is_compared_with_a_baseline_that_is_not_whole(two):
    made = two([*BASE[:4], None], WORDS["regressed"])
    assert made.verdicts() == [None, "incomparable"]
    reason = made.report()["metrics"]["A2B/l1"]["reason"]
    assert reason == "nothing is compared with cycle, which has no value of seed 4"


def test_before_anything_is_measured_there_is_a_report(two):
    made = two([None] * 2, [None] * 2)
    found = made.report()
    assert (found["metrics"], found["primary"]) == ({}, [])
    assert [cell["status"] for cell in found["cells"]] == ["missing"] * 4


def test_a_damaged_record_and_a_start_that_was_refused_have_failed_with_their_reason(two):
    made = two(BASE, [*BASE[:3], None, None])
    torn, refused = made.cells[-2:]
    torn.directory.mkdir()
    (torn.directory / "run.json").write_text('{"schema": 2, "sta')
    torn.log.write_text("Look at the samples.\n")
    refused.log.write_text("a table\nlossbench: idt in ./idt.py is broken.\n\n")
    found = {cell["seed"]: cell for cell in made.report()["cells"] if cell["combination"] == "cycle+idt"}
    assert "run.json cannot be read" in found[3]["error"]
    assert found[4]["error"] == "idt in ./idt.py is broken."
    assert made.rows()["cycle+idt"]["failed"] == [3, 4]


def test_a_reason_that_the_disk_had_no_place_for_is_the_one_that_was_printed(two):
    made = two(BASE, [*BASE[:2], None, None, None])
    for cell, status in zip(made.cells[-3:], ("failed", "failed", "diverged"), strict=True):
        written(cell, {}, status=status, error="It did not end.")
    full, killed, diverged = made.cells[-3:]
    full.log.write_text("a table\nlossbench: run.json cannot be written: no space left on device.\n")
    killed.log.write_text("lossbench: what the first attempt said.\nthe second printed this\n")
    diverged.log.write_text("lossbench: it diverged.\n")
    errors = [cell["error"] for cell in made.report()["cells"] if cell["status"] in ("failed", "diverged")]
    assert errors == ["run.json cannot be written: no space left on device.", "It did not end.", "It did not end."]


def test_a_record_of_another_run_is_not_this_cells(two):
    made = two(BASE, [1.0] * 5)
    path = made.cells[-1].directory / "run.json"
    path.write_text(path.read_text().replace('"run_id": "cycle+idt4"', '"run_id": "other"'))
    assert made.rows()["cycle+idt"]["missing"] == [4]


@pytest.mark.parametrize("differs", [{"protocol": "2"}, {"weights": {"vgg16": "a"}}, {"sha256": "6" * 64}])
def test_values_of_different_protocols_are_incomparable(tmp_path, differs):
    made = Made(tmp_path, "idt", combine="all").add("cycle", BASE)
    made.add("cycle+idt", [value(number, **differs) for number in WORDS["regressed"]])
    found = made.report()["metrics"]["A2B/l1"]
    assert found["rows"][1]["verdict"] == "incomparable"
    assert found["reason"].startswith("it was not measured in one way")
    assert found["attribution"] is None


def test_one_cell_of_another_protocol_is_enough(two):
    made = two(BASE, WORDS["regressed"])
    path = made.cells[0].directory / "run.json"
    path.write_text(path.read_text().replace('"protocol": "1"', '"protocol": "2"'))
    assert made.verdicts() == [None, "incomparable"]


# Beside the verdicts ----------------------------------------------------------------------------------------------


def test_the_baseline_beside_itself_with_other_seeds(two):
    made = two(BASE, BASE)
    made.add("cycle", [2.0, 2.1, 1.9, 2.05, 1.95], again=True)
    found = made.report()["metrics"]["A2B/l1"]
    assert found["again"]["values"] == [2.0, 2.1, 1.9, 2.05, 1.95]
    assert found["again"]["verdict"] == "regressed"  # with such numbers that is what luck, or a fault, looks like
    assert made.rows()["cycle"]["values"] == BASE  # apart
    assert [cell["again"] for cell in made.report()["cells"]] == [False] * 10 + [True] * 5


def test_a_metric_that_only_the_other_seeds_have_is_no_crash(two):
    made = two(BASE, BASE)
    made.add("cycle", [1.0], again=True, metric="kid")
    found = made.report()["metrics"]["A2B/kid"]
    assert (found["rows"][0]["values"], found["again"]["values"]) == ([], [1.0])


def test_lost_runs_of_the_other_seeds_are_said_too(two):
    made = two(BASE, BASE)
    made.add("cycle", [1.0, 1.1, None], again=True)
    assert made.report()["metrics"]["A2B/l1"]["again"]["verdict"] == "missing"


def test_copy_and_floor_stand_beside(two):
    made = two([None], BASE)
    written(made.cells[0], {"l1": 1.0}, copy=0.25, floor=0.125)
    assert made.report()["metrics"]["A2B/l1"]["beside"] == {"copy": 0.25, "floor": 0.125}
    assert two(BASE, BASE).report()["metrics"]["A2B/l1"]["beside"] == {"copy": None, "floor": None}


def test_metrics_of_a_group_of_images_are_metrics_like_others(tmp_path):
    made = Made(tmp_path, "idt", combine="add-one", primary="l1@faces")
    made.add("cycle", BASE, metric="l1@faces").add("cycle+idt", WORDS["improved"], metric="l1@faces")
    found = made.report()
    assert found["primary"] == ["A2B/l1@faces"]
    assert made.verdicts("A2B/l1@faces") == [None, "improved"]


def test_costs_are_values_too_of_runs_on_one_machine(two):
    made = two(BASE, BASE)
    costs = made.report()["metrics"]
    assert costs["cost/seconds_per_step"]["rows"][1]["values"] == [0.1] * 5
    assert costs["cost/peak_memory_mb"]["rows"][0]["values"] == [500.0] * 5
    assert costs["cost/peak_memory_mb"]["rows"][1]["verdict"] is None
    path = made.cells[0].directory / "run.json"
    path.write_text(path.read_text().replace('"cpu": "one"', '"cpu": "another"'))
    assert made.report()["metrics"]["cost/seconds_per_step"]["reason"].startswith("it was not measured in one way")
    assert made.report()["metrics"]["A2B/l1"]["reason"] is None


# Attribution ------------------------------------------------------------------------------------------------------

WHOLE = {
    "cycle": [1.0, 1.2, 0.9],
    "cycle+idt": [0.8, 0.7, 0.9],
    "cycle+tv": [1.3, 1.1, 1.4],
    "cycle+idt+tv": [0.5, 0.4, 0.7],
}


@pytest.mark.parametrize("pairing", ["none", "seed"])
def test_attribution_of_a_whole_factorial_is_that_of_its_effects(tmp_path, pairing):
    made = Made(tmp_path, combine="all", pairing=pairing, level=0.8)
    for combination, numbers in WHOLE.items():
        made.add(combination, numbers)
    found = made.report()["metrics"]["A2B/l1"]["attribution"]
    values = {frozenset(words.split("+")) - {"cycle"}: numbers for words, numbers in WHOLE.items()}
    expected = effects(values, level=0.9, paired=pairing == "seed")  # of two losses together 0.8
    for table in ("main", "shapley"):
        assert found[table] == {loss: asdict(each) for loss, each in getattr(expected, table).items()}
    assert found["interactions"] == {"idt+tv": asdict(expected.interactions["idt", "tv"])}
    assert found["level"] == 0.9
    means = {words: statistics.fmean(numbers) for words, numbers in WHOLE.items()}
    by_hand = (means["cycle+idt"] - means["cycle"] + means["cycle+idt+tv"] - means["cycle+tv"]) / 2
    assert found["main"]["idt"]["value"] == pytest.approx(by_hand)


def test_attribution_leaves_the_recipes_adversary_aside(tmp_path):
    made = Made(tmp_path, "idt", combine="gan,idt", always="")
    found = made.add("gan", [1.0]).add("idt", [0.5]).report()["metrics"]["A2B/l1"]["attribution"]
    assert (list(found["main"]), found["main"]["idt"]["value"]) == (["idt"], -0.5)


@pytest.mark.parametrize("lost", list(WHOLE))
def test_there_is_none_where_a_combination_has_no_value(tmp_path, lost):
    made = Made(tmp_path, combine="all")
    for combination, numbers in WHOLE.items():
        made.add(combination, [None] * 3 if combination == lost else numbers)
    assert made.report()["metrics"]["A2B/l1"]["attribution"] is None


def test_there_is_none_where_not_all_were_to_be_trained(tmp_path):
    made = Made(tmp_path, combine="add-one")
    for combination in ("cycle", "cycle+idt", "cycle+tv"):
        made.add(combination, WHOLE[combination])
    assert made.report()["metrics"]["A2B/l1"]["attribution"] is None


# Size -------------------------------------------------------------------------------------------------------------


def test_a_thousand_records_are_read_and_judged_in_seconds(tmp_path):
    plugins = ["cycle", *(f"loss{n}" for n in range(6))]
    made = Made(tmp_path, ",".join(plugins[1:]), combine="all", seeds=16)
    names = [f"metric{n}" for n in range(10)]
    for on in product((0, 1), repeat=6):
        words = ("cycle", *(word for word, used in zip(plugins[1:], on, strict=True) if used))
        for seed in range(16):
            cell = Cell(words, seed, f"{words}{seed}", tmp_path / f"{label(words)}{seed}")
            made.cells.append(written(cell, {name: sum(on) + seed / 100 for name in names}))
    assert len(made.cells) == 1024
    began = time.process_time()
    found = report(made.suite, results(made.cells))
    took = time.process_time() - began
    print(f"1024 records of 10 metrics, 64 combinations: {took:.2f} s")
    assert len(found["metrics"]["A2B/metric0"]["rows"]) == 64
    assert took < 15  # 5 on a machine that does nothing else
