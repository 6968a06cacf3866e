"""Strangers' distributions, built and installed for real, through the same door as our own."""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys

import pytest

from lossbench import train
from tests.conftest import TINY, write_images

pytestmark = pytest.mark.usefixtures("plain_pictures")
SMALL = ["--steps", "2", "--size", "32", "--load-size", "32", "--set", "model.ngf=4", "--set", "model.ndf=4"]


def test_a_strangers_loss_runs_beside_ours_and_the_record_says_whose_it_is(stranger, lossbench, tmp_path):
    stranger("lossbench-hue")
    code, _, err = lossbench("run", "--plugins", "cycle,hue", "--set", "hue.power=1", *SMALL, "--out", "run")
    assert code == 0, err
    record = json.loads((tmp_path / "run" / "run.json").read_text())
    (hue,) = (term for term in record["objective"] if term["term"] == "A2B/hue")
    assert (hue["distribution"], hue["version"], hue["weight"]) == ("lossbench-hue", "0.3", 0.5)
    assert hue["options"] == {"power": 1}
    assert len(hue["sha256"]) == 64


def test_a_strangers_recipe_edits_no_file_of_the_host(stranger, lossbench, tmp_path):
    stranger("lossbench-hue")
    code, _, err = lossbench("run", "--recipe", "oneway", *SMALL, "--out", "run")
    assert code == 0, err
    record = json.loads((tmp_path / "run" / "run.json").read_text())
    assert [term["term"] for term in record["objective"]] == ["A2B/gan", "A2B/gan:D", "A2B/hue"]
    assert record["config"]["pool.size"] == 0
    assert record["config"]["gan.mode"] == "vanilla"
    assert record["parameters"].keys() == {"G_A2B", "D_A2B"}


def test_a_strangers_system_of_its_own_network_and_pairs_edits_none_either(stranger, lossbench, tmp_path):
    stranger("lossbench-hue")
    code, _, err = lossbench("run", "--recipe", "matrix", "--direction", "BtoA", "--out", "run")
    assert code == 0, err
    record = json.loads((tmp_path / "run" / "run.json").read_text())
    assert record["parameters"] == {"G_B2A": 12}
    assert (record["config"]["train.steps"], record["config"]["l1.power"]) == (30, 2)
    judged = record["metrics"]["B2A"]
    assert judged["translation"]["l1"]["value"] < 0.8 * judged["copy"]["l1"]["value"]
    code, _, err = lossbench("translate", "run", write_images(tmp_path / "some") / "testB", "--out", "fakes")
    assert code == 0, err
    assert len(list((tmp_path / "fakes").glob("*.png"))) == 4


def test_what_a_recipe_lacks_is_refused_at_the_start(stranger, lossbench):
    stranger("lossbench-hue")
    code, _, err = lossbench("run", "--recipe", "oneway", "--plugins", "cycle", *SMALL)
    assert (code, err) == (
        2,
        "lossbench: cycle asks for `rec`, the round trip; recipe oneway has one direction, A2B, and no way back. "
        "Drop cycle, or use --recipe cyclegan.\n",
    )


def test_plugins_lists_every_stranger_and_imports_none(installed):
    code = "import sys; from lossbench.cli import main; sys.argv = ['lossbench', 'plugins']; main()"
    names = {"PYTHONPATH": os.pathsep.join(map(str, installed.values())), "COLUMNS": "160"}
    command = [sys.executable, "-X", "importtime", "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ | names)
    assert done.returncode == 0, done.stderr
    for words in ("Broken: this module cannot", "Dated:", "Dice:", "Future:", "Hue: the mean colour", "NaN:"):
        assert words in done.stdout
    for words in (
        "One way: a translation",
        "Matrix: one colour",
        "Counter:",
        "Scribble:",
        "Stumble:",
        "Another total variation",
    ):
        assert words in done.stdout
    assert done.stdout.count("claimed twice") == 2
    imported = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert "lossbench.registry" in imported
    assert not [name for name in imported if name.startswith("lossbench_")]


def test_a_strangers_observer_is_found_by_name_and_has_options(stranger, tmp_path):
    stranger("lossbench-hue")
    run = train("cycle", observers=["counter"], settings=TINY | {"counter.every": 2}, out=tmp_path / "run")
    assert importlib.import_module("lossbench_hue_counter").steps == [2, 4]
    assert run.record["observers"] == [
        {"observer": "counter", "source": "lossbench_hue_counter", "distribution": "lossbench-hue", "version": "0.3", "status": "ok", "error": None}
    ]  # fmt: skip
