"""States on disk: whole, plain, and never code."""

from __future__ import annotations

import hashlib
import pickle
import shutil
from collections import Counter
from enum import IntEnum
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save
from torch import nn

from lossbench import PluginError, RunError, hookimpl
from lossbench.checkpoint import (
    check_finite,
    check_plain,
    intact,
    load_weights,
    read_state,
    save_snapshot,
    save_weights,
    snapshot_step,
    snapshots,
    write_state,
)
from lossbench.prepare import prepare
from lossbench.record import read_log
from lossbench.run import go, train


class Touch:
    """A pickle of it would make a file."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


def network(width=3):
    return nn.Sequential(nn.Conv2d(3, width, 3), nn.BatchNorm2d(width))


def bits(state):
    return {key: (tensor.dtype, tuple(tensor.shape), tensor.numpy().tobytes()) for key, tensor in state.items()}


# Weights ----------------------------------------------------------------------------------------------------------


def test_weights_come_back_bit_for_bit(tmp_path):
    one, other = network(), network()
    save_weights(tmp_path / "weights", {"G": one, "empty": nn.ReLU()})
    assert [path.name for path in (tmp_path / "weights").iterdir()] == ["G.safetensors"]
    load_weights(tmp_path / "weights" / "G.safetensors", other)
    assert bits(one.state_dict()) == bits(other.state_dict())


def with_value(value):
    state = network().state_dict()
    state["0.weight"][0, 0, 0, 0] = value
    return save(state)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, r"G\.safetensors is missing; the run has no weights for it\."),
        (b"", r"cannot be read as safetensors: "),
        (b"some text, not weights at all", r"cannot be read as safetensors: "),
        (save(network().state_dict())[:200], r"cannot be read as safetensors: "),
        (pickle.dumps(network().state_dict()), r"cannot be read as safetensors: "),
        (save(network(width=4).state_dict()), r"holds another network: size mismatch for "),
        (save({"0.weight": torch.zeros(3, 3, 3, 3)}), r"holds another network: Missing key"),
        (save(network().state_dict() | {"more": torch.zeros(1)}), r"holds another network: Unexpected key"),
        (with_value(torch.nan), r"0\.weight is not finite\. Use weights from before they diverged\."),
        (with_value(torch.inf), r"0\.weight is not finite\."),
        (with_value(-torch.inf), r"0\.weight is not finite\."),
    ],
)
def test_weights_that_are_none_are_one_line(tmp_path, content, message):
    path = tmp_path / "G.safetensors"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(RunError, match=message) as error:
        load_weights(path, network())
    assert str(path) in str(error.value)
    assert "\n" not in str(error.value)


def test_weights_in_a_place_that_is_a_folder_are_one_line(tmp_path):
    with pytest.raises(RunError, match="cannot be read as safetensors"):
        load_weights(tmp_path, network())


@pytest.mark.parametrize("dump", [pickle.dump, torch.save])
def test_weights_that_would_run_code_do_not(tmp_path, dump):
    path = tmp_path / "G.safetensors"
    with path.open("wb") as file:
        dump({"0.weight": Touch(tmp_path / "touched")}, file)
    with pytest.raises(RunError, match="cannot be read as safetensors"):
        load_weights(path, network())
    assert not (tmp_path / "touched").exists()


def test_values_that_are_not_finite_are_found_however_deep():
    states = {"optimisers": [{"state": {0: {"step": torch.tensor(1.0), "exp_avg": torch.tensor([0.0, torch.nan])}}}]}
    with pytest.raises(RunError, match=r"^x\.pt: optimisers\.0\.state\.0\.exp_avg is not finite"):
        check_finite(Path("x.pt"), states)
    check_finite(Path("x.pt"), {"count": torch.tensor([2**62]), "text": "nan", "plain": [1, None, 2.5]})


# Snapshots --------------------------------------------------------------------------------------------------------


def test_snapshots_are_named_by_step_and_hash_and_the_newest_kept(tmp_path):
    for step in (2, 4, 10, 100):
        save_snapshot(tmp_path / "snapshots", {"step": step, "x": torch.full((3,), float(step))}, keep=3)
    paths = snapshots(tmp_path / "snapshots")
    assert [snapshot_step(path) for path in paths] == [100, 10, 4]
    assert set(paths) == set((tmp_path / "snapshots").iterdir())
    for path in paths:
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        assert path.name == f"{snapshot_step(path):08}-{digest[:16]}.pt"
        assert intact(path)
        assert read_state(path)["x"].tolist() == [snapshot_step(path)] * 3


def test_equal_states_are_equal_files(tmp_path):
    for _ in range(2):
        save_snapshot(tmp_path / "snapshots", {"step": 1, "x": torch.ones(3)}, keep=2)
    assert len(list((tmp_path / "snapshots").iterdir())) == 1


@pytest.mark.parametrize("place", [0, 100, -1])
def test_one_flipped_bit_is_noticed(tmp_path, place):
    save_snapshot(tmp_path, {"step": 1, "x": torch.ones(3)}, keep=1)
    (path,) = snapshots(tmp_path)
    content = bytearray(path.read_bytes())
    content[place] ^= 1
    path.write_bytes(content)
    assert not intact(path)


def test_what_is_no_snapshot_is_none(tmp_path):
    for name in ("1.pt", "00000001.pt", "00000001-xyz.pt", f".{1:08}-{'0' * 16}.pt", f"{1:08}-{'0' * 16}.pt.part"):
        (tmp_path / name).touch()
    assert snapshots(tmp_path) == []
    assert snapshots(tmp_path / "nowhere") == []
    assert not intact(tmp_path / f"{1:08}-{'0' * 16}.pt")


class Stop:
    """An observer that stops a run after its second step."""

    @hookimpl
    def lossbench_step(self, step):
        if step == 2:
            raise KeyboardInterrupt


SMALL = {
    "data.size": 16, "data.load_size": 16, "train.steps": 4, "train.every": 4, "pool.size": 2,
    "model.generator": "resnet_1blocks", "model.ngf": 4, "model.ndf": 4, "model.n_layers": 1,
}  # fmt: skip


@pytest.fixture(scope="module", autouse=True)
def _nothing_to_look_at():
    """What a run shows is slow, and no part of a state."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("lossbench.run.samples", lambda run, step: None)
        patch.setattr("lossbench.run.loss_curves", lambda path, log: None)
        patch.setattr("lossbench.run.closing", lambda run: {})
        yield


