"""Observers: named, optioned and kept like losses; whatever they do, the run goes on as if they were not there."""

from __future__ import annotations

import re
import shutil
import sys
import tomllib
from pathlib import Path

import pytest
import torch

from lossbench import Diverged, OptionError, PluginError, hookimpl, train
from lossbench.config import read_toml
from lossbench.divergence import replay
from lossbench.prepare import prepare
from lossbench.record import read_log, read_record
from lossbench.registry import load
from lossbench.run import go
from tests.conftest import TINY

pytestmark = pytest.mark.usefixtures("plain_pictures")

HOOKS = ("lossbench_run_start", "lossbench_component", "lossbench_step", "lossbench_run_end")
COUNT = '''
"""Count: write down each step."""
from pathlib import Path
class Count:
    def __init__(self, *, into: str = "steps", every: int = 1):
        self.into, self.every = into, every
    @hookimpl
    def lossbench_run_start(self, run):
        self.path = run.directory / self.into
        self.path.touch()
    @hookimpl
    def lossbench_step(self, step):
        if step % self.every == 0:
            with self.path.open("a") as file: file.write(f"{step} ")
@hookimpl
def lossbench_observer(): return Count
'''


@pytest.fixture(autouse=True)
def _unjudged(monkeypatch):
    """No closing table: it is most of a tiny run's time."""
    monkeypatch.setattr("lossbench.run.closing", lambda run: {})


@pytest.fixture
def count(write_plugin):
    return write_plugin("count", COUNT)


def begin(out, observers, **settings):
    keys = {key.replace("__", "."): value for key, value in settings.items()}
    return train("cycle", observers=observers, settings=TINY | keys, out=out)


def files(directory):
    """Return what a run leaves, but for what says that it was observed."""
    named = {path.relative_to(directory).as_posix(): path for path in directory.rglob("*") if path.is_file()}
    return {name: path.read_bytes() for name, path in named.items() if name not in ("run.json", "config.toml")}


def raising(hook, error, sees=None):
    """Return an observer that raises in one of its hooks, and tells which it was called by."""
    sees = [] if sees is None else sees

    class Raising:
        pass

    def watch(name):
        def called(self):
            sees.append(name)
            if name == hook:
                raise error

        return hookimpl(called)

    for name in HOOKS:
        setattr(Raising, name, watch(name))
    return Raising()


# Named, optioned, kept --------------------------------------------------------------------------------------------


def test_a_file_is_an_observer_with_options(lossbench, count, tmp_path):
    words = [word for key, value in TINY.items() for word in ("--set", f"{key}={value}")]
    code, _, err = lossbench("run", "--observe", "./count.py", "--set", "count.every=2", *words, "--out", "run")
    assert (code, err) == (0, "")
    assert (tmp_path / "run" / "steps").read_text() == "2 4 "
    record = read_record(tmp_path / "run")
    assert record["observers"] == [
        {"observer": "count", "source": str(count), "distribution": "", "version": "", "status": "ok", "error": None}
    ]
    assert "steps" in record["artifacts"]


def test_the_config_keeps_what_was_observed(lossbench, count, tmp_path):
    shown = lossbench("run", "--observe", "csv,./count.py", "--set", "count.into=x", "--print-config")[1]
    assert tomllib.loads(shown)["observe"] == ["csv", str(count)]
    assert tomllib.loads(shown)["count"] == {"into": "x", "every": 1}
    assert tomllib.loads(shown)["csv"] == {"every": 1}
    (tmp_path / "c.toml").write_text(shown, "utf-8")
    assert prepare(config=tmp_path / "c.toml").config.toml() == shown
    unobserved = prepare(config=tmp_path / "c.toml", observe="").config.dotted()
    assert unobserved["observe"] == []
    assert not [key for key in unobserved if key.startswith(("csv.", "count."))]


def test_nothing_is_observed_by_itself(tiny, tmp_path):
    run = go(tiny("cycle"), tmp_path / "run")
    assert run.config.observed == ()
    assert run.record["observers"] == []


