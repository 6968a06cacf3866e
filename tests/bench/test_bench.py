"""A bench from its suite to its verdicts, and whatever happens on the way: nothing is lost, nothing runs twice."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
import traceback
from pathlib import Path
from types import SimpleNamespace

import pytest

from lossbench.bench import local
from lossbench.bench.bench import bench, go
from lossbench.bench.cells import Cell
from lossbench.bench.local import Local
from lossbench.cli import main
from lossbench.config import read_toml
from lossbench.errors import OptionError, RunError
from lossbench.files import held
from lossbench.record import read_record
from tests.bench.test_cells import SETTINGS

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning"),
    pytest.mark.usefixtures("plain_pictures"),
]

# A loss that does in step 3 what a file beside it says, and leaves no trace of it in what it is
FAULT = '''
"""Fault."""
import os, signal, time
from pathlib import Path
from lossbench import LossSpec, hookimpl

HOW = Path(__file__).with_name("how")


def wait():
    def ended(number, frame):
        HOW.unlink(missing_ok=True)
        before(number, frame)

    before = signal.signal(signal.SIGTERM, ended)
    HOW.with_name("reached").write_text(str(os.getpid()))
    until = time.monotonic() + 120
    while HOW.exists() and time.monotonic() < until:
        time.sleep(0.01)


def term(fake, progress):
    how = HOW.read_text() if 0.4 < progress < 0.6 and HOW.exists() else ""
    if how == "hold":
        wait()
    elif how == "kill once":
        HOW.unlink()
    if how.startswith("kill"):
        os.kill(os.getpid(), signal.SIGKILL)
    if how == "raise":
        raise ValueError("expected [B, C], and no [/red]")
    return fake.mean() * (float("nan") if how == "nan" else 1.0)


@hookimpl
def lossbench_loss():
    return LossSpec(lambda: term, weight=0.1)
'''


class Forked:
    """A process that has imported everything: ``python -m lossbench ...`` in a tenth of the time."""

    def __init__(self, command, *, stdout, process_group, **others):
        self.returncode = None
        self.pid = os.fork()
        if self.pid == 0:
            os.setpgid(0, process_group)
            for number in (signal.SIGTERM, signal.SIGHUP):
                signal.signal(number, signal.SIG_DFL)
            _become(["lossbench", *command[3:]], stdout.fileno())

    def poll(self):
        if self.returncode is None and (found := os.waitpid(self.pid, os.WNOHANG))[0]:
            self.returncode = os.waitstatus_to_exitcode(found[1])
        return self.returncode

    def wait(self, timeout=None):
        until = time.monotonic() + (120 if timeout is None else timeout)
        while self.poll() is None:
            if time.monotonic() > until:
                raise subprocess.TimeoutExpired("lossbench", timeout)
            time.sleep(0.01)
        return self.returncode

    def send_signal(self, number):
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self):
        self.send_signal(signal.SIGKILL)


def _become(words, output):
    """End as the command line does; nothing of this process is held on to."""
    code = 70
    try:
        for number in (1, 2):
            os.dup2(output, number)
        os.closerange(3, 256)
        sys.stdout = sys.stderr = os.fdopen(1, "w", closefd=False)
        sys.argv = words
        main()
    except SystemExit as end:
        code = int(end.code or 0)
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        os._exit(code)


@pytest.fixture(scope="module", autouse=True)
def _forked():
    names = {"Popen": Forked, "DEVNULL": subprocess.DEVNULL, "TimeoutExpired": subprocess.TimeoutExpired}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(local, "subprocess", SimpleNamespace(**names))
        patch.setattr(local, "TICK", 0.02)
        yield


def nothing(bench, running):
    pass


def go_on(planned, tick=nothing):
    return go(planned, Local(1, 1), tick)


class Nobody:
    """An executor that may not be asked for anything."""

    workers = 1

    def run(self, cells, command, tick):
        assert not list(cells)
        yield from ()


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    place = tmp_path_factory.mktemp("place")
    (place / "fault.py").write_text(FAULT, "utf-8")
    return place


@pytest.fixture(scope="module")
def finished(place):
    """Return a bench that nothing happened to: cycle, and cycle with a loss that behaves."""
    keys = SETTINGS | {"bench.seeds": 1, "train.every": 1}
    planned = bench(["cycle", str(place / "fault.py")], settings=keys, metrics=["l1"], out=place / "finished")
    report = go_on(planned)
    return SimpleNamespace(planned=planned, report=report, out=place / "finished")


@pytest.fixture
def copied(finished, tmp_path):
    """Return the finished bench in another place."""
    return Path(shutil.copytree(finished.out, tmp_path / "bench"))


@pytest.fixture
def undone(copied):
    """Return the bench, without the run of the loss that may misbehave."""
    planned = bench(config=copied)
    shutil.rmtree(faulty(planned).directory)
    faulty(planned).log.unlink()
    return planned


@pytest.fixture
def how(place):
    """Return what says how the loss misbehaves."""
    yield place / "how"
    (place / "how").unlink(missing_ok=True)
    (place / "reached").unlink(missing_ok=True)


def faulty(planned):
    return next(cell for cell in planned.cells if cell.name == "cycle+fault seed 0")


def contents(folder):
    """Return what a run was made for, in bytes."""
    paths = [folder / "metrics.jsonl", *sorted((folder / "weights").iterdir()), *sorted((folder / "samples").iterdir())]
    return {path.relative_to(folder): path.read_bytes() for path in paths}


def stamps(planned, *without):
    """Return when each file of the cells was written."""
    folders = [cell.directory for cell in planned.cells if cell.directory.exists() and cell not in without]
    return {path: path.stat().st_mtime_ns for folder in folders for path in folder.rglob("*") if path.is_file()}


def as_if_nothing_had_happened(planned, finished):
    """Whether a bench has come to the bytes of the one that was left alone, and nothing of it is left to do."""
    pairs = zip(planned.cells, finished.planned.cells, strict=True)
    return not planned.left() and all(contents(a.directory) == contents(b.directory) for a, b in pairs)


def words(report):
    return [row.get("verdict") for row in report["metrics"]["A2B/l1"]["rows"]]


# From the beginning to the end ------------------------------------------------------------------------------------


def test_a_bench_trains_measures_and_judges(finished):
    report = finished.report
    assert [(cell["combination"], cell["seed"], cell["again"], cell["status"]) for cell in report["cells"]] == [
        ("cycle", 0, False, "ok"), ("cycle+fault", 0, False, "ok"), ("cycle", 1, True, "ok"),
    ]  # fmt: skip
    assert report == json.loads((finished.out / "report.json").read_text("utf-8"))
    assert words(report) == [None, "inconclusive"]  # of one seed nothing can be said
    for cell, said in zip(finished.planned.cells, report["cells"], strict=True):
        record = read_record(cell.directory)
        assert record["run_id"] == cell.run_id == said["run_id"]
        assert record["metrics"]["A2B"]["translation"]["l1"]["value"] == said["values"]["A2B/l1"]
        assert not (cell.directory / "snapshots").exists()  # for going on, which nobody will


def test_begun_again_it_runs_nothing(finished, copied):
    planned = bench(config=copied)
    before = stamps(planned)
    assert go(planned, Nobody(), nothing) == finished.report
    assert stamps(planned) == before


def test_a_suite_in_a_file_is_the_same_bench(finished, copied, tmp_path):
    (tmp_path / "suite.toml").write_bytes((copied / "suite.toml").read_bytes())
    planned = bench(config=tmp_path / "suite.toml", out=copied)
    assert not planned.left()
    assert bench(config=tmp_path / "suite.toml").out == Path("runs/bench-suite").resolve()


def test_a_cell_is_an_ordinary_run(finished, copied, lossbench, tmp_path):
    code, _, err = lossbench(
        "run", "--config", copied / "suite.toml", "--plugins", "cycle", "--seed", 1, "--out", tmp_path / "run"
    )
    assert (code, err) == (0, "")
    twin = next(cell for cell in finished.planned.cells if cell.seed == 1)
    assert read_record(tmp_path / "run")["run_id"] == twin.run_id
    assert contents(tmp_path / "run") == contents(twin.directory)


def test_a_metric_that_is_added_is_measured_and_nothing_trained(finished, copied):
    planned = bench(config=copied, metrics=["psnr", "l1"])
    assert {cell.standing(planned.wanted) for cell in planned.cells} == {"unmeasured"}
    before = {path: stamp for path, stamp in stamps(planned).items() if path.name != "run.json"}
    report = go_on(planned)
    assert {path: stamp for path, stamp in stamps(planned).items() if path.name != "run.json"} == before
    for cell, was in zip(report["cells"], finished.report["cells"], strict=True):
        assert cell["values"].items() >= was["values"].items()
        assert cell["values"]["A2B/psnr"] > 0
    assert not planned.left()


def test_a_metric_whose_file_was_edited_is_measured_again(copied, write_plugin):
    def mine(factor):
        code = f"def mine(fake):\n    return {factor} * len(fake)\n"
        code += "@hookimpl\ndef lossbench_metric():\n    return MetricSpec(mine, better='lower')"
        return bench(config=copied, metrics=[str(write_plugin("mine", code))])

    go_on(mine(1))
    assert not mine(1).left()
    values = [cell["values"]["A2B/mine"] for cell in go_on(mine(2))["cells"]]
    assert values == [128.0] * 3


# Faults -----------------------------------------------------------------------------------------------------------


def test_a_worker_that_is_killed_goes_on_to_the_same_bytes(undone, finished, how):
    how.write_text("kill once")
    report = go_on(undone)
    assert [cell["status"] for cell in report["cells"]] == ["ok"] * 3
    assert [session["from_step"] for session in read_record(faulty(undone).directory)["resumed"]] == [2]
    assert as_if_nothing_had_happened(undone, finished)


def test_killed_twice_it_is_recorded_and_the_rest_goes_on(undone, finished, how):
    how.write_text("kill")
    after = undone.cells[-1]
    shutil.rmtree(after.directory)
    report = go_on(undone)
    assert [cell["status"] for cell in report["cells"]] == ["ok", "failed", "ok"]
    assert report["cells"][1]["error"] == "It did not end: it was killed, or is still running."
    assert len(read_record(faulty(undone).directory)["resumed"]) == 1
    assert words(report) == [None, "failed"]
    how.unlink()
    go_on(undone)
    assert as_if_nothing_had_happened(undone, finished)


def started(undone, how):
    """Begin a bench as a process of its own, and wait until a run of it is in its third step; return both ids."""
    how.write_text("hold")
    reached = how.with_name("reached")
    with (undone.out / "said").open("wb") as said:
        parent = Forked(
            ["python", "-m", "lossbench", "bench", str(undone.out), "--workers", "1"], stdout=said, process_group=0
        )
    until = time.monotonic() + 120
    while not (reached.exists() and reached.read_text()):
        assert time.monotonic() < until, (undone.out / "said").read_text()
        assert parent.poll() is None, (undone.out / "said").read_text()
        time.sleep(0.01)
    return parent, int(reached.read_text())


def gone(pid, undone):
    """Wait until an orphan has ended: what holds its directory is free."""
    until = time.monotonic() + 120
    while True:
        try:
            with held(faulty(undone).directory):
                return
        except RunError:
            assert time.monotonic() < until, f"{pid} does not end"
            time.sleep(0.05)


def test_a_bench_that_is_killed_with_its_runs_goes_on(undone, finished, how):
    before = stamps(undone)
    parent, child = started(undone, how)
    parent.kill()
    assert parent.wait() == -signal.SIGKILL
    os.kill(child, signal.SIGKILL)
    how.unlink()
    gone(child, undone)
    assert [cell.standing(undone.wanted) for cell in undone.cells] == ["done", "begun", "done"]
    go_on(undone)
    assert as_if_nothing_had_happened(undone, finished)
    assert stamps(undone, faulty(undone)) == before


def test_a_run_that_outlives_its_bench_is_left_alone_and_not_run_twice(undone, finished, how):
    parent, child = started(undone, how)
    parent.kill()
    parent.wait()
    report = go_on(undone)
    assert report["cells"][1]["error"].startswith(f"{faulty(undone).directory} is in use by another run.")
    how.unlink()
    gone(child, undone)
    assert as_if_nothing_had_happened(undone, finished)
    assert "resumed" not in read_record(faulty(undone).directory)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_stopped_every_run_finishes_its_step_and_saves(undone, finished, how, number):
    parent, _ = started(undone, how)
    parent.send_signal(number)
    assert parent.wait() == 130
    said = (undone.out / "said").read_text()
    assert f"Stopped. 2 of 3 runs are done, 1 are begun. Go on with: lossbench bench {undone.out}\n" in said
    record = read_record(faulty(undone).directory)
    assert (record["status"], record["error"]) == ("failed", "interrupted after step 3")
    assert sorted(path.name[:8] for path in (faulty(undone).directory / "snapshots").iterdir()) == [
        "00000002",
        "00000003",
    ]
    go_on(undone)
    assert read_record(faulty(undone).directory)["resumed"][0]["from_step"] == 3
    assert as_if_nothing_had_happened(undone, finished)


def test_a_disk_that_is_full_under_one_run_is_its_failure_alone(undone, finished):
    disk, after = faulty(undone).directory, undone.cells[-1]
    shutil.rmtree(after.directory)
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=100k", "tmpfs", disk], capture_output=True).returncode:
        pytest.skip("mounting a small disk is not allowed here")
    try:
        report = go_on(undone)
        assert [cell["status"] for cell in report["cells"]] == ["ok", "failed", "ok"]
        assert "no space left on device" in report["cells"][1]["error"]
        assert words(report) == [None, "failed"]
        subprocess.run(["mount", "-o", "remount,size=50M", disk], check=True)
        go_on(undone)
        assert as_if_nothing_had_happened(undone, finished)
    finally:
        subprocess.run(["umount", disk], check=True)


def test_a_full_disk_under_the_report_is_one_line_and_the_bench_goes_on(undone, finished, monkeypatch, lossbench):
    def full(path, data):
        raise RunError(f"{path} cannot be written: no space left on device. Free some space.")

    with monkeypatch.context() as patch:
        patch.setattr("lossbench.bench.bench.write_json", full)
        code, _, err = lossbench("bench", undone.out)
    assert (code, err.count("\n")) == (2, 1)
    assert "report.json cannot be written: no space left on device." in err
    go_on(undone)
    assert as_if_nothing_had_happened(undone, finished)


@pytest.mark.parametrize("content", ["", '{"schema": 2, "sta'])
def test_a_truncated_record_is_put_aside_and_the_run_is_trained_again(copied, finished, content):
    planned = bench(config=copied)
    torn = faulty(planned).directory
    (torn / "run.json").write_text(content)
    before = stamps(planned, faulty(planned))
    report = go_on(planned)
    assert [cell["status"] for cell in report["cells"]] == ["ok"] * 3
    assert (torn.with_suffix(".damaged") / "run.json").read_text() == content
    assert as_if_nothing_had_happened(planned, finished)
    assert stamps(planned, faulty(planned)) == before


def test_a_loss_that_raises_fails_alone_with_its_reason(undone, finished, how, lossbench):
    how.write_text("raise")
    after = undone.cells[-1]
    shutil.rmtree(after.directory)
    code, out, err = lossbench("bench", undone.out, "--workers", 1)
    assert (code, err) == (3, "")
    assert "cycle+fault seed 0 failed: A2B/fault (fault in " in out
    assert "ValueError: expected [B, C], and no [/red]" in out
    report = json.loads((undone.out / "report.json").read_text("utf-8"))
    assert [cell["status"] for cell in report["cells"]] == ["ok", "failed", "ok"]
    assert words(report) == [None, "failed"]
    assert (faulty(undone).directory / "traceback.txt").is_file()
    how.unlink()  # whatever it was is mended, and the loss is the same
    go_on(undone)
    assert as_if_nothing_had_happened(undone, finished)


def test_a_loss_that_cannot_be_built_is_refused_before_anything_is_trained(tmp_path, write_plugin):
    code = "def broken(): raise ValueError('no')\n@hookimpl\ndef lossbench_loss():\n    return LossSpec(broken)"
    with pytest.raises(Exception, match="broken"):
        bench(["cycle", str(write_plugin("broken", code))], settings=SETTINGS, out=tmp_path / "bench")
    assert not (tmp_path / "bench").exists()


def test_a_loss_that_diverges_is_a_result_and_not_trained_again(undone, how):
    how.write_text("nan")
    report = go_on(undone)
    assert report["cells"][1]["status"] == "diverged"
    assert report["cells"][1]["error"].startswith("Step 3: the value of A2B/fault")
    assert words(report) == [None, "failed"]
    assert report["metrics"]["A2B/l1"]["rows"][1]["failed"] == [0]
    how.unlink()
    assert go(undone, Nobody(), nothing) == report


def test_a_clock_that_jumps_changes_nothing(undone, finished, monkeypatch):
    for path in undone.out.rglob("*"):
        os.utime(path, (4e9, 4e9))  # the year 2096
    clock = iter(range(10**6, 0, -3600))
    with monkeypatch.context() as patch:
        patch.setattr(time, "time", lambda: float(next(clock)))
        report = go_on(undone)
    assert [cell["status"] for cell in report["cells"]] == ["ok"] * 3
    assert as_if_nothing_had_happened(undone, finished)
    assert all(path.stat().st_mtime == 4e9 for path in undone.cells[0].directory.iterdir())


def test_two_benches_in_one_folder_the_second_is_refused(copied, lossbench):
    with held(copied):
        code, _, err = lossbench("bench", copied)
    assert code == 2
    assert err == f"lossbench: {copied} is in use by another run. Wait for its end, or choose another --out.\n"


def test_two_benches_beside_each_other_do_not_touch(undone, finished, how, tmp_path):
    other = bench(config=Path(shutil.copytree(undone.out, tmp_path / "other")))
    parent, _ = started(undone, how)  # in its third step
    shutil.rmtree(other.cells[0].directory)
    shutil.copytree(faulty(finished.planned).directory, faulty(other).directory)
    go_on(other)  # while that one waits
    assert as_if_nothing_had_happened(other, finished)
    assert parent.poll() is None
    how.unlink()
    assert parent.wait() == 0
    assert as_if_nothing_had_happened(undone, finished)


# The command line -------------------------------------------------------------------------------------------------

FLAGS = [word for key, value in SETTINGS.items() if key[:5] != "bench" for word in ("--set", f"{key}={value}")]


def test_the_command_line_from_nothing_with_real_processes(lossbench, tmp_path, monkeypatch):
    monkeypatch.setattr(local, "subprocess", subprocess)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    words = ["bench", "--plugins", "cycle,idt", "--combine", "cycle", "--metrics", "l1", "--out", "here", *FLAGS]
    code, out, err = lossbench(*words, "--seeds", 1, "--workers", 1)
    assert (code, err) == (0, "")
    assert out.startswith(
        f"2 of 2 runs to do, 4 steps each, 1 at a time. Into {tmp_path / 'here'}\n1 of 2: cycle seed 0\n2 of 2: cycle seed 1\n"
    )
    assert f"Pictures, curves, every seed: lossbench report {tmp_path / 'here'} --html report.html\n" in out
    report = json.loads((tmp_path / "here" / "report.json").read_text("utf-8"))
    assert [cell["status"] for cell in report["cells"]] == ["ok", "ok"]
    assert read_toml(tmp_path / "here" / "suite.toml")["bench.combine"] == ["cycle"]
    assert lossbench("bench", "here")[0] == 0  # nothing is left to do


def test_a_dry_run_says_what_it_would_do_and_writes_nothing(undone, lossbench, write_plugin):
    before = sorted(undone.out.rglob("*"))
    code, out, err = lossbench("bench", undone.out, "--dry-run", "--workers", 3)
    assert (code, err) == (0, "")
    assert "1 runs of 4 steps," in out
    assert "3 at a time: about " in out
    assert f"Into {undone.out}\nMeasured: l1.\n" in out
    assert sorted(undone.out.rglob("*")) == before


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--combine", "cycle+tw"], "bench: `tw` is none of this suite's losses."),
        (["--always", "cycel"], "bench: `cycel` is none of this suite's losses. Did you mean `cycle`? They are: cycle, idt, gan."),
        (["--primary", "psnrr"], "bench.primary=psnrr: it is not measured. Metrics: l1."),
        (["--primary", "C2D/l1"], "bench.primary=C2D/l1: it is not measured. Did you mean `B2A/l1`? Metrics: l1."),
        (["--metrics", "l1,fidd"], "No plugin `fidd` in lossbench.metrics. Did you mean `fid`?"),
        (["--seeds", 0], "bench.seeds=0: input should be greater than or equal to 1."),
        (["--set", "bench.margin=much"], "`much` is not a margin."),
        (["--set", "tv.weight=1"], "tv.weight is set, but tv is not used."),
        (["--data", "nowhere"], "No folder nowhere."),
        (["--device", "cuda:9"], "train.device='cuda:9' cannot be used here."),
        (["--out", "/proc/bench"], "--out /proc/bench: "),
        (["--workers", 0], "Invalid value for '--workers'"),
        (["--executor", "slurm"], "Invalid value for '--executor'"),
        (["nowhere.toml"], "nowhere.toml cannot be read: No such file or directory."),
        (["--plugins", ""], "--plugins names no loss."),
        (["--plugins", "content,tv", "--recipe", "style"], "A combination has no loss at all. Name what every one has: --always LOSS"),
        (["--plugins", "cycle,idd"], "No plugin `idd` in lossbench.losses. Did you mean `idt`?"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_one_line_and_nothing_is_trained(lossbench, tmp_path, words, said):
    given = {"--plugins": "cycle,idt", "--metrics": "l1", "--out": "here"}
    others = [word for flag, value in given.items() if flag not in words for word in (flag, value)]
    code, out, err = lossbench("bench", *others, *FLAGS, *words)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert err.startswith(f"lossbench: {said}")
    assert not list(tmp_path.iterdir())


def test_a_folder_that_holds_no_bench_is_one_line(lossbench, tmp_path):
    (tmp_path / "empty").mkdir()
    code, _, err = lossbench("bench", "empty")
    assert (code, err.count("\n")) == (2, 1)
    assert err.startswith("lossbench: empty/suite.toml cannot be read: No such file")


WEIGHTY = """
@hookimpl
def lossbench_metric():
    return MetricSpec(lambda fake: 1.0, better="lower", weights=("nowhere",))
