"""Strangers' distributions, built and installed for real, through the same door as our own."""

from __future__ import annotations

import importlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from lossbench import train
from tests.conftest import TINY

HERE = Path(__file__).parent


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """Install each distribution into a folder of its own; return name -> folder."""
    folders = {}
    for source in sorted(HERE.glob("lossbench-*")):
        copy = tmp_path_factory.mktemp("source") / source.name
        shutil.copytree(source, copy)
        folders[source.name] = tmp_path_factory.mktemp(source.name)
        install = ["-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation", "--target"]
        subprocess.run([sys.executable, *install, str(folders[source.name]), str(copy)], check=True)
    return folders


@pytest.fixture
def lossbench(installed, tmp_path):
    """Return a runner of the command line in which the named distributions are installed."""

    def run(distributions, *arguments):
        path = os.pathsep.join(str(installed[name]) for name in distributions)
        code = "import sys; from lossbench.cli import main; sys.argv[0] = 'lossbench'; main()"
        return subprocess.run(
            [sys.executable, "-c", code, *arguments],
            capture_output=True, text=True, cwd=tmp_path, env=os.environ | {"PYTHONPATH": path, "COLUMNS": "160"},
        )  # fmt: skip

    return run


SMALL = ["--steps", "2", "--size", "32", "--load-size", "32", "--set", "model.ngf=4", "--set", "model.ndf=4"]


def test_a_strangers_loss_runs_beside_ours_and_the_record_says_whose_it_is(lossbench, tmp_path):
    done = lossbench(["lossbench-hue"], "run", "--plugins", "cycle,hue", "--set", "hue.power=1", *SMALL, "--out", "run")
    assert done.returncode == 0, done.stderr
    record = json.loads((tmp_path / "run" / "run.json").read_text())
    (hue,) = (term for term in record["objective"] if term["term"] == "A2B/hue")
    assert (hue["distribution"], hue["version"], hue["weight"]) == ("lossbench-hue", "0.3", 0.5)
    assert hue["options"] == {"power": 1}
    assert len(hue["sha256"]) == 64


def test_a_strangers_recipe_edits_no_file_of_the_host(lossbench, tmp_path):
    done = lossbench(["lossbench-hue"], "run", "--recipe", "oneway", *SMALL, "--out", "run")
    assert done.returncode == 0, done.stderr
    record = json.loads((tmp_path / "run" / "run.json").read_text())
    assert [term["term"] for term in record["objective"]] == ["A2B/gan", "A2B/gan:D", "A2B/hue"]
    assert record["config"]["pool.size"] == 0
    assert record["config"]["gan.mode"] == "vanilla"
    assert record["parameters"].keys() == {"G_A2B", "D_A2B"}


def test_what_a_recipe_lacks_is_refused_at_the_start(lossbench):
    done = lossbench(["lossbench-hue"], "run", "--recipe", "oneway", "--plugins", "cycle", *SMALL)
    assert done.returncode == 2
    assert done.stderr == (
        "lossbench: cycle asks for `rec`, the round trip; recipe oneway has one direction, A2B, and no way back. "
        "Drop cycle, or use --recipe cyclegan.\n"
    )


def test_a_name_claimed_twice_is_an_error_only_when_it_is_asked_for(lossbench):
    asked = lossbench(["lossbench-clash"], "run", "--plugins", "cycle,tv", *SMALL)
    assert asked.returncode == 2
    assert asked.stderr.startswith("lossbench: `tv` is claimed by ")
    assert "lossbench-clash 1.0" in asked.stderr
    assert "lossbench 0" in asked.stderr
    assert lossbench(["lossbench-clash"], "run", "--plugins", "cycle", *SMALL).returncode == 0


def test_a_broken_plugin_hurts_only_who_asks_for_it(lossbench):
    asked = lossbench(["lossbench-broken"], "run", "--plugins", "broken", *SMALL)
    assert asked.returncode == 2
    assert asked.stderr == (
        "lossbench: broken of lossbench-broken 1.0 cannot be loaded: ModuleNotFoundError: "
        "No module named 'a_package_that_does_not_exist'.\n"
    )
    assert lossbench(["lossbench-broken"], "run", "--plugins", "cycle", *SMALL).returncode == 0


def test_plugins_lists_strangers_without_importing_them(lossbench):
    done = lossbench(["lossbench-broken", "lossbench-hue", "lossbench-clash"], "plugins")
    assert done.returncode == 0, done.stderr
    for sentence in (
        "Broken: this module cannot be imported.",
        "Hue: the mean colour",
        "One way: a translation",
        "Counter:",
    ):
        assert sentence in done.stdout
    assert done.stdout.count("claimed twice") == 2


def test_a_strangers_observer_is_found_by_name_and_has_options(installed, monkeypatch, tmp_path):
    monkeypatch.syspath_prepend(installed["lossbench-hue"])
    run = train("cycle", observers=["counter"], settings=TINY | {"counter.every": 2}, out=tmp_path / "run")
    assert importlib.import_module("lossbench_hue_counter").steps == [2, 4]
    assert run.record["observers"] == [
        {"observer": "counter", "source": "lossbench_hue_counter", "distribution": "lossbench-hue", "version": "0.3", "status": "ok", "error": None}
    ]  # fmt: skip