def test_names_files_and_objects_watch_together_and_in_order(count, tmp_path):
    seen = []

    class Watcher:
        @hookimpl
        def lossbench_step(self, step):
            seen.append((step, (tmp_path / "run" / "steps").read_text()))

    run = begin(tmp_path / "run", [str(count), Watcher(), "csv"], train__steps=2)
    assert seen == [(1, "1 "), (2, "1 2 ")]
    assert [facts["observer"] for facts in run.record["observers"]] == ["count", "csv", "Watcher"]


def test_a_run_that_is_observed_is_the_run_that_is_not(tiny, tmp_path):
    plain, watched = go(tiny("cycle"), tmp_path / "plain"), begin(tmp_path / "watched", ["csv"])
    left = files(watched.directory)
    assert left.pop("metrics.csv")
    assert left == files(plain.directory)
    assert watched.record["run_id"] == plain.record["run_id"]


def test_the_example_of_the_contract_is_an_observer(tmp_path):
    page = (Path(__file__).parent.parent / "docs" / "contract.md").read_text("utf-8")
    (code,) = [block for block in re.findall(r"```python\n(.*?)```", page, re.DOTALL) if "lossbench_observer" in block]
    path = tmp_path / "highest.py"
    path.write_text(code, "utf-8")
    run = begin(tmp_path / "run", [str(path)], highest__term="B2A/gan")
    values = {line["step"]: line["raw"]["B2A/gan"] for line in read_log(run.directory / "metrics.jsonl")}
    assert (run.directory / "highest.txt").read_text() == f"{max(values, key=values.get)}\n"


@pytest.fixture
def stopped(count, tmp_path):
    """Return a run that was observed, and stopped after its second step."""

    class Stop:
        @hookimpl
        def lossbench_step(self, step):
            if step == 2:
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        begin(tmp_path / "run", [str(count), Stop()])
    return tmp_path / "run"


def test_a_run_that_goes_on_is_observed_again(stopped):
    run = train(resume=stopped)
    assert (stopped / "steps").read_text() == "1 2 3 4 "
    assert [facts["observer"] for facts in run.record["observers"]] == ["count"]
    assert [facts["observer"] for facts in run.record["resumed"][0]["observers"]] == ["count", "Stop"]


def test_what_is_observed_may_change_when_a_run_goes_on(stopped, lossbench):
    shutil.copytree(stopped, "other")
    assert lossbench("run", "--resume", "other", "--observe", "csv")[0] == 0
    assert (Path("other") / "steps").read_text() == "1 2 "
    assert read_toml(Path("other") / "config.toml")["observe"] == ["csv"]
    train(resume=stopped, observers=[])
    assert (stopped / "steps").read_text() == "1 2 "
    assert files(stopped).keys() < files(Path("other")).keys()


def test_an_observer_that_was_edited_is_no_other_run(stopped, count):
    count.write_text(count.read_text("utf-8").replace('f"{step} "', 'f"{step}, "'), "utf-8")
    train(resume=stopped)
    assert (stopped / "steps").read_text() == "1 2 3, 4, "


def test_a_divergence_is_replayed_unobserved(write_plugin, count, tmp_path):
    code = "@hookimpl\ndef lossbench_loss(): return LossSpec(lambda: lambda fake: fake.mean() / 0)"
    words = ["cycle", str(write_plugin("bad", code))]
    with pytest.raises(Diverged):
        train(words, observers=[str(count)], settings=TINY, out=tmp_path / "run")
    count.unlink()
    assert replay(tmp_path / "run" / "bundle-000001.pt").again


