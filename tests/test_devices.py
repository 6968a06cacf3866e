"""Two processes that share a batch are one process that has it, also when they are stopped, and when one of them fails."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from itertools import pairwise
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from lossbench import devices, train
from lossbench.errors import OptionError
from lossbench.prepare import prepare
from lossbench.record import read_log
from lossbench.registry import listing
from lossbench.settings import TrainSettings
from tests.conftest import TINY

SETTINGS = TINY | {"train.batch": 2, "train.precision": "float64", "train.every": 2}
PLUGINS = "cycle,idt,tv"
SPEED = Path(__file__).parent.parent / "docs" / "speed.md"
LIMIT = 240  # seconds in which nothing hangs
OWN = ("LOCAL_RANK", "RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT", "TORCHELASTIC_RUN_ID")

pytestmark = pytest.mark.filterwarnings("ignore")


def command(*words, plugins=PLUGINS, start=("-m", "lossbench"), **settings):
    keys = SETTINGS | {key.replace("__", "."): value for key, value in settings.items()}
    assigned = [word for key, value in keys.items() for word in ("--set", f"{key}={value}")]
    resumed = "--resume" in words
    return [sys.executable, *start, "run", *map(str, words), *([] if resumed else ["--plugins", plugins, *assigned])]


def environment():
    return {name: value for name, value in os.environ.items() if name not in OWN} | {"OMP_NUM_THREADS": "1"}


def together_train(*words, **settings):
    """Train by the command line; return exit code, output, errors."""
    done = subprocess.run(command(*words, **settings), env=environment(), capture_output=True, text=True, timeout=LIMIT)
    return done.returncode, done.stdout, done.stderr


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """Return the directory of a run by one process."""
    return train(PLUGINS, settings=SETTINGS, out=tmp_path_factory.mktemp("alone") / "run").directory


@pytest.fixture(scope="module")
def together(tmp_path_factory):
    """Return the directory of the same run by two processes."""
    out = tmp_path_factory.mktemp("together") / "run"
    code, _, err = together_train("--out", out, "--devices", 2)
    assert (code, err) == (0, "")
    return out


def apart(one, other):
    """Return how far two runs' parameters and logs are apart; of biases that a norm cancels nothing."""
    cancelled = {
        f"{name}.{module}.{place}.bias".replace("..", ".")
        for name, network in prepare(PLUGINS, settings=SETTINGS).networks.named().items()
        for module, inside in network.named_modules()
        for (place, _), (_, behind) in pairwise(inside.named_children())
        if isinstance(behind, torch.nn.InstanceNorm2d)
    }
    distances = [
        (value - load_file(other / "weights" / path.name)[key]).abs().max().item()
        for path in (one / "weights").glob("*.safetensors")
        for key, value in load_file(path).items()
        if f"{path.stem}.{key}" not in cancelled
    ]
    lines = zip(read_log(one / "metrics.jsonl"), read_log(other / "metrics.jsonl"), strict=True)
    distances += [abs(a["weighted"][label] - b["weighted"][label]) for a, b in lines for label in a["weighted"]]
    return max(distances)


def test_two_processes_are_one_with_the_whole_batch(alone, together):
    assert apart(alone, together) < 1e-9
    assert json.loads((together / "run.json").read_text())["config"]["train.devices"] == 2


def test_torchrun_starts_the_same_run(together, tmp_path):
    start = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", "lossbench")
    code, out, _ = together_train("--out", tmp_path / "run", start=start)
    assert code == 0
    assert out.count("s per step") == 1  # one of them prints
    for path in (together / "weights").glob("*.safetensors"):
        assert (tmp_path / "run" / "weights" / path.name).read_bytes() == path.read_bytes()


def test_a_run_goes_on_with_another_number_of_processes(tmp_path):
    half = SETTINGS | {"train.steps": 2}
    one, fewer, more = (tmp_path / name for name in ("one", "fewer", "more"))
    for out in (one, more):
        train(PLUGINS, settings=half, out=out)
    train(resume=one, settings={"train.steps": 4})
    assert together_train("--out", fewer, "--devices", 2, train__steps=2)[0] == 0
    run = train(resume=fewer, settings={"train.steps": 4, "train.devices": 1})
    assert run.record["resumed"][0]["changed"] == ["devices was 2, is 1"]
    code, said, err = together_train("--resume", more, "--steps", 4, "--devices", 2)
    assert (code, err) == (0, "")
    assert "The last bits may differ: devices was 1, is 2" in said
    assert apart(one, fewer) < 1e-9
    assert apart(one, more) < 1e-9


def test_a_process_that_fails_is_told_and_ends_the_other(tmp_path):
    path = tmp_path / "shy.py"
    path.write_text(
        "import torch.distributed as together\nfrom lossbench import *\n"
        "def shy():\n"
        "    def term(fake):\n"
        "        if together.is_initialized() and together.get_rank(): raise ValueError('not mine')\n"
        "        return fake.mean()\n"
        "    return term\n"
        "@hookimpl\ndef lossbench_loss(): return LossSpec(shy)\n"
    )
    code, _, err = together_train("--out", tmp_path / "run", "--devices", 2, plugins=f"cycle,{path}")
    assert code == 2
    assert "not mine" in err
    assert (
        "Another of the processes that train together has ended. What it said stands above. Once mended, go on with: "
        in err
    )
    assert "Traceback" not in err
    assert json.loads((tmp_path / "run" / "run.json").read_text())["status"] == "failed"


