"""A run that was stopped goes on to the same bytes, and only if it is the same run."""

from __future__ import annotations

import errno
import os
import random
import shutil
import signal
import sys
import time
import traceback
from contextlib import contextmanager
from pathlib import Path

import cv2
import numpy as np
import pytest
from torch import nn

from benchmarks import kills
from benchmarks.kills import contents
from lossbench import LossbenchError, PluginError, RunError, hookimpl, train
from lossbench.checkpoint import snapshot_step, snapshots
from lossbench.cli import main
from lossbench.errors import Interrupted
from lossbench.networks.compiled import refusal
from lossbench.pictures import loss_curves, sample_grid
from lossbench.record import Log, read_log, read_record
from tests.conftest import write_images

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning"),
    pytest.mark.usefixtures("plain_pictures"),
]

STEPS, STOP = 6, 5
SMALL = {
    "data.size": 16, "data.load_size": 18, "train.steps": STEPS, "train.every": 2,
    "model.generator": "resnet_1blocks", "model.ngf": 4, "model.ndf": 4, "model.n_layers": 1, "model.dropout": 0.5,
    "pool.size": 2,
}  # fmt: skip

MEMORY = '''
"""Memory: all that a loss can lose; it waits in step 3 for as long as a file called hold is beside it."""
import time
from pathlib import Path
import torch
from torch import nn
from lossbench import LossSpec, hookimpl

HOLD = Path(__file__).with_name("hold")


class Memory(nn.Module):
    def __init__(self):
        super().__init__()
        self.head = nn.LazyLinear(4)
        self.register_buffer("calls", torch.zeros(()))

    def forward(self, fake, progress, rng):
        if self.training:
            self.calls += 1
            if progress > 0.3 and HOLD.exists():
                HOLD.with_name("reached").touch()
                until = time.monotonic() + 30
                while HOLD.exists():
                    assert time.monotonic() < until
                    time.sleep(0.005)
        features = self.head(fake.flatten(1) + torch.randn(1, generator=rng))
        return (features - self.calls / 10).square().mean()


@hookimpl
def lossbench_loss() -> LossSpec:
    return LossSpec(lambda: Memory(), weight=lambda progress: 0.1 * (1 - progress))
'''


class StopAfter:
    """An observer that stops a run after a step, by a signal or as a second signal would, or in the middle of one."""

    def __init__(self, step, how="signal"):
        self.step, self.how = step, how

    @hookimpl
    def lossbench_component(self, step):
        if step == self.step + 1 and self.how == "within":
            raise KeyboardInterrupt

    @hookimpl
    def lossbench_step(self, step):
        if step == self.step and self.how == "signal":
            os.kill(os.getpid(), signal.SIGINT)
        elif step == self.step and self.how == "at once":
            raise KeyboardInterrupt


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """Return a folder with images, a plugin with a memory, and a run that was left alone."""
    place = tmp_path_factory.mktemp("place")
    write_images(place / "images")
    (place / "memory.py").write_text(MEMORY, "utf-8")
    begin(place, place / "whole")
    return place


@pytest.fixture(scope="module")
def _stopped(place):
    with pytest.raises(Interrupted):
        begin(place, place / "stopped", observers=[StopAfter(STOP)])


@pytest.fixture
def stopped(_stopped, place, tmp_path):
    """Return a run that was stopped after step 5, with snapshots of steps 4 and 5."""
    return Path(shutil.copytree(place / "stopped", tmp_path / "stopped"))


@pytest.fixture
def finished(place, tmp_path):
    return Path(shutil.copytree(place / "whole", tmp_path / "finished"))


@pytest.fixture
def hold(place):
    """Return a file that, while it is there, keeps a run in its third step."""
    (place / "hold").touch()
    yield place / "hold"
    (place / "hold").unlink(missing_ok=True)
    (place / "reached").unlink(missing_ok=True)


def begin(place, out, plugins="cycle,idt,memory.py", observers=(), losses=None, **settings):
    words = [str(place / word) if word.endswith(".py") else word for word in plugins.split(",") if word]
    settings = SMALL | {key.replace("__", "."): value for key, value in settings.items()}
    data = settings.pop("data.dir", place / "images")
    return train(words or None, losses=losses, data=data, settings=settings, out=out, observers=observers)