# What cannot be ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("observe", "settings", "message"),
    [
        ("csw", {}, r"No plugin `csw` in lossbench.observers. Did you mean `csv`\?"),
        ("./nowhere.py", {}, r"No plugin file nowhere.py"),
        (None, {"csv.every": 2}, r"csv.every is set, but csv is not used. Add it: --observe csv\."),
        ("tensorboard", {"csv.every": 2}, r"Add it: --observe tensorboard,csv\."),
        ("csv", {"csv.evry": 2}, r"csv has no option `evry`. Did you mean `every`\? Options of csv: every=1."),
        ("csv", {"csv.every": 0}, r"csv.every=0: input should be greater than 0. Options of csv: every=1."),
        ("csv,csv", {}, r"`csv` is chosen twice"),
        ("cycle.py", {}, r"`cycle` is both a loss and an observer of this run, .* Rename one"),
        ("gan.py", {}, r"`gan` is both a loss and an observer of this run"),
        (
            "train.py",
            {},
            r"An observer cannot be called `train`: a name is a word, and none of train, data, pool, model",
        ),
        ([3], {}, r"observe=\[3\]: name plugins as in one,two or, in TOML, as a list of names."),
    ],
)
def test_what_cannot_be_observed_is_one_line(write_plugin, monkeypatch, tmp_path, observe, settings, message):
    monkeypatch.chdir(tmp_path)
    for name in ("cycle", "gan", "train"):
        write_plugin(name, COUNT)
    with pytest.raises((OptionError, PluginError), match=message) as error:
        prepare("cycle", observe=observe, settings=TINY | settings)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("def nothing(): ...", r"mine in .*mine.py has no `lossbench_observer`. Add a function of that name"),
        ("@hookimpl\ndef lossbench_step(step): ...", r"mine in .*mine.py has no `lossbench_observer`"),
        ("@hookimpl\ndef lossbench_observer(): return 3", r"lossbench_observer returned 3; return a Callable"),
    ],
)
def test_a_file_that_is_no_observer_says_why(write_plugin, code, message):
    with pytest.raises(PluginError, match=message):
        load("observers", str(write_plugin("mine", code)))


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (
            "@hookimpl\n    def lossbench_stpe(self): ...",
            r"mine in .*mine.py: `lossbench_stpe` is no hook. Did you mean `lossbench_step`\?",
        ),
        ("@hookimpl\n    def lossbench_step(self, stepp): ...", r"mine in .*mine.py: .*stepp"),
        ("def lossbench_step(self): ...", r"mine in .*mine.py watches nothing. Give it any of lossbench_run_start, "),
        ("def __init__(self): 1 / 0", r"mine in .*mine.py cannot be built: ZeroDivisionError: division by zero."),
        ("def __init__(self): exit(3)", r"mine in .*mine.py cannot be built: SystemExit: 3."),
        ("def __init__(self): raise OptionError('mine.x and mine.y')", r"^mine.x and mine.y$"),
        ("def __init__(self, *, x=1): ...", r"mine: option `x` needs a type and a default"),
        (
            "def __init__(self): import nothing.of.this",
            r"^mine needs the package `nothing`. Install it: pip install 'nothing'$",
        ),
    ],
)
def test_an_observer_that_is_none_ends_the_run_before_it_begins(write_plugin, tmp_path, body, message):
    path = write_plugin("mine", f"class Mine:\n    {body}\n@hookimpl\ndef lossbench_observer(): return Mine")
    with pytest.raises((PluginError, OptionError), match=message):
        begin(tmp_path / "run", [str(path)])
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("name", ["tensorboard", "mlflow"])
def test_a_missing_package_is_named_with_its_extra(lossbench, monkeypatch, name):
    for module in [name, *(each for each in sys.modules if each.startswith((f"{name}.", "torch.utils.tensorboard")))]:
        monkeypatch.delitem(sys.modules, module, raising=False)
    monkeypatch.setitem(sys.modules, name, None)
    code, out, err = lossbench("run", "--observe", name, "--out", "run")
    assert (code, out) == (2, "")
    assert err == f"lossbench: {name} needs the package `{name}`. Install it: pip install 'lossbench[{name}]'\n"
    assert not Path("run").exists()


@pytest.mark.parametrize(
    ("observer", "message"),
    [
        (object(), r"object in python watches nothing"),
        (type("Watcher", (), {}), r"Watcher is a class. Give an object of it: observers=\[Watcher\(\)\]."),
        (3, r"int in python watches nothing"),
    ],
)
def test_an_object_that_is_no_observer_is_refused(tmp_path, observer, message):
    with pytest.raises(PluginError, match=message):
        begin(tmp_path / "run", [observer])