@pytest.fixture(scope="module")
def _stopped(tmp_path_factory):
    folder = tmp_path_factory.mktemp("stopped")
    with pytest.raises(KeyboardInterrupt):
        go(prepare("cycle", settings=SMALL), folder / "run", [Stop()])
    return folder / "run"


@pytest.fixture
def stopped(_stopped, tmp_path):
    """Return a run that was stopped after its second step of four."""
    return Path(shutil.copytree(_stopped, tmp_path / "run"))


def replace_newest(run, state):
    """Put a file in the place of the newest snapshot, under a name that fits it."""
    (newest,) = snapshots(run / "snapshots")
    newest.unlink()
    path = write_state(newest.with_name("00000002.pt"), state, stamp=True)
    assert intact(path)
    return path


def test_a_snapshot_that_would_run_code_is_not_opened(stopped, tmp_path):
    path = replace_newest(stopped, {"step": 2, "networks": Touch(tmp_path / "touched")})
    before = (stopped / "metrics.jsonl").read_bytes()
    with pytest.raises(RunError) as error:
        train(resume=stopped)
    assert str(error.value) == f"{path} holds code, not only tensors and plain values. It was not opened."
    assert not (tmp_path / "touched").exists()
    assert (stopped / "metrics.jsonl").read_bytes() == before


def change(state, *keys, value):
    for key in keys[:-1]:
        state = state[key]
    state[keys[-1]] = value


NAN = torch.full((4, 3, 7, 7), torch.nan)