def test_what_the_leader_alone_refuses_is_told_once(tmp_path):
    (tmp_path / "full").write_text("")
    code, _, err = together_train("--out", tmp_path, "--devices", 2)
    assert code == 2
    assert "is not empty" in err
    assert err.count("\n") == 1


def test_a_divergence_is_told_once(tmp_path):
    code, _, err = together_train("--out", tmp_path / "run", "--devices", 2, train__lr=1e308)
    assert code == 3
    assert err.count("lossbench: Step 2: the value of") == err.count("\n") == 1


def test_ctrl_c_stops_both_after_the_same_step(tmp_path):
    out = tmp_path / "run"
    process = subprocess.Popen(
        command("--out", out, "--devices", 2, train__steps=100_000, train__every=100_000),
        env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip
    until = time.monotonic() + LIMIT
    while not (out / "metrics.jsonl").exists() or (out / "metrics.jsonl").stat().st_size < 1000:
        assert time.monotonic() < until
        time.sleep(0.2)
    os.killpg(process.pid, signal.SIGINT)
    said, err = process.communicate(timeout=LIMIT)
    assert process.returncode == 130
    assert "Saved after step" in said
    assert "Traceback" not in err
    done = len(read_log(out / "metrics.jsonl"))
    run = train(resume=out, settings={"train.steps": done + 1, "train.devices": 1})
    assert run.trainer.done == done + 1


def test_bad_input_is_told(lossbench, monkeypatch):
    for words, said in (
        (("--devices", 2), "train.batch=1 cannot be shared among 2 devices. Use --batch 2."),
        (("--devices", 3, "--batch", 4), "Use --batch 6."),
        (("--devices", 2, "--batch", 2, "--device", "cpu:0"), "train.device=cpu:0 is one device"),
        (("--devices", 0), "--devices"),
    ):
        code, _, err = lossbench("run", *words)
        assert code == 2
        assert said in err
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "none")
    monkeypatch.setenv("WORLD_SIZE", "4")
    with pytest.raises(OptionError, match="torchrun started 4 processes"):
        devices.count(TrainSettings(devices=2, batch=4))
    assert devices.count(TrainSettings(batch=4)) == 4


def test_only_a_run_among_others_is_silent(lossbench, monkeypatch):
    """What a launcher left in the environment hides no error and no regression."""
    for name, value in {"LOCAL_RANK": "1", "WORLD_SIZE": "2", "MASTER_ADDR": "here"}.items():
        code, _, err = lossbench("report", "nowhere")
        assert (code, err != "") == (2, True)
        code, _, err = lossbench("run", "--plugins", "cycel")
        assert (code, err != "") == (2, True)
        monkeypatch.setenv(name, value)
    assert lossbench("report", "nowhere")[0] == 2
    assert lossbench("run", "--plugins", "cycel")[0] == 0


def test_without_fabric_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "lightning_fabric", None)
    with pytest.raises(OptionError, match=r"pip install 'lossbench\[devices\]'"):
        devices.join(TrainSettings(devices=2, batch=2))
    assert devices.join(TrainSettings()).size == 1


# Which terms are means over a batch ----------------------------------------------------------------------------------

OTHERS = {"colour", "patchnce"}  # the first compares means of batches, the second draws places
PAIRED = {"l1", "lpips", "ssim"}
WEIGHTS = {"content": "vgg16", "style": "vgg16", "lpips": "alexnet"}


class Half(devices.Alone):
    """One of two processes, as far as its images go; where the other's are needed, its own stand in for them."""

    size = 2

    def __init__(self, rank):
        self.rank = rank

    def own(self, images):
        return images.chunk(2)[self.rank]

    def whole(self, images):
        return torch.cat((images, images))


@pytest.mark.parametrize("name", listing("losses"))
def test_a_term_is_the_mean_of_those_of_its_halves_or_the_docs_name_it(name, real_weights):
    for weights in {WEIGHTS.get(name)} - {None}:
        real_weights(weights)
    if name == "lpips":
        real_weights("lpips-alex")
    recipe = "pix2pix" if name in PAIRED else "cyclegan"
    keys = TINY | {
        "train.batch": 4,
        "train.precision": "float64",
        "pool.size": 0,
        "data.size": 64,
        "data.load_size": 72,
    }
    if recipe == "pix2pix":
        keys = {key: value for key, value in keys.items() if key != "model.generator"}
        keys |= {"model.dropout": 0.0, "model.norm": "instance"}
    trainer = prepare([name], recipe=recipe, settings=keys).trainer
    values = []
    for group in (devices.Alone(), Half(0), Half(1)):
        trainer.group = group
        found = trainer.gradients(1, trainer.objective.active(1, 0.0))
        values.append({label: value.item() for label, value in found.items() if f"/{name}" in label})
    whole, *halves = values
    means = {label: sum(half[label] for half in halves) / 2 for label in whole}
    assert (means == pytest.approx(whole, rel=1e-12)) == (name not in OTHERS)
    assert (
        name not in OTHERS or f"`{name}`" in re.search(r"## Several devices.*?\n## ", SPEED.read_text(), re.DOTALL)[0]
    )
