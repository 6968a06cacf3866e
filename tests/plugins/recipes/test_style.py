"""Style transfer in one pass: what it wants, what it does without, and a run from end to end."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from lossbench import RunError, hookimpl, train
from lossbench.prepare import prepare
from lossbench.registry import load
from tests.conftest import write_images
from tests.plugins.test_backbones import shrink

RECIPE = load("recipes", "style").spec
SMALL = {"data.size": 48, "data.load_size": 48, "train.steps": 2, "train.every": 1, "train.batch": 2, "model.ngf": 4}


@pytest.fixture
def painting(tmp_path) -> Path:
    """Return the file of a style."""
    path = tmp_path / "painting.png"
    cv2.imwrite(str(path), np.random.default_rng(0).integers(0, 256, (40, 48, 3), np.uint8))
    return path


@pytest.fixture
def narrow(monkeypatch):
    """Give the losses small networks."""
    shrink(monkeypatch)


def given(painting: Path, **more) -> dict[str, object]:
    return {"recipe": "style", "settings": SMALL | {"style.image": str(painting)} | more}


# What it is -----------------------------------------------------------------------------------------------------------


def test_it_goes_one_way_without_targets_or_adversary():
    assert (RECIPE.directions, RECIPE.targets, RECIPE.paired, RECIPE.conditional) == (("A2B",), False, False, False)
    assert (RECIPE.losses, RECIPE.adversary, RECIPE.noise_at_test) == (("content", "style", "tv"), None, False)


@pytest.mark.usefixtures("narrow")
def test_a_run_has_the_papers_optimiser_and_its_own_weights(painting):
    settings = {"data.size": 48, "data.load_size": 48, "style.image": str(painting)}
    found = prepare(recipe="style", settings=settings).config.everything()
    expected = {
        "content.weight": 1.0, "style.weight": 1.5e4, "tv.weight": 1.0, "train.lr": 1e-3, "train.beta1": 0.9,
        "train.beta2": 0.999, "train.constant": 1.0, "train.batch": 4, "model.ngf": 32, "model.padding": "start",
        "data.flip": False, "train.steps": 300,
    }  # fmt: skip
    assert {key: found[key] for key in expected} == expected


@pytest.mark.usefixtures("narrow")
def test_there_is_no_discriminator_and_the_learning_rate_does_not_fall(painting):
    run = prepare(**given(painting))
    assert set(run.networks.named()) == {"G_A2B"}
    assert {bound.label for bound in run.objective.terms} == {"A2B/content", "A2B/style", "A2B/tv"}
    assert [run.trainer.learning_rate(step) for step in (1, 2)] == [1e-3, 1e-3]


@pytest.mark.usefixtures("narrow")
def test_without_a_style_that_is_said_before_anything_is_written(lossbench, tmp_path):
    code, out, err = lossbench("run", "--recipe", "style", "--size", 48)
    assert (code, out) == (2, "")
    assert err == (
        "lossbench: style asks for `target`, a batch of target-domain images; recipe style has no images of a target "
        "domain. Drop style, or use --recipe cyclegan. It may stand here with --set style.image=FILE.\n"
    )
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("narrow")
@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--direction", "BtoA"), "data.direction=B2A: recipe style has A2B alone. Leave it out.\n"),
        (("--size", 40), "data.size=40: these networks cannot take such images ("),
        (("--plugins", "cycle"), "cycle asks for `rec`, the round trip; recipe style has one direction, A2B, and no "),
        (("--plugins", "l1"), "l1 asks for `truth`, what the translation should be; recipe style is unpaired, "),
    ],
)
def test_what_it_cannot_do_is_refused_in_one_line(lossbench, painting, tmp_path, words, said):
    if "--plugins" not in words:
        words += ("--set", f"style.image={painting}")
    code, out, err = lossbench("run", "--recipe", "style", "--size", 48, *words)
    assert (code, out) == (2, "")
    assert err.startswith(f"lossbench: {said}")
    assert err.count("\n") == 1
    assert list(tmp_path.iterdir()) == [painting]


# From end to end ------------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("plain_pictures")
def test_two_steps_on_the_built_in_shapes_with_the_real_network(lossbench, real_weights, painting, tmp_path):
    real_weights("vgg16")
    words = ("--size", 48, "--steps", 2, "--batch", 1, "--set", "model.ngf=4", "--set", f"style.image={painting}")
    code, _, err = lossbench("run", "--recipe", "style", *words, "--out", "run")
    assert (code, err) == (0, "")
    record = json.loads((tmp_path / "run" / "run.json").read_text("utf-8"))
    assert (record["status"], record["dataset"]["name"]) == ("ok", "shapes")
    assert {path.name for path in (tmp_path / "run" / "samples").iterdir()} == {"A2B_000001.png", "A2B_000002.png"}
    assert [path.name for path in (tmp_path / "run" / "weights").iterdir()] == ["G_A2B.safetensors"]
    log = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text("utf-8").splitlines()]
    values = [value for line in log for value in line["raw"].items()]
    assert {label for label, _ in values} == {
        "A2B/content/relu3_3", "A2B/tv",
        "A2B/style/relu1_2", "A2B/style/relu2_2", "A2B/style/relu3_3", "A2B/style/relu4_3",
    }  # fmt: skip
    assert 1 < dict(values)["A2B/content/relu3_3"] < 100
    assert all(0 < value < 100 for _, value in values)


def folder(place: Path, *sides: str) -> Path:
    """Write four images of 64 px into each side; in each the right half is black."""
    draw = np.random.default_rng(0)
    for side in sides:
        (place / side).mkdir(parents=True)
        for n in range(4):
            image = draw.integers(128, 256, (64, 64, 3), np.uint8)
            image[:, 32:] = 0
            cv2.imwrite(str(place / side / f"{n}.png"), image)
    return place


@pytest.mark.usefixtures("narrow", "plain_pictures")
@pytest.mark.parametrize("sides", [("train", "test"), ("trainA", "testA"), ("trainA", "testA", "trainB", "testB")])
def test_folders_of_one_domain_do(painting, tmp_path, sides):
    run = train(data=folder(tmp_path / "images", *sides), out=tmp_path / "run", **given(painting))
    assert run.record["status"] == "ok"
    assert run.record["dataset"]["n"] == {"trainA": 4, "testA": 4}
    assert set(run.dataset.train) == set(run.dataset.test) == set(run.trainer.batches[0]) == {"A"}
    assert (run.dataset.train["A"][..., 28:] < 32).all()  # whole images, not left halves of pairs
    assert (tmp_path / "run" / "samples" / "A2B_000002.png").is_file()


@pytest.mark.usefixtures("narrow", "plain_pictures")
def test_the_command_line_takes_a_folder_of_one_domain(lossbench, painting, tmp_path):
    words = ("--steps", 1, "--batch", 1, "--set", "model.ngf=4", "--set", f"style.image={painting}")
    data = folder(tmp_path / "images", "train", "test")
    code, out, err = lossbench("run", "--recipe", "style", "--data", data, *words, "--out", "run")
    assert (code, err) == (0, "")
    assert "images: 4 images at 64 px" in " ".join(out.split())


class StopAfter:
    """Stops a run after its first step, as a signal would."""

    @hookimpl
    def lossbench_step(self, step) -> None:
        raise KeyboardInterrupt


@pytest.fixture
def stopped(narrow, plain_pictures, painting, tmp_path) -> Path:
    """Return the directory of a run of two steps that was stopped after one."""
    data = write_images(tmp_path / "images")
    with pytest.raises(KeyboardInterrupt):
        train(data=data, out=tmp_path / "run", observers=[StopAfter()], **given(painting))
    return tmp_path / "run"


def test_a_run_that_was_stopped_goes_on_to_the_same_bits(stopped, painting, tmp_path):
    whole = train(data=tmp_path / "images", out=tmp_path / "whole", **given(painting))
    resumed = train(resume=stopped)
    pairs = zip(whole.networks.G["A2B"].parameters(), resumed.networks.G["A2B"].parameters(), strict=True)
    assert all(torch.equal(one, other) for one, other in pairs)
    assert (tmp_path / "whole" / "metrics.jsonl").read_text() == (stopped / "metrics.jsonl").read_text()


def test_a_run_does_not_go_on_with_another_style(stopped, painting, tmp_path):
    before, kept = hashlib.sha256(painting.read_bytes()).hexdigest(), shutil.copy(painting, tmp_path / "kept.png")
    cv2.imwrite(str(painting), np.zeros((40, 48, 3), np.uint8))
    now = hashlib.sha256(painting.read_bytes()).hexdigest()
    with pytest.raises(RunError) as error:
        train(resume=stopped)
    assert f"A2B/style.files.image was {before[:8]}..., is {now[:8]}..." in str(error.value)
    assert "\n" not in str(error.value)
    shutil.move(kept, painting)
    assert train(resume=stopped).record["status"] == "ok"


def test_snapshots_hold_the_generator_and_no_pretrained_network(stopped):
    (snapshot,) = (stopped / "snapshots").iterdir()
    state = torch.load(snapshot, weights_only=True)
    numbers = sum(each.numel() for each in tensors(state))
    generator = sum(each.numel() for each in RECIPE.networks[0](3, ngf=4).parameters())
    assert 3 * generator <= numbers < 3.1 * generator  # it, and Adam's two moments


def tensors(state: object) -> Iterator[torch.Tensor]:
    """Yield every tensor of a nested state."""
    if isinstance(state, torch.Tensor):
        yield state
    elif isinstance(state, dict | list | tuple):
        for each in state.values() if isinstance(state, dict) else state:
            yield from tensors(each)
