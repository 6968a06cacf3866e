"""A cell is known by what decides its result, and knows what is left to do."""

from __future__ import annotations

import json
import shutil
import sys

import pytest

from lossbench.bench.bench import bench
from lossbench.bench.cells import Cell, meanings
from lossbench.metrics import chosen
from tests.bench.test_results import FACTS, written
from tests.conftest import write_images

SETTINGS = {
    "data.size": 16, "data.load_size": 16, "train.steps": 4, "model.ngf": 4, "model.ndf": 4, "model.n_layers": 1,
    "model.generator": "resnet_1blocks", "bench.seeds": 2, "bench.always": "cycle",
}  # fmt: skip
WANTED = {"l1": {key: FACTS[key] for key in ("protocol", "weights", "sha256")}}
RUN = [sys.executable, "-m", "lossbench"]


@pytest.fixture
def cell(tmp_path):
    return Cell(("cycle", "/files/tv.py"), 3, "id", tmp_path / "cells" / "cycle+tv-seed3-id")


def planned(place, plugins=("cycle", "idt"), **settings):
    keys = SETTINGS | {key.replace("__", "."): value for key, value in settings.items()}
    return bench(list(plugins), settings=keys, metrics=["l1"], out=place)


def known(bench):
    return {cell.name: cell.directory.name for cell in bench.cells}


# What is left to do -----------------------------------------------------------------------------------------------


def command(cell, recipe="cyclegan"):
    return cell.command(WANTED, ["l1", "/files/mine.py"], recipe)


def begins(cell):
    suite = cell.directory.parent.parent / "suite.toml"
    words = ["--config", suite, "--plugins", "cycle,/files/tv.py", "--seed", 3, "--out", cell.directory]
    return [*RUN, "run", *map(str, words)]


def test_a_cell_that_is_not_there_is_begun(cell):
    assert (cell.standing(WANTED), command(cell)) == ("absent", begins(cell))


def test_one_that_died_before_its_record_is_begun_where_it_is(cell):
    cell.directory.mkdir(parents=True)
    (cell.directory / ".lock").touch()
    assert (cell.standing(WANTED), command(cell)) == ("absent", begins(cell))


@pytest.mark.parametrize("error", ["It did not end: it was killed, or is still running.", "No space left."])
def test_one_that_did_not_end_is_gone_on_with(cell, error):
    written(cell, {}, status="failed", error=error)
    assert cell.standing(WANTED) == "begun"
    assert command(cell) == [*RUN, "run", "--resume", str(cell.directory), "--metrics", "l1,/files/mine.py"]


def test_one_that_lacks_a_metric_is_measured(cell):
    written(cell, {"psnr": 20.0})
    measured = [*RUN, "evaluate", str(cell.directory), "--metrics", "l1,/files/mine.py"]
    assert cell.standing(WANTED) == "unmeasured"
    assert command(cell) == [*measured, "--record"]
    assert command(cell, "./mine.py") == [*measured, "--recipe", "./mine.py", "--record"]


@pytest.mark.parametrize("differs", [{"protocol": "2"}, {"weights": {"vgg16": "a"}}, {"sha256": "6" * 64}])
def test_one_that_was_measured_otherwise_is_measured_again(cell, differs):
    written(cell, {"l1": FACTS | {"value": 1.0, "n": 1, **differs}})
    assert cell.standing(WANTED) == "unmeasured"


@pytest.mark.parametrize("number", [0.5, None])
def test_one_that_has_all_that_can_be_measured_is_done(cell, number):
    written(cell, {"l1": number, "psnr": 20.0})
    assert cell.standing(WANTED) == "done"
    assert cell.standing({}) == "done"


def test_one_whose_other_direction_lacks_it_is_not(cell):
    written(cell, {"l1": 0.5})
    path = cell.directory / "run.json"
    record = json.loads(path.read_text())
    record["metrics"]["B2A"] = {"translation": {}}
    path.write_text(json.dumps(record))
    assert cell.standing(WANTED) == "unmeasured"


def test_one_that_diverged_is_done_since_it_would_again(cell):
    written(cell, {}, status="diverged", error="Step 3")
    assert cell.standing(WANTED) == "done"


@pytest.mark.parametrize("content", ["", "{", '{"schema": 2}', '{"schema": 1}'])
def test_one_whose_record_cannot_be_read_is_put_aside_and_begun(cell, content):
    written(cell, {"l1": 0.5})
    (cell.directory / "run.json").write_text(content)
    for name in ("cycle+tv-seed3-id.damaged", "cycle+tv-seed3-id.damaged-2"):
        assert (cell.standing(WANTED), command(cell)) == ("damaged", begins(cell))
        assert (cell.directory.with_name(name) / "run.json").read_text() == content
        assert not cell.directory.exists()
        shutil.copytree(cell.directory.with_name(name), cell.directory)


def test_a_record_of_another_run_is_put_aside_too(cell):
    written(cell, {"l1": 0.5}, run_id="another")
    assert cell.standing(WANTED) == "damaged"


def test_how_far_it_is(cell):
    assert cell.steps_done() == 0
    written(cell, {})
    lines = [json.dumps({"step": step, "raw": {"cycle": 1.0 / step}}) for step in range(1, 200)]
    (cell.directory / "metrics.jsonl").write_text("\n".join(lines) + "\n")
    assert cell.steps_done() == 199
    with (cell.directory / "metrics.jsonl").open("a") as file:
        file.write('{"step": 2')  # half a line: being written
    assert cell.steps_done() == 0


