"""A run's directory, and what the Python API gives back."""

from __future__ import annotations

import hashlib
import json

import cv2
import numpy as np
import pytest
import torch
from safetensors.torch import load_file

import lossbench
from lossbench import Diverged, LossbenchError, PluginError, RunError
from lossbench.config import read_toml
from lossbench.errors import ResourceError
from lossbench.prepare import prepare
from lossbench.record import read_log, read_record
from lossbench.run import go

FILES = {".lock", "config.toml", "losses.png", "metrics.jsonl", "run.json", "samples", "snapshots", "weights"}


@pytest.fixture
def done(tiny, tmp_path):
    return go(tiny("cycle,tv"), tmp_path / "run")


def contents(folder):
    return {
        path.relative_to(folder): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and path.name != "run.json"
    }


def test_a_finished_run_holds_everything(done):
    assert {path.name for path in done.directory.iterdir()} == FILES
    record = read_record(done.directory)
    assert record == done.record
    assert (record["status"], record["steps_done"], record["error"]) == ("ok", 4, None)
    assert {term["term"] for term in record["objective"]} >= {"A2B/gan", "A2B/gan:D", "A2B/cycle", "B2A/tv"}
    assert record["environment"]["packages"]["torch"] == torch.__version__.partition("+")[0]
    for name, digest in record["artifacts"].items():
        assert hashlib.sha256((done.directory / name).read_bytes()).hexdigest() == digest


def test_the_log_holds_each_term_raw_and_weighted(done):
    log = read_log(done.directory / "metrics.jsonl")
    assert [line["step"] for line in log] == [1, 2, 3, 4]
    assert log[0]["weighted"]["A2B/cycle"] == pytest.approx(10 * log[0]["raw"]["A2B/cycle"])
    assert log[0]["weighted"]["A2B/gan:D"] == log[0]["raw"]["A2B/gan:D"]


def test_the_closing_table_covers_both_directions_and_the_copy(done):
    metrics = done.record["metrics"]
    assert metrics.keys() == {"A2B", "B2A"}
    for both in metrics.values():
        assert both["copy"]["shape_error"]["value"] == 0
        assert both["translation"]["l1"]["n"] == 64
        assert 0 <= both["translation"]["l1"]["value"] <= 2


def test_the_same_settings_give_the_same_files(tiny, tmp_path):
    one, other = (go(tiny("cycle,tv"), tmp_path / name) for name in "ab")
    assert contents(one.directory) == contents(other.directory)
    assert one.record["run_id"] == other.record["run_id"]


def test_the_config_reproduces_the_run(done, tmp_path):
    again = go(prepare(config=done.directory / "config.toml"), tmp_path / "again")
    assert contents(again.directory) == contents(done.directory)


def test_weights_carry_no_time_and_no_path(done):
    raw = (done.directory / "weights" / "G_A2B.safetensors").read_bytes()
    header = json.loads(raw[8 : 8 + int.from_bytes(raw[:8], "little")])
    assert "__metadata__" not in header
    state = load_file(done.directory / "weights" / "G_A2B.safetensors")
    assert all(torch.equal(state[key], tensor) for key, tensor in done.networks.G["A2B"].state_dict().items())


def test_samples_are_pictures_of_both_directions(done):
    names = sorted(path.name for path in (done.directory / "samples").iterdir())
    assert names == [f"{way}_{step:06}.png" for way in ("A2B", "B2A") for step in (1, 2, 3, 4)]
    picture = cv2.imread(str(done.directory / "samples" / names[-1]))
    assert picture.shape[1] > picture.shape[0] > 100
    assert picture.std() > 10


def test_a_directory_that_holds_something_is_refused(done, tiny):
    with pytest.raises(RunError, match=r"is not empty\. Choose another folder"):
        go(tiny(), done.directory)


