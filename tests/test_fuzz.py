"""Whatever is typed: exit code 0, or one line and exit code 2; never a traceback."""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
from pathlib import Path

import pytest
import tomli_w
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as some

from lossbench import hookimpl
from lossbench.cli import main
from lossbench.prepare import prepare
from lossbench.run import go
from tests.conftest import TINY

KEYS = [
    "train.steps",
    "train.epochs",
    "train.batch",
    "train.seed",
    "train.lr",
    "train.beta1",
    "train.constant",
    "train.device",
    "train.precision",
    "train.strategy",
    "train.every",
    "train.keep",
    "data.dir",
    "data.size",
    "data.load_size",
    "data.flip",
    "data.paired_test",
    "data.skip_bad",
    "data.seed",
    "pool.size",
    "model.generator",
    "model.ngf",
    "model.ndf",
    "model.dropout",
    "model.n_layers",
    "model.discriminator",
    "cycle.weight",
    "cycle.weight.A2B",
    "cycle.weight.A2C",
    "gan.mode",
    "gan.penalty",
    "gan.critic_steps",
    "idt.weight",
    "tv.power",
    "tv.weight",
    "circularity.edges",
    "circularity.mask_fn",
    "circularity.weight",
    "junyanz.lambda_A",
    "plugins",
    "recipe",
    "preset",
    "x",
    "a.b.c",
    ".",
    "..",
    "train",
]
NUMBERS = some.integers(-3, 70) | some.sampled_from([10**9, 10**18, 2**63, -(2**63), 10**40]) | some.floats()
VALUES = (
    NUMBERS
    | some.booleans()
    | some.text(max_size=8)
    | some.sampled_from(
        ["shapes", "resnet_2blocks", "resnet_0blocks", "resnet_99999999999blocks", "os:system", "nan", ""]
    )
    | some.lists(some.integers(0, 3) | some.text(max_size=3), max_size=3)
)
FLAGS = [
    "--plugins",
    "--data",
    "--recipe",
    "--preset",
    "--size",
    "--load-size",
    "--batch",
    "--steps",
    "--epochs",
    "--every",
    "--seed",
    "--device",
    "--precision",
    "--strategy",
    "--config",
    "--resume",
    "--out",
    "--set",
]
WORDS = some.sampled_from(
    ["cycle", "cycle,idt", "cycle,cycle", ",", "gan", "tv,circularity", "./nothing.py", "shapes", "cyclegan", "junyanz",
     "mmagic", ".", "/", "/dev/null", "0", "-1", "4", "8", "31", "1e9", "nan", "cpu", "cuda:99", "float64", "fused", ""]
) | some.text(max_size=6)  # fmt: skip
SMALL = ["--size", "16", "--load-size", "16", "--set", "model.ngf=2", "--set", "model.ndf=2"]
QUICK = settings(
    max_examples=60, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def type_(words, capsys, monkeypatch):
    """Type words, and see that whatever comes is said well; return the exit code."""
    monkeypatch.setattr(sys, "argv", ["lossbench", *words])
    with pytest.raises(SystemExit) as end:
        main()
    _, err = capsys.readouterr()
    assert end.value.code in (None, 0, 2), (words, err)
    assert "Traceback" not in err
    if end.value.code == 2:
        assert err.startswith("lossbench: "), words
        assert err.count("\n") == 1, err
    return end.value.code


@QUICK
@given(some.lists(some.tuples(some.sampled_from(KEYS), VALUES), max_size=3))
@example([("model.ngf", 10**18)])  # each of these was a traceback once
@example([("model.ngf", 2**63)])
@example([("model.generator", "resnet_99999999999blocks")])
@example([("data.dir", "\x85")])
@example([("train.steps", True)])
def test_any_assignment(capsys, monkeypatch, assignments):
    words = [
        word for key, value in assignments for word in ("--set", f"{key}={tomli_w.dumps({'v': value})[4:].strip()}")
    ]
    type_(["run", "--print-config", *SMALL, *words], capsys, monkeypatch)


@QUICK
@given(some.lists(some.tuples(some.sampled_from(FLAGS), WORDS), max_size=4))
@example([("--data", "\x1e")])
@example([("--size", "8192")])
def test_any_flags(capsys, monkeypatch, flags):
    type_(["run", "--print-config", *SMALL, *(word for pair in flags for word in pair)], capsys, monkeypatch)


@QUICK
@given(
    some.lists(
        WORDS | some.sampled_from(["run", "translate", "show", "plugins", "cache", "replay", "--help", "--version"]),
        max_size=4,
    )
)
def test_any_words(capsys, monkeypatch, tmp_path, words):
    monkeypatch.chdir(tmp_path)
    if words[:1] != ["run"]:
        type_(words, capsys, monkeypatch)


@QUICK
@given(some.dictionaries(some.sampled_from(KEYS), VALUES, max_size=4))
def test_any_toml(capsys, monkeypatch, tmp_path, keys):
    path = tmp_path / "config.toml"
    path.write_text("\n".join(tomli_w.dumps({key: value}) for key, value in keys.items()), "utf-8")
    type_(["run", "--print-config", "--config", str(path), *SMALL], capsys, monkeypatch)


@QUICK
@given(some.binary(max_size=60))
def test_any_bytes_as_toml(capsys, monkeypatch, tmp_path, content):
    path = tmp_path / "config.toml"
    path.write_bytes(content)
    type_(["run", "--print-config", "--config", str(path), *SMALL], capsys, monkeypatch)


@QUICK
@given(some.data())
def test_a_config_with_a_few_wrong_bytes(tiny, capsys, monkeypatch, tmp_path, data):
    path, content = tmp_path / "config.toml", bytearray(tiny().config.toml().encode())
    for _ in range(data.draw(some.integers(1, 3))):
        content[data.draw(some.integers(0, len(content) - 1))] = data.draw(some.integers(0, 255))
    path.write_bytes(bytes(content))
    type_(["run", "--print-config", "--config", str(path)], capsys, monkeypatch)


# Run directories ------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def left(tmp_path_factory):
    """A run that was stopped: everything is in it, and it can go on."""

    class Stop:
        @hookimpl
        def lossbench_step(self, step):
            if step == 3:
                raise KeyboardInterrupt

    place = tmp_path_factory.mktemp("left")
    with pytest.raises(KeyboardInterrupt):
        go(prepare("cycle", settings=TINY | {"train.every": 1}), place / "run", observers=[Stop()])
    go(prepare("cycle", settings=TINY | {"train.every": 1}), place / "whole")
    return place


def bytes_of(run):
    return {p.name: p.read_bytes() for p in (run / "metrics.jsonl", *run.glob("weights/*"), *run.glob("samples/*"))}


def mutate(path, data):
    """Flip, cut, remove, or replace a value where it is JSON."""
    content = bytearray(path.read_bytes())
    how = data.draw(some.sampled_from(["flip", "cut", "remove", "empty"] + ["value"] * 4 * (path.suffix == ".json")))
    if how == "remove":
        path.unlink()
    elif how == "value":
        tree = place = json.loads(content)
        while True:
            key = data.draw(some.sampled_from(sorted(place) if isinstance(place, dict) else range(len(place))))
            if not (isinstance(place[key], dict | list) and place[key] and data.draw(some.booleans())):
                break
            place = place[key]
        place[key] = data.draw(
            some.none() | some.integers(-2, 9) | some.text(max_size=3) | some.just([]) | some.just({})
        )
        path.write_text(json.dumps(tree), "utf-8")
    else:
        for _ in range(3 * (how == "flip") * bool(content)):
            content[data.draw(some.integers(0, len(content) - 1))] ^= 1 << data.draw(some.integers(0, 7))
        path.write_bytes(
            bytes(
                content[: data.draw(some.integers(0, len(content))) * (how == "cut")]
                if how in ("cut", "empty")
                else content
            )
        )


@settings(QUICK, max_examples=25)
@given(some.data())
def test_a_mutated_run(capsys, monkeypatch, left, data):
    with tempfile.TemporaryDirectory() as folder:
        run = Path(folder, "run")
        shutil.copytree(left / "run", run)
        files = sorted(path for path in run.rglob("*") if path.is_file() and path.suffix != ".png")
        mutate(data.draw(some.sampled_from(files)), data)
        image = next((left / "run" / "samples").iterdir())
        type_(["show", str(run)], capsys, monkeypatch)
        type_(["translate", str(run), str(image), "--out", f"{folder}/out"], capsys, monkeypatch)
        if not type_(["run", "--resume", str(run)], capsys, monkeypatch):
            assert bytes_of(run) == bytes_of(left / "whole")