@pytest.mark.parametrize(
    ("keys", "value", "message"),
    [
        (["networks"], {}, "does not fit this run"),
        (["networks"], None, "does not fit this run"),
        (["networks", "G_A2B"], {}, "does not fit this run: Missing key"),
        (["networks", "G_B2C"], {}, "does not fit this run: 'G_B2C'"),
        (["networks", "G_A2B", "layers.1.weight"], torch.zeros(2), "does not fit this run: size mismatch"),
        (["networks", "G_A2B", "layers.1.weight"], NAN, "layers.1.weight is not finite"),
        (["optimisers"], [], "does not fit this run"),
        (["optimisers", 0, 0], {}, "does not fit this run"),
        (["optimisers", 0, 999], {}, "does not fit this run"),
        (["pools"], None, "does not fit this run"),
        (["pools", "A2B"], [1], "does not fit this run"),
        (["checked"], None, "does not fit this run"),
        (["step"], "two", "does not fit this run"),
    ],
)  # fmt: skip
def test_a_snapshot_of_another_run_is_one_line(stopped, keys, value, message):
    (newest,) = snapshots(stopped / "snapshots")
    state = read_state(newest)
    change(state, *keys, value=value)
    path = replace_newest(stopped, state)
    with pytest.raises(RunError) as error:
        train(resume=stopped)
    assert str(error.value).startswith(str(path))
    assert message in str(error.value)
    assert "\n" not in str(error.value)


# Plain states -----------------------------------------------------------------------------------------------------


class Counting(nn.Module):
    """A loss with a state beside its tensors."""

    def __init__(self, kept):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(()))
        self.kept = kept

    def forward(self, fake):
        return (self.scale * fake).square().mean()

    def get_extra_state(self):
        return self.kept

    def set_extra_state(self, state):
        self.kept = state


class Level(IntEnum):
    LOW = 1


class Word(str):
    pass


@pytest.mark.parametrize(
    "kept",
    [
        Fraction(1, 3), {1, 2}, Counter("aab"), b"bytes", 1j, np.ones(2), {"deep": [0, (1, {2})]},
        np.float64(0.5), Level.LOW, Word("word"), {"deep": [np.float64(0.5)]}, {Level.LOW: 1},
    ],
    ids=repr,
)  # fmt: skip
def test_a_state_that_no_snapshot_can_hold_is_refused_before_the_run(tmp_path, kept):
    run = prepare("cycle", losses={"count": (Counting(kept), 0.1)}, settings=SMALL)
    with pytest.raises(PluginError) as error:
        go(run, tmp_path / "run")
    assert str(error.value).startswith("modules.A2B/count._extra_state")
    assert "which no snapshot can hold. Keep tensors (register_buffer), numbers or text in a loss's state." in str(
        error.value
    )
    assert "\n" not in str(error.value)
    assert not (tmp_path / "run").exists()


PLAIN = [
    {"seen": 3, "mean": 0.5, "name": "x", "on": True, "none": None},
    [1, (2, 3.5), {"deep": [torch.arange(3)]}],
    {1: "a", 2.5: "b", None: "c"},
    2**80,
    "",
]


@pytest.mark.parametrize("kept", PLAIN, ids=repr)
def test_what_passes_the_check_can_be_read_again(tmp_path, kept):
    check_plain({"kept": kept})
    path = write_state(tmp_path / "x.pt", {"kept": kept})
    assert repr(read_state(path)["kept"]) == repr(kept)


def test_a_state_of_numbers_survives_a_resume(tmp_path):
    class Adding(Counting):
        def forward(self, fake):
            if self.training:
                self.kept = {"seen": self.kept["seen"] + 1}
            return super().forward(fake) * self.kept["seen"]

    def adding():
        return {"add": (Adding({"seen": 0}), 0.1)}

    go(prepare("cycle", losses=adding(), settings=SMALL), tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        go(prepare("cycle", losses=adding(), settings=SMALL), tmp_path / "run", [Stop()])
    losses = adding()
    run = train(resume=tmp_path / "run", losses=losses)
    assert run.record["resumed"][0]["from_step"] == 2
    assert losses["add"][0].kept == {"seen": 8}  # both directions, four steps
    assert read_log(tmp_path / "run" / "metrics.jsonl") == read_log(tmp_path / "whole" / "metrics.jsonl")