def test_the_default_directory_is_the_next_that_is_free(tiny, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = [go(tiny("tv", train__steps=1)).directory.as_posix() for _ in range(2)]
    assert names == ["runs/shapes-gan+tv-seed0", "runs/shapes-gan+tv-seed0-2"]


def test_a_diverged_run_is_a_result(tiny, tmp_path):
    calls = []

    def term(fake):
        calls.append(1)
        return fake.mean() / (0 if len(calls) > 4 else 1)

    with pytest.raises(Diverged):
        go(tiny("cycle", {"bad": (term, 1.0)}), tmp_path / "run")
    record = read_record(tmp_path / "run")
    assert record["status"] == "diverged"
    assert record["steps_done"] == 2
    assert record["error"].startswith("Step 3: the value of A2B/bad (bad in python) is not finite")
    assert load_file(tmp_path / "run" / "weights" / "G_A2B.safetensors")


def test_an_interrupted_run_keeps_what_it_has(tiny, tmp_path):
    class Impatient:
        @lossbench.hookimpl
        def lossbench_step(self, step):
            if step == 2:
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        go(tiny(), tmp_path / "run", observers=[Impatient()])
    record = read_record(tmp_path / "run")
    assert (record["status"], record["error"]) == ("failed", "interrupted after step 2")
    assert (tmp_path / "run" / "weights" / "G_B2A.safetensors").is_file()


def test_an_error_inside_a_loss_leaves_its_traceback(tiny, tmp_path):
    with pytest.raises(PluginError, match="A2B/broken") as error:
        go(tiny("cycle", {"broken": (lambda fake: fake.nothing(), 1.0)}), tmp_path / "run")
    path = tmp_path / "run" / "traceback.txt"
    assert error.value.__notes__ == [f"Traceback: {path}"]
    assert "AttributeError" in path.read_text()
    assert read_record(tmp_path / "run")["status"] == "failed"


def test_no_memory_within_a_loss_is_not_the_losss_fault(tiny, tmp_path):
    def hungry(fake):
        return fake.mean() + torch.empty(2**50, dtype=torch.float64).sum()

    with pytest.raises(ResourceError, match=r"^After step 0: there is not enough memory\. Use a smaller --batch"):
        go(tiny("cycle", {"hungry": (hungry, 1.0)}), tmp_path / "run")


def test_functions_are_losses(tmp_path):
    settings = {"train.steps": 1, "data.size": 32, "data.load_size": 32, "model.ngf": 4, "model.ndf": 4}
    run = lossbench.train(
        losses={"mine": (lambda fake: fake.square().mean(), 0.1)}, settings=settings, out=tmp_path / "run"
    )
    assert [term["term"] for term in run.record["objective"]][-2:] == ["A2B/mine", "B2A/mine"]
    assert run.record["objective"][-1]["source"] == "python"


def test_observers_see_start_steps_and_end(tiny, tmp_path):
    seen = []

    class Watcher:
        @lossbench.hookimpl
        def lossbench_run_start(self, run):
            seen.append("start")

        @lossbench.hookimpl
        def lossbench_step(self, step, values, weights):
            seen.append((step, values.keys() == weights.keys()))

        @lossbench.hookimpl
        def lossbench_run_end(self, run, record):
            seen.append(record["status"])

    go(tiny("tv", train__steps=2), tmp_path / "run", observers=[Watcher()])
    assert seen == ["start", (1, True), (2, True), "ok"]


# Translating and judging folders ----------------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "images"
    folder.mkdir()
    draw = np.random.default_rng(0)
    for name in ("a", "b"):
        cv2.imwrite(str(folder / f"{name}.png"), draw.integers(0, 256, (40, 50, 3), np.uint8))
    return folder


def test_translate_runs_no_code_that_a_run_names(done, folder, tmp_path):
    recipe = tmp_path / "mine.py"
    recipe.write_text(
        f"import pathlib; pathlib.Path({str(tmp_path / 'ran')!r}).touch()\n"
        "from lossbench_plugins.recipes.cyclegan import lossbench_recipe\n",
        "utf-8",
    )
    record = json.loads((done.directory / "run.json").read_text("utf-8"))
    record["config"]["recipe"] = str(recipe)
    (done.directory / "run.json").write_text(json.dumps(record), "utf-8")
    with pytest.raises(RunError, match=r"a recipe that is code, .*mine.py. If you trust it: --recipe"):
        lossbench.translate(done.directory, folder, out=tmp_path / "out")
    assert not (tmp_path / "ran").exists()
    assert lossbench.translate(done.directory, folder, out=tmp_path / "out", recipe=str(recipe))
    assert (tmp_path / "ran").exists()


# Records ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "content", ["{", "[]", '{"schema": 99}', "\x00", '{"schema": 1}', '{"schema": 1, "status": "ok"}']
)
def test_a_record_that_is_none_is_one_line(tmp_path, content):
    (tmp_path / "run.json").write_text(content, "utf-8")
    with pytest.raises(LossbenchError, match=r"run\.json"):
        read_record(tmp_path)


def test_config_toml_is_what_was_resolved(done):
    assert read_toml(done.directory / "config.toml") == done.record["config"]