# What makes it another --------------------------------------------------------------------------------------------


def test_every_combination_has_its_seeds_and_the_baseline_twice_as_many(tmp_path):
    made = planned(tmp_path)
    assert [(cell.name, cell.again) for cell in made.cells] == [
        ("cycle seed 0", False), ("cycle+idt seed 0", False), ("cycle seed 1", False), ("cycle+idt seed 1", False),
        ("cycle seed 2", True), ("cycle seed 3", True),
    ]  # fmt: skip
    assert len({cell.run_id for cell in made.cells}) == len({cell.directory for cell in made.cells}) == 6
    shifted = planned(tmp_path, train__seed=1)
    assert [cell.seed for cell in shifted.cells] == [1, 1, 2, 2, 3, 4]
    assert known(shifted)["cycle seed 1"] == known(made)["cycle seed 1"]


@pytest.mark.parametrize(
    "option", [{"train__lr": 1e-3}, {"train__steps": 5}, {"cycle__weight": 9.0}, {"data__seed": 1}]
)
def test_another_setting_makes_every_cell_another(tmp_path, option):
    assert not {*known(planned(tmp_path)).values()} & {*known(planned(tmp_path, **option)).values()}


def test_an_option_of_one_loss_makes_its_cells_others_alone(tmp_path):
    before, now = known(planned(tmp_path)), known(planned(tmp_path, idt__weight=4.0))
    assert {name for name in before if before[name] != now[name]} == {"cycle+idt seed 0", "cycle+idt seed 1"}


@pytest.mark.parametrize(
    "option",
    [
        {"train__every": 2},
        {"train__keep": 0},
        {"train__device": "cpu:0"},
        {"bench__margin": "5%"},
        {"bench__primary": "l1"},
    ],
)
def test_what_does_not_decide_the_result_leaves_every_cell_as_it_is(tmp_path, option):
    assert known(planned(tmp_path)) == known(planned(tmp_path, **option))


def test_more_seeds_leave_those_that_are_done(tmp_path):
    before, now = known(planned(tmp_path)), known(planned(tmp_path, bench__seeds=3))
    assert before.items() <= now.items()


def test_another_metric_leaves_every_cell_as_it_is(tmp_path):
    made = bench(["cycle", "idt"], settings=SETTINGS, metrics=["psnr", "ssim"], out=tmp_path)
    assert known(made) == known(planned(tmp_path))


def test_a_plugin_file_that_was_edited_makes_its_cells_others_alone(tmp_path, write_plugin):
    def tv(weight):
        code = f"@hookimpl\ndef lossbench_loss():\n    return LossSpec(lambda: lambda fake: fake.mean(), weight=1.0)  # {weight}"
        return planned(tmp_path, ["cycle", str(write_plugin("mine", code))])

    before, now = known(tv(1)), known(tv(2))
    assert {name for name in before if before[name] != now[name]} == {"cycle+mine seed 0", "cycle+mine seed 1"}


def test_images_are_known_by_their_pixels_wherever_they_lie(tmp_path):
    write_images(tmp_path / "one")
    shutil.copytree(tmp_path / "one", tmp_path / "two")
    before, elsewhere = (known(planned(tmp_path, data__dir=str(tmp_path / name))) for name in ("one", "two"))
    assert before == elsewhere
    shutil.copy(tmp_path / "two" / "trainA" / "0.png", tmp_path / "two" / "trainA" / "1.png")
    other = known(planned(tmp_path, data__dir=str(tmp_path / "two")))
    assert not {*before.values()} & {*other.values()}


def test_images_are_read_once_for_all_cells(tmp_path, monkeypatch):
    from lossbench.data import Shapes

    read, calls = Shapes.dataset, []
    monkeypatch.setattr(Shapes, "dataset", lambda *all_of: calls.append(all_of) or read(*all_of))
    planned(tmp_path, ["cycle", "idt", "tv"])
    assert len(calls) == 1


def test_nothing_is_written_by_planning(tmp_path):
    planned(tmp_path / "bench")
    assert not (tmp_path / "bench").exists()


def test_files_that_are_options_are_found_from_anywhere(tmp_path, monkeypatch, write_plugin):
    code = "from pathlib import Path\ndef made(*, image: Path = Path('.')):\n    return lambda fake: fake.mean()\n"
    path = write_plugin("mine", f"{code}\n@hookimpl\ndef lossbench_loss():\n    return LossSpec(made)")
    (tmp_path / "style.png").touch()
    monkeypatch.chdir(tmp_path)
    made = planned(tmp_path / "bench", ["cycle", str(path)], mine__image="style.png")
    assert made.suite.keys["mine.image"] == str(tmp_path / "style.png")
    assert known(made) == known(
        planned(tmp_path / "bench", ["cycle", str(path)], mine__image=str(tmp_path / "style.png"))
    )


def test_what_values_mean_is_the_metrics_file_weights_and_protocol():
    (meaning,) = meanings(chosen(["l1"])).values()
    assert meaning == {key: chosen(["l1"])[0].facts()[key] for key in ("protocol", "weights", "sha256")}
    assert len(meaning["sha256"]) == 64