"""


def test_what_cannot_be_measured_is_said_before_or_refused(undone, lossbench, write_plugin, monkeypatch):
    from lossbench.errors import WeightsError
    from lossbench.metrics import measuring

    def pull(word):
        raise WeightsError(f"{word} cannot be\nfetched.")

    monkeypatch.setattr(measuring, "pull", pull)
    monkeypatch.setattr(measuring, "pinned", lambda word: "a" * 64)
    words = ["bench", undone.out, "--metrics", f"l1,{write_plugin('heavy', WEIGHTY)}"]
    code, out, err = lossbench(*words, "--require", "heavy")
    assert (code, out, err) == (2, "", "lossbench: --require heavy: unavailable, nowhere cannot be fetched.\n")
    code, out, _ = lossbench(*words, "--dry-run")
    assert code == 0
    assert out.endswith("Measured: l1.\nheavy will be unavailable: nowhere cannot be fetched.\n")
    assert not faulty(undone).directory.exists()


def test_settings_that_cannot_be_are_refused_in_python_too(tmp_path):
    with pytest.raises(OptionError, match=r"^bench\.primary=kit: it is not measured\."):
        bench(["cycle"], settings={"bench.primary": "kit"}, metrics=["l1"], out=tmp_path)


def test_what_verdicts_are_about_is_measured(tmp_path):
    planned = bench(["cycle"], settings=SETTINGS | {"bench.primary": "B2A/psnr"}, metrics=["l1"], out=tmp_path)
    assert planned.metrics == ["l1", "psnr"]


def test_what_was_not_fixed_beforehand_is_said(copied, lossbench):
    before = json.loads((copied / "report.json").read_text("utf-8"))
    assert before["changed"] == []
    for _ in range(2):  # and stays said
        code, out, _ = lossbench("bench", copied, "--set", "bench.margin=0.25")
        assert (code, "Changed when values could be seen already: bench.margin was 2%, is 0.25.\n" in out) == (0, True)
    assert json.loads((copied / "report.json").read_text("utf-8"))["margin"] == "0.25"


def test_a_recipe_that_is_a_file_is_named_so_that_it_is_found_from_anywhere(tmp_path, monkeypatch):
    (tmp_path / "mine.py").write_text("from lossbench_plugins.recipes.cyclegan import lossbench_recipe\n", "utf-8")
    monkeypatch.chdir(tmp_path)
    planned = bench(["cycle"], settings=SETTINGS | {"recipe": "./mine.py"}, metrics=["l1"], out="bench")
    assert planned.suite.keys["recipe"] == str(tmp_path / "mine.py")
    assert isinstance(planned.cells[0], Cell)