# The guard --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "error", [ValueError("no\nmore"), OSError(28, "No space left"), SystemExit(3), PluginError("x")], ids=repr
)
@pytest.mark.parametrize("hook", HOOKS)
def test_an_observer_that_fails_is_switched_off_and_the_run_goes_on(tmp_path, capsys, hook, error):
    seen, others = [], []
    failing, other = raising(hook, error, seen), raising("none", None, others)
    run = begin(tmp_path / "run", [failing, other], train__steps=2)
    assert run.record["status"] == "ok"
    assert seen[-1] == hook  # and nothing after it
    assert {name: others.count(name) for name in HOOKS} == dict(zip(HOOKS, (1, 8, 2, 1), strict=True))
    assert [line["step"] for line in read_log(run.directory / "metrics.jsonl")] == [1, 2]
    said = capsys.readouterr().err
    step = " at step 1" if hook in ("lossbench_component", "lossbench_step") else ""
    reason = f"{hook}{step}: {type(error).__name__}: {' '.join(str(error).split())} (test_observers.py, line "
    assert said.startswith(f"lossbench: observer Raising in python is switched off, the run goes on: {reason}")
    assert said.count("\n") == 1
    failed, kept = read_record(run.directory)["observers"]
    assert (failed["status"], kept["status"], kept["error"]) == ("failed", "ok", None)
    assert failed["error"].startswith(reason)


def test_the_line_says_whose_observer_it_is(tmp_path, capsys):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("lossbench_plugins.observers.csv.Csv.lossbench_run_start", hookimpl(lambda self: 1 / 0))
        run = begin(tmp_path / "run", ["csv"], train__steps=1)
    assert "observer csv of lossbench 0." in capsys.readouterr().err
    assert run.record["observers"][0]["distribution"] == "lossbench"


def test_ctrl_c_within_an_observer_stops_the_run(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        begin(tmp_path / "run", [raising("lossbench_step", KeyboardInterrupt())])
    assert read_record(tmp_path / "run")["error"] == "interrupted after step 1"


@pytest.mark.parametrize("shown", ["terms", "images"])
@pytest.mark.parametrize("fails", [False, True])
def test_an_observer_that_changes_a_tensor_ends_the_run(tmp_path, shown, fails):
    class Careless:
        @hookimpl
        def lossbench_component(self, terms, images):
            tensor = next(iter((terms if shown == "terms" else images).values()))
            with torch.no_grad():
                tensor.mul_(0.5)
            if fails:
                raise ValueError

    with pytest.raises(
        PluginError, match=r"^Careless in python changed `A2B/\w+` in place at step 1. .* work on a copy"
    ):
        begin(tmp_path / "run", [Careless()])
    record = read_record(tmp_path / "run")
    assert record["status"] == "failed"
    assert "Careless in python changed" in record["error"]
    assert record["observers"][0]["status"] == "failed"


def test_an_observer_can_do_to_its_mappings_what_it_likes(tiny, tmp_path):
    class Messy:
        @hookimpl
        def lossbench_component(self, terms, images):
            terms.clear()
            images.clear()

        @hookimpl
        def lossbench_step(self, values, weights):
            values.clear()
            weights.clear()

    watched, plain = begin(tmp_path / "watched", [Messy(), "csv"]), go(tiny("cycle"), tmp_path / "plain")
    assert (watched.directory / "metrics.csv").read_text().count("\n") == 1 + 4 * 6
    assert files(watched.directory).items() >= files(plain.directory).items()


def test_a_failure_is_said_beside_the_bar(lossbench, write_plugin):
    code = "class Bad:\n    @hookimpl\n    def lossbench_step(self): 1 / 0\n@hookimpl\ndef lossbench_observer(): return Bad"
    write_plugin("bad", code)
    words = [word for key, value in TINY.items() for word in ("--set", f"{key}={value}")]
    code, out, err = lossbench("run", "--observe", "./bad.py", *words, "--out", "run")
    assert code == 0
    assert "s per step" in out
    assert err.startswith("lossbench: observer bad in ")
    assert err.count("\n") == 1