def words(place, out):
    """Return the command line of the run that was left alone."""
    pairs = [word for key, value in SMALL.items() for word in ("--set", f"{key}={value}")]
    plugins = f"cycle,idt,{place / 'memory.py'}"
    return ["run", "--plugins", plugins, "--data", str(place / "images"), *pairs, "--out", str(out)]


@contextmanager
def child(*arguments, said):
    """Run the command line in a process of its own, which does not outlive the test."""
    pid = os.fork()
    if pid == 0:
        sys.argv = ["lossbench", *map(str, arguments)]
        with open(said, "w") as sys.stdout:
            sys.stderr = sys.stdout
            try:
                main()
            except SystemExit as end:
                sys.stdout.flush()
                os._exit(int(end.code or 0))
            except BaseException:
                traceback.print_exc()
                sys.stdout.flush()
            os._exit(99)
    ended = []

    def end():
        if not ended:
            ended.append(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
        return ended[0]

    try:
        yield pid, end
    finally:
        if not ended:
            os.kill(pid, signal.SIGKILL)
            end()


def wait_for(path):
    until = time.monotonic() + 60
    while not path.exists():
        assert time.monotonic() < until, f"{path.name} did not come"
        time.sleep(0.005)


def everything(folder):
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def kept(run):
    return [snapshot_step(path) for path in snapshots(run / "snapshots")]


def went_on_from(run):
    return read_record(run)["resumed"][-1]["from_step"]


def assert_goes_on(place, run, from_step):
    train(resume=run)
    assert went_on_from(run) == from_step
    assert contents(run) == contents(place / "whole")


# Killed and stopped -----------------------------------------------------------------------------------------------


def halfway(seed):
    # kills fall neither on the first imports nor on the closing table
    draw = random.Random(seed)
    return all(0.3 < draw.random() < 0.6 for _ in range(3))


SEED = next(filter(halfway, range(999)))


def test_a_killed_run_goes_on_to_the_same_bytes(place, tmp_path, monkeypatch):
    monkeypatch.setitem(kills.SMALL, "data.dir", str(place / "images"))
    monkeypatch.setattr("lossbench.outcome.sample_grid", sample_grid)
    monkeypatch.setattr("lossbench.run.loss_curves", loss_curves)
    result = kills.kill(tmp_path, kills=3, seed=SEED)
    assert result["identical"] == result["runs"]
    assert len(result["kills"]) == 3
    assert any(0 < kill["steps_logged"] < kills.STEPS for kill in result["kills"])


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_lets_the_step_end_and_saves_it(lossbench, place, hold, tmp_path, number, code):
    run, said = tmp_path / "run", tmp_path / "said"
    with child(*words(place, run), said=said) as (pid, end):
        wait_for(place / "reached")
        os.kill(pid, number)
        hold.unlink()
        assert end() == code
    assert f"Saved after step 3. Go on with: lossbench run --resume {run}" in said.read_text()
    record = read_record(run)
    assert (record["status"], record["error"], record["steps_done"]) == ("failed", "interrupted after step 3", 3)
    assert kept(run) == [3, 2]
    assert [line["step"] for line in read_log(run / "metrics.jsonl")] == [1, 2, 3]
    assert lossbench("run", "--resume", run)[0] == 0
    assert went_on_from(run) == 3
    assert contents(run) == contents(place / "whole")


def test_a_second_signal_stops_at_once(lossbench, place, hold, tmp_path):
    run, said = tmp_path / "run", tmp_path / "said"
    with child(*words(place, run), said=said) as (pid, end):
        wait_for(place / "reached")
        os.kill(pid, signal.SIGINT)
        os.kill(pid, signal.SIGTERM)
        assert end() == 143
    assert hold.exists()  # the step never ended
    hold.unlink()
    assert f"Stopped. Go on with: lossbench run --resume {run}" in said.read_text()
    assert read_record(run)["error"] == "interrupted after step 2"
    assert lossbench("run", "--resume", run)[0] == 0
    assert went_on_from(run) == 2
    assert contents(run) == contents(place / "whole")


OBJECTIVES = {
    "pools": ("cycle,idt", {"pool__size": 2, "train__batch": 2}),
    "dropout": ("cycle,idt", {"model__dropout": 0.5}),
    "a lazy module with a buffer and a schedule": ("cycle,memory.py", {}),
    "wgangp": ("cycle", {"gan__mode": "wgangp", "gan__critic_steps": 3}),
    "float64, fused": ("cycle,idt", {"train__precision": "float64", "train__strategy": "fused"}),
    "compiled": ("cycle,idt", {"train__compile": "on"}),
}


@pytest.fixture(scope="module", params=OBJECTIVES)
def objective(request, place, tmp_path_factory):
    plugins, settings = OBJECTIVES[request.param]
    if request.param == "compiled" and (reason := refusal("cpu")):
        pytest.skip(f"nothing can be compiled here: {reason}")
    settings = {"model__dropout": 0.0} | settings
    whole = begin(place, tmp_path_factory.mktemp("objective") / "whole", plugins, **settings)
    return plugins, settings, contents(whole.directory)


@pytest.mark.parametrize(("how", "stop"), [("signal", Interrupted), ("within", KeyboardInterrupt)])
def test_what_a_run_remembers_survives(place, objective, tmp_path, how, stop):
    plugins, settings, whole = objective
    with pytest.raises(stop):
        begin(place, tmp_path / "run", plugins, observers=[StopAfter(STOP, how)], **settings)
    assert contents(tmp_path / "run") != whole
    train(resume=tmp_path / "run")
    assert went_on_from(tmp_path / "run") == STOP
    assert contents(tmp_path / "run") == whole


def test_a_run_can_be_stopped_and_go_on_after_every_step(place, tmp_path):
    with pytest.raises(Interrupted):
        begin(place, tmp_path / "run", observers=[StopAfter(1)])
    for step in range(2, STEPS):
        with pytest.raises(Interrupted):
            train(resume=tmp_path / "run", observers=[StopAfter(step)])
    train(resume=tmp_path / "run")
    assert [session["from_step"] for session in read_record(tmp_path / "run")["resumed"]] == [1, 2, 3, 4, 5]
    assert contents(tmp_path / "run") == contents(place / "whole")


# Damaged ----------------------------------------------------------------------------------------------------------


def test_a_log_that_is_ahead_of_the_snapshot_is_cut_back(place, stopped):
    snapshots(stopped / "snapshots")[0].unlink()
    assert_goes_on(place, stopped, from_step=4)


@pytest.mark.parametrize("torn", ['{"step": 6, "raw": {"A2B/', '{"step": 6}', "\0\0\0", '{"step": 9}\n'])
def test_a_torn_last_line_is_cut_off(place, stopped, torn):
    with (stopped / "metrics.jsonl").open("a") as log:
        log.write(torn)
    assert_goes_on(place, stopped, from_step=5)


@pytest.mark.parametrize("harm", [lambda log: log.write_bytes(log.read_bytes()[:20]), lambda log: log.unlink()])
def test_a_log_that_fits_no_snapshot_is_refused_and_nothing_is_touched(lossbench, stopped, harm):
    """Beginning again would throw away what the snapshots hold."""
    harm(stopped / "metrics.jsonl")
    before = everything(stopped)
    code, _, err = lossbench("run", "--resume", stopped)
    assert (code, err.count("\n")) == (2, 1)
    assert "metrics.jsonl is not what it was when 00000005-" in err
    assert everything(stopped) == before


def test_samples_ahead_of_the_snapshot_are_removed(place, stopped):
    snapshots(stopped / "snapshots")[0].unlink()
    for step in (5, 6, 7):
        (stopped / "samples" / f"A2B_{step:06}.png").write_bytes(b"of a run that was not to be")
    assert_goes_on(place, stopped, from_step=4)


def test_a_log_that_is_behind_the_newest_snapshot_takes_an_earlier_one(place, stopped):
    log = stopped / "metrics.jsonl"
    log.write_bytes(b"".join(log.read_bytes().splitlines(keepends=True)[:4]) + b'{"step": 5, ')
    assert_goes_on(place, stopped, from_step=4)


def flip(content):
    return content[:3000] + bytes([content[3000] ^ 1]) + content[3001:]


@pytest.mark.parametrize("damage", [flip, lambda content: content[: len(content) // 2], lambda content: b""])
def test_a_damaged_snapshot_is_passed_over(place, stopped, damage):
    newest = snapshots(stopped / "snapshots")[0]
    newest.write_bytes(damage(newest.read_bytes()))
    assert_goes_on(place, stopped, from_step=4)


@pytest.mark.parametrize("lost", [["snapshots"], ["snapshots", "metrics.jsonl"]])
def test_without_snapshots_or_log_a_run_begins_again(place, stopped, lost):
    shutil.rmtree(stopped / lost[0])
    for name in lost[1:]:
        (stopped / name).unlink()
    assert_goes_on(place, stopped, from_step=0)


def test_snapshots_that_are_not_gone_on_from_do_not_push_out_new_ones(place, stopped):
    for path in snapshots(stopped / "snapshots"):
        path.write_bytes(b"damaged")
    with pytest.raises(Interrupted):
        train(resume=stopped, observers=[StopAfter(3)])
    assert_goes_on(place, stopped, from_step=3)


@pytest.mark.parametrize("plugins", ["cycle,idt,memory.py", "cycle,idt"])
def test_a_snapshot_of_a_shorter_run_is_not_taken_for_one_of_the_longer(place, tmp_path, plugins):
    """After step 5 of 12 weights are not what they are after step 5 of 6: the learning rate was another."""
    short, straight = tmp_path / "short", tmp_path / "straight"
    with pytest.raises(Interrupted):
        begin(place, short, plugins, observers=[StopAfter(5)])
    log = short / "metrics.jsonl"
    log.write_bytes(b"".join(log.read_bytes().splitlines(keepends=True)[:4]))  # step 5 was lost, its snapshot not
    shutil.copytree(short, straight)
    train(resume=straight, settings={"train.steps": 12})
    with pytest.raises(KeyboardInterrupt):  # after step 5, whose snapshot is not kept, as in a kill
        train(resume=short, settings={"train.steps": 12, "train.keep": 0}, observers=[StopAfter(5, "at once")])
    train(resume=short)
    assert contents(short) == contents(straight)


def test_a_disk_that_fills_up_is_said_and_the_run_can_go_on(place, tmp_path, monkeypatch):
    run = tmp_path / "run"

    class Full(Log):
        """The disk takes half of a line of the log, and no more."""

        @hookimpl
        def lossbench_component(self, step):
            if step == 4:
                with (run / "metrics.jsonl").open("a") as log:
                    log.write('{"step": 4, "raw": ')
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("lossbench.run.Log", Full)
    with pytest.raises(LossbenchError, match=r"^After step 3: no space left on device\. Free some") as error:
        begin(place, run)
    monkeypatch.setattr("lossbench.run.Log", Log)
    assert any(note.endswith(f"go on with: lossbench run --resume {run}") for note in error.value.__notes__)
    assert_goes_on(place, run, from_step=3)


@pytest.mark.parametrize("keep", [0, 1, 2, 3])
def test_the_last_snapshots_are_kept(place, tmp_path, keep):
    begin(place, tmp_path / "run", "cycle", train__keep=keep)
    assert kept(tmp_path / "run") == [6, 4, 2][:keep]


def test_a_run_that_keeps_no_snapshots_begins_again(place, tmp_path):
    with pytest.raises(Interrupted):
        begin(place, tmp_path / "run", observers=[StopAfter(STOP)], train__keep=0)
    assert_goes_on(place, tmp_path / "run", from_step=0)


# Longer and shorter -----------------------------------------------------------------------------------------------


def test_a_finished_run_can_be_extended(lossbench, finished):
    before, worth = read_log(finished / "metrics.jsonl"), read_record(finished)["metrics"]
    code, out, err = lossbench("run", "--resume", finished, "--steps", 8)
    assert (code, err) == (0, "")
    assert "Going on after step 6." in out
    record = read_record(finished)
    (session,) = record["resumed"]
    assert (session["from_step"], session["to_step"], session["changed"]) == (6, 8, [])
    assert session["metrics"] == worth
    assert (record["status"], record["steps_done"], record["config"]["train.steps"]) == ("ok", 8, 8)
    log = read_log(finished / "metrics.jsonl")
    assert log[:6] == before
    assert [line["step"] for line in log[6:]] == [7, 8]
    assert (finished / "samples" / "A2B_000008.png").is_file()


def test_a_run_killed_while_it_was_being_extended_can_go_on(finished):
    """run.json knows the new length, and config.toml, which is written next, still the old one."""
    old = (finished / "config.toml").read_bytes()
    train(resume=finished, settings={"train.steps": 8})
    (finished / "config.toml").write_bytes(old)
    train(resume=finished, settings={"train.steps": 10})
    assert read_record(finished)["steps_done"] == 10


@pytest.mark.parametrize("arguments", [(), ("--steps", 6), ("--steps", 5)])
def test_a_finished_run_is_refused_without_more_steps(lossbench, finished, arguments):
    before = everything(finished)
    code, out, err = lossbench("run", "--resume", finished, *arguments)
    assert (code, out) == (2, "")
    assert err == f"lossbench: {finished} has done its 6 steps. Go on to more with --steps, such as --steps 12.\n"
    assert everything(finished) == before


def test_fewer_steps_than_are_done_are_refused(lossbench, stopped):
    before = everything(stopped)
    code, _, err = lossbench("run", "--resume", stopped, "--steps", 4)
    assert (code, err.count("\n")) == (2, 1)
    assert "has done its 5 steps" in err
    assert everything(stopped) == before


# Another run ------------------------------------------------------------------------------------------------------


def edit(path, old, new):
    before = path.read_text("utf-8")
    assert old in before
    path.write_text(before.replace(old, new), "utf-8")


CONFIG, PLUGIN, NOTHING = "{run}/config.toml", "{place}/memory.py", None


@pytest.mark.parametrize(
    ("change", "arguments", "difference"),
    [
        ((CONFIG, "weight = 10.0", "weight = 5.0"), "", "cycle.weight was 10.0, is 5.0"),
        ((PLUGIN, "Memory:", "A memory:"), "", "A2B/memory.sha256 was "),
        ((PLUGIN, "weight=lambda progress: 0.1 * (1 - progress)", "weight=0.1"), "", "A2B/memory.weight was schedule, is 0.1"),
        (NOTHING, "--set cycle.weight=5", "cycle.weight was 10.0, is 5"),
        (NOTHING, "--set memory.weight=5", "A2B/memory.weight was schedule, is 5"),
        (NOTHING, "--set pool.size=3", "pool.size was 2, is 3"),
        (NOTHING, "--set train.lr=1", "train.lr was 0.0002, is 1.0"),
        (NOTHING, "--seed 7", "train.seed was 0, is 7"),
        (NOTHING, "--batch 2", "train.batch was 1, is 2"),
        (NOTHING, "--size 12", "data.size was 16, is 12"),
        (NOTHING, "--plugins cycle,idt", "A2B/memory.weight was schedule, is not there"),
        (NOTHING, "--plugins cycle,idt,tv,MEMORY", "A2B/tv.weight was not there, is 0.1"),
        (NOTHING, "--plugins idt,cycle,MEMORY", "plugins was "),
        (NOTHING, "--data shapes", "images.n.trainA was 4, is 400"),
    ],
)  # fmt: skip
def test_another_run_is_refused_with_the_difference(lossbench, place, stopped, change, arguments, difference):
    try:
        if change:
            edit(Path(change[0].format(run=stopped, place=place)), *change[1:])
        before = everything(stopped)
        given = arguments.replace("MEMORY", str(place / "memory.py")).split()
        code, out, err = lossbench("run", "--resume", stopped, *given)
    finally:
        (place / "memory.py").write_text(MEMORY, "utf-8")
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert f"--resume {stopped}: this would be another run: " in err
    assert difference in err
    assert everything(stopped) == before


@pytest.mark.parametrize("name", ["samples", "snapshots", "weights"])
def test_a_folder_that_is_a_link_is_not_written_to(lossbench, stopped, tmp_path, name):
    elsewhere = shutil.move(stopped / name, tmp_path / "elsewhere")
    (tmp_path / "elsewhere" / "holiday_999999.png").touch()
    (stopped / name).symlink_to(elsewhere)
    before = everything(tmp_path / "elsewhere")
    code, _, err = lossbench("run", "--resume", stopped)
    assert (code, err.count("\n")) == (2, 1)
    assert f"{stopped / name} is a link. A run writes into its own folder" in err
    assert everything(tmp_path / "elsewhere") == before


def test_long_values_that_differ_look_different(lossbench, place, stopped):
    other = place / "another"
    other.mkdir()
    path = Path(shutil.copy(place / "memory.py", other))
    _, _, err = lossbench("run", "--resume", stopped, "--plugins", f"cycle,idt,{path}")
    _, _, told = err.partition("plugins was ")
    was, _, now = told.partition(". Put it back")[0].partition("; ")[0].partition(", is ")
    assert was != now


@pytest.fixture
def images(place, tmp_path):
    return Path(shutil.copytree(place / "images", tmp_path / "images"))


def test_images_that_changed_are_refused(lossbench, stopped, images):
    before = everything(stopped)
    path = images / "trainB" / "2.png"
    picture = cv2.imread(str(path))
    picture[5, 5] ^= 64
    cv2.imwrite(str(path), picture)
    code, _, err = lossbench("run", "--resume", stopped, "--data", images)
    assert (code, err.count("\n")) == (2, 1)
    assert "this would be another run: images.fingerprint was " in err
    shutil.copy(path, images / "trainB" / "9.png")
    assert "images.n.trainB was 4, is 5" in lossbench("run", "--resume", stopped, "--data", images)[2]
    assert everything(stopped) == before


def test_images_that_moved_are_named(lossbench, place, images, tmp_path):
    with pytest.raises(Interrupted):
        begin(place, tmp_path / "run", observers=[StopAfter(STOP)], data__dir=images)
    moved = images.rename(tmp_path / "moved")
    copy = Path(shutil.copytree(tmp_path / "run", tmp_path / "copy"))
    before = everything(copy)
    code, _, err = lossbench("run", "--resume", copy)
    assert (code, err.count("\n")) == (2, 1)
    assert f"No folder {images}" in err
    assert everything(copy) == before
    assert lossbench("run", "--resume", copy, "--data", moved)[0] == 0
    train(resume=tmp_path / "run", data=moved)
    for run in (copy, tmp_path / "run"):
        assert contents(run) == contents(place / "whole")


@pytest.mark.parametrize(
    "arguments", ["--out elsewhere", "--config config.toml", "--recipe cyclegan", "--preset junyanz"]
)
def test_resume_refuses_what_a_run_begins_with(lossbench, stopped, monkeypatch, arguments):
    monkeypatch.chdir(stopped)
    before = everything(stopped)
    code, out, err = lossbench("run", "--resume", ".", *arguments.split())
    assert (code, out) == (2, "")
    assert err == f"lossbench: --resume goes on with the run as it was; leave {arguments.split()[0]} out.\n"
    assert everything(stopped) == before


# One directory, one run -------------------------------------------------------------------------------------------


def test_two_runs_cannot_share_a_directory(lossbench, place, hold, tmp_path):
    run = tmp_path / "run"
    with child(*words(place, run), said=tmp_path / "said") as (pid, end):
        wait_for(place / "reached")
        before = everything(run)
        for second in (["run", "--resume", run], words(place, run)):
            code, out, err = lossbench(*second)
            assert (code, out) == (2, "")
            assert err == f"lossbench: {run} is in use by another run. Wait for its end, or choose another --out.\n"
        assert everything(run) == before
        os.kill(pid, signal.SIGKILL)
        assert end() == -signal.SIGKILL
    hold.unlink()
    assert lossbench("run", "--resume", run)[0] == 0
    assert contents(run) == contents(place / "whole")


def test_a_directory_that_was_killed_before_its_record_can_be_used_again(lossbench, place, tmp_path):
    run = tmp_path / "run"
    run.mkdir()
    (run / ".lock").touch()
    (run / ".run.json.part").write_bytes(b'{"schema": 1, "run')
    code, _, err = lossbench("run", "--resume", run)
    assert (code, err) == (2, f"lossbench: {run} holds no run: run.json is missing.\n")
    assert lossbench(*words(place, run))[0] == 0
    assert contents(run) == contents(place / "whole")


# From Python ------------------------------------------------------------------------------------------------------


def late(fake):
    return fake.square().mean()


def from_half(progress):
    return 0.0 if progress < 0.5 else 0.3


@pytest.mark.parametrize("plugins", ["cycle", ""])
def test_losses_that_are_functions_are_given_again(place, tmp_path, plugins):
    losses = {"late": (late, from_half), "soon": (lambda fake: fake.abs().mean(), 0.1)}
    whole = begin(place, tmp_path / "whole", plugins, losses=losses)
    with pytest.raises(Interrupted):
        begin(place, tmp_path / "run", plugins, losses=losses, observers=[StopAfter(STOP)])
    train(resume=tmp_path / "run", losses=losses)
    assert contents(tmp_path / "run") == contents(whole.directory)


@pytest.mark.parametrize(
    ("losses", "difference"),
    [
        (None, "A2B/late.weight was schedule, is not there"),
        ({"late": late}, "A2B/late.weight was schedule, is 1.0"),
        ({"late": (late, 0.3)}, "A2B/late.weight was schedule, is 0.3"),
        ({"later": (late, from_half)}, "A2B/late.weight was schedule, is not there"),
        ({"late": (lambda rec: rec.square().mean(), from_half)}, r"A2B/late.asks was \['fake'\], is \['rec'\]"),
    ],
)
def test_other_functions_are_refused_with_the_difference(place, tmp_path, losses, difference):
    run = tmp_path / "run"
    with pytest.raises(Interrupted):
        begin(place, run, "cycle", losses={"late": (late, from_half)}, observers=[StopAfter(STOP)])
    before = everything(run)
    with pytest.raises(RunError, match=difference):
        train(resume=run, losses=losses)
    assert everything(run) == before


@pytest.mark.parametrize("given", [{}, {"plugins": "cycle"}])
def test_a_function_that_is_missing_is_a_difference(place, tmp_path, given):
    run = tmp_path / "run"
    with pytest.raises(Interrupted):
        begin(place, run, "cycle", losses={"late": (late, 0.3)}, observers=[StopAfter(STOP)])
    with pytest.raises(RunError, match=r"this would be another run: .*late.weight was 0.3, is not there"):
        train(resume=run, **given)


# What a snapshot cannot hold --------------------------------------------------------------------------------------


@pytest.mark.parametrize("kept", ["n = 0", "n = []", "n = {}"])
def test_a_module_that_remembers_beside_its_buffers_is_refused(place, tmp_path, kept):
    class Counts(nn.Module):
        def __init__(self):
            super().__init__()
            exec(f"self.{kept}", {"self": self})

        def forward(self, fake):
            self.n = self.n + 1 if isinstance(self.n, int) else [*self.n, 1]
            return fake.mean()

    with pytest.raises(PluginError, match=r"A2B/counts .* changes `n`, which no snapshot holds: .*register_buffer"):
        train(losses={"counts": Counts()}, settings=SMALL | {"data.dir": str(place / "images")}, out=tmp_path / "run")


def test_draws_from_python_and_numpy_are_resumed(place, tmp_path):
    def noisy(fake):
        return fake.mean() * (random.random() + np.random.rand())

    whole = train(losses={"noisy": noisy}, data=place / "images", settings=SMALL, out=tmp_path / "whole")
    with pytest.raises(Interrupted):
        train(
            losses={"noisy": noisy},
            data=place / "images",
            settings=SMALL,
            out=tmp_path / "run",
            observers=[StopAfter(3)],
        )
    train(losses={"noisy": noisy}, resume=tmp_path / "run")
    assert contents(tmp_path / "run") == contents(whole.directory)


@pytest.mark.parametrize("harm", [lambda path: path.unlink(), lambda path: path.write_bytes(b"junk")])
def test_a_sample_that_was_lost_is_named_and_costs_nothing(lossbench, place, stopped, harm):
    for sample in (stopped / "samples").glob("*_000004.png"):
        harm(sample)
    (stopped / "samples" / "mine_999999.png").write_bytes(b"somebody's own")
    code, out, err = lossbench("run", "--resume", stopped)
    assert (code, err) == (0, "")
    assert "Going on after step 5." in out
    assert "Not as they were, and not drawn again: A2B_000004.png, B2A_000004.png." in out
    assert (stopped / "samples" / "mine_999999.png").exists()
    same = {name: content for name, content in contents(stopped).items() if "00004" not in name and "mine" not in name}
    assert same.items() <= contents(place / "whole").items()
    assert any(name.endswith("000006.png") for name in same)


def test_a_run_that_hangs_up_is_saved(place, tmp_path):
    with pytest.raises(Interrupted) as stop:
        begin(place, tmp_path / "run", observers=[Hangs()])
    assert stop.value.exit_code == 128 + signal.SIGHUP
    assert_goes_on(place, tmp_path / "run", from_step=2)


class Hangs:
    @hookimpl
    def lossbench_step(self, step):
        if step == 2:
            os.kill(os.getpid(), signal.SIGHUP)
