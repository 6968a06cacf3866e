"""Strangers' distributions that misbehave: each says so in a line, loses nothing, and harms no run without it."""

from __future__ import annotations

import json
import re
from importlib.metadata import version
from pathlib import Path

import pytest
from safetensors.torch import save

from tests.conftest import TINY

pytestmark = pytest.mark.usefixtures("plain_pictures")
STRANGERS = sorted(folder.name for folder in Path(__file__).parent.glob("lossbench-*"))


@pytest.fixture
def run(stranger, lossbench, tmp_path):
    """Return a caller of a tiny run beside a stranger of its name: exit code and errors."""
    (tmp_path / "tiny.toml").write_text("".join(f"{key} = {json.dumps(value)}\n" for key, value in TINY.items()))

    def call(distribution, plugins, *words):
        stranger(distribution)
        code, _, err = lossbench("run", "--config", "tiny.toml", "--plugins", plugins, "--out", "run", *words)
        return code, err

    return call


@pytest.fixture
def weights(tiny):
    """Return a trainer of tiny runs with dropout: the bytes of their weights."""

    def trained(plugins="cycle", **settings):
        run = tiny(plugins, model__dropout=0.5, **settings)
        for step in (1, 2, 3):
            run.trainer.step(step)
        return {name: save(network.state_dict()) for name, network in run.networks.named().items()}

    return trained


@pytest.fixture
def alone(weights):
    """Return the weights of a run that no stranger is beside."""
    return weights()


def facts(folder):
    """Return status, steps done, and lines of the log of a run."""
    record = json.loads((folder / "run.json").read_text())
    return record["status"], record["steps_done"], len((folder / "metrics.jsonl").read_text().splitlines())


# Not asked for ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", STRANGERS)
def test_one_that_is_not_asked_for_changes_no_byte(alone, stranger, weights, name):
    stranger(name)
    assert weights() == alone


def test_draws_from_everybodys_random_states_change_nobody_elses(alone, stranger, weights):
    stranger("lossbench-dice")
    assert weights("cycle,dice", dice__weight=0) == alone
    assert weights("cycle,dice", dice__share=0) == alone
    assert weights("cycle,dice") == weights("cycle,dice") != alone


# Asked for --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("distribution", "name", "line"),
    [
        ("broken", "broken", "broken of lossbench-broken 1.0 cannot be loaded: ModuleNotFoundError: No module named 'a_package_that_does_not_exist'. Install it anew, with all it needs: pip install -U lossbench-broken"),
        ("broken", "dated", "dated of lossbench-broken 1.0 cannot be loaded: ImportError: cannot import name 'Nothing' from 'lossbench' (FILE). This is lossbench HERE. Install two that fit each other: pip install -U lossbench lossbench-broken"),
        ("future", "future", "future of lossbench-future 1.0 is made for lossbench>=99; this is HERE. Install two that fit each other: pip install -U lossbench lossbench-future"),
        ("clash", "tv", "`tv` is claimed by lossbench-clash 1.0 and lossbench HERE. Uninstall one of them: pip uninstall NAME."),
    ],
)  # fmt: skip
def test_one_that_cannot_be_loaded_is_one_line_and_nothing_is_begun(run, tmp_path, distribution, name, line):
    code, err = run(f"lossbench-{distribution}", f"cycle,{name}")
    said = re.sub(r"\(\S*__init__.py\)", "(FILE)", err).replace(version("lossbench"), "HERE")
    assert (code, said) == (2, f"lossbench: {line}\n")
    assert not (tmp_path / "run").exists()


def test_one_that_raises_at_step_7_keeps_six(run, tmp_path):
    code, err = run("lossbench-stumble", "cycle,stumble", "--steps", "8")
    assert (code, err) == (
        2,
        "lossbench: A2B/stumble (stumble of lossbench-stumble 1.0) failed at step 7: ValueError: the lace is undone. "
        f"Show its author, or do without it. Traceback: {Path('run', 'traceback.txt')}\n",
    )
    assert facts(tmp_path / "run") == ("failed", 6, 6)
    assert max((tmp_path / "run" / "snapshots").iterdir()).name.startswith("00000006")
    assert len(list((tmp_path / "run" / "weights").iterdir())) == 4


def test_one_that_gives_nan_ends_the_run_with_a_bundle(run, lossbench, tmp_path):
    code, err = run("lossbench-nan", "cycle,nan")
    assert (code, err) == (
        3,
        "lossbench: Step 4: the value of A2B/nan (nan of lossbench-nan 1.0) is not finite. The translation is finite: "
        "look for a division, a root or a logarithm in it. "
        f"Look at that step: lossbench replay {Path('run', 'bundle-000004.pt')}\n",
    )
    assert facts(tmp_path / "run") == ("diverged", 3, 3)
    assert lossbench("replay", "run/bundle-000004.pt")[0] == 3


def test_one_that_changes_what_it_is_given_is_named(run, tmp_path):
    code, err = run("lossbench-scribble", "cycle,scribble")
    assert (code, err) == (
        2,
        "lossbench: A2B/scribble (scribble of lossbench-scribble 1.0) changed `fake` in place. "
        "Work on a copy: `fake.clone()`.\n",
    )
    assert facts(tmp_path / "run") == ("failed", 0, 0)


def test_check_names_one_that_draws_from_everybodys_random_states(stranger, lossbench):
    stranger("lossbench-dice")
    code, out, _ = lossbench("check", "dice")
    assert code == 1
    assert "A2B/dice draws from the global random state of torch." in " ".join(out.split())
