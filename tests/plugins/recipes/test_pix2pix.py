"""pix2pix: its rows of losses against the paper written out, pairs, directions, its networks, what a run records."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image as Pillow

import lossbench
from lossbench.errors import OptionError, Unfit
from lossbench.prepare import prepare
from lossbench.registry import load

SMALL = {"data.dir": "shapes", "data.size": 32, "data.load_size": 36, "model.ngf": 4, "model.ndf": 4}
FLOAT64 = SMALL | {"train.precision": "float64", "train.batch": 2, "model.dropout": 0.0, "train.steps": 4}
TINY = {"data.size": 16, "model.ngf": 4, "model.ndf": 4, "model.n_layers": 1}
ROWS = {
    "L1": {"gan.weight": 0},
    "L2": {"gan.weight": 0, "l1.power": 2},
    "GAN": {"l1.weight": 0, "train.conditional": False},
    "cGAN": {"l1.weight": 0},
    "L1+GAN": {"train.conditional": False},
    "L1+cGAN": {},
}


def run_of(settings, **changed):
    return prepare(recipe="pix2pix", settings=SMALL | settings | {k.replace("__", "."): v for k, v in changed.items()})


@pytest.fixture
def pairs(tmp_path):
    """Write pairs side by side, 24 px: a picture left, its negative right."""
    draw = np.random.default_rng(0)
    for phase, count in (("train", 6), ("test", 3), ("val", 2)):
        (tmp_path / "pairs" / phase).mkdir(parents=True)
        for n in range(count):
            left = draw.integers(0, 256, (24, 24, 3), np.uint8)
            Pillow.fromarray(np.hstack([left, 255 - left])).save(tmp_path / "pairs" / phase / f"{n}.png")
    return tmp_path / "pairs"


# The objective, as the paper has it -----------------------------------------------------------------------------------


def entropy(answer, truth: float):
    return F.binary_cross_entropy_with_logits(answer, torch.full_like(answer, truth))


def plain(row: str, G, D, x, y):
    """Return what the generator and the discriminator of a row minimise (Isola et al., 2017, section 3.1 and 4.1)."""
    fake = G(x)
    see = (lambda image: torch.cat([x, image], 1)) if "cGAN" in row else (lambda image: image)
    total = fake.new_zeros(())
    if "L1" in row:
        total = total + 100 * (y - fake).abs().mean()
    if "L2" in row:
        total = total + 100 * (y - fake).square().mean()
    if "GAN" not in row:
        return total, None
    judge = (entropy(D(see(y)), 1.0) + entropy(D(see(fake.detach())), 0.0)) / 2
    return total + entropy(D(see(fake)), 1.0), judge


@pytest.mark.parametrize("row", ROWS)
@pytest.mark.parametrize("direction", ["A2B", "B2A"])
def test_a_row_of_the_papers_table_is_what_its_command_minimises(row, direction):
    run = run_of(FLOAT64 | ROWS[row], data__direction=direction)
    trainer, G, D = run.trainer, run.networks.G[direction], run.networks.D.get(direction)
    assert (D is not None) == ("GAN" in row)
    x, y = (trainer.batch(1)[domain] for domain in direction.split("2"))
    trainer.gradients(1, run.objective.active(1, 0.0))
    ours = [[p.grad.clone() for p in network.parameters()] for network in (G, D) if network is not None]
    for network in (G, D) if D is not None else (G,):
        network.zero_grad(set_to_none=True)
    objective, judge = plain(row, G, D, x, y)
    theirs = [torch.autograd.grad(objective, list(G.parameters()))]
    theirs += [torch.autograd.grad(judge, list(D.parameters()))] if judge is not None else []
    torch.testing.assert_close(ours, [list(some) for some in theirs], rtol=1e-9, atol=1e-12)


def test_what_is_not_asked_for_is_as_the_paper_has_it():
    config = prepare(recipe="pix2pix", settings={"data.size": 64}).config.everything()
    assert config["gan.mode"] == "vanilla"
    assert (config["l1.weight"], config["l1.power"], config["gan.weight"]) == (100.0, 1, 1.0)
    assert config["pool.size"] == 0
    assert (config["model.generator"], config["model.norm"], config["model.dropout"]) == ("unet_64", "batch", 0.5)
    assert (config["model.discriminator"], config["model.n_layers"], config["model.skips"]) == ("n_layers", 3, True)
    assert config["train.conditional"] is True
    assert config["data.direction"] == "A2B"


@pytest.mark.parametrize(("size", "depth"), [(64, 64), (96, 64), (128, 128), (200, 128), (256, 256), (512, 256)])
def test_the_u_net_is_as_deep_as_the_size_allows(size, depth):
    assert load("recipes", "pix2pix").spec.defaults(size)["model.generator"] == f"unet_{depth}"


def test_a_size_that_the_u_net_cannot_halve_is_refused():
    with pytest.raises(OptionError, match=r"data.size=96: this generator takes multiples of 64 px. Use --size 128."):
        run_of({"data.size": 96, "data.load_size": 96})


# Pairs ----------------------------------------------------------------------------------------------------------------


def test_both_halves_of_a_pair_are_cut_and_mirrored_alike(pairs):
    run = prepare(recipe="pix2pix", data=pairs, settings=TINY | {"data.load_size": 24, "train.batch": 3})
    seen = [run.trainer.batch(step) for step in range(1, 9)]
    assert all(torch.allclose(batch["A"], -batch["B"], atol=1e-6) for batch in seen)
    assert len({batch["A"].sum().item() for batch in seen}) == 8  # and not always the same ones


def test_the_side_to_test_on_can_be_another(pairs):
    counts = [
        len(prepare(recipe="pix2pix", data=pairs, settings=TINY | {"data.test": test}).dataset.test["A"])
        for test in ("test", "val")
    ]
    assert counts == [3, 2]


def test_pairs_side_by_side_serve_recipes_for_unpaired_images_too(pairs):
    run = prepare(data=pairs, settings=TINY)
    assert run.dataset.paired_test
    assert not torch.allclose(run.trainer.batch(1)["A"], -run.trainer.batch(1)["B"], atol=0.1)


def test_the_built_in_shapes_are_pairs():
    images = run_of({}).dataset.train
    red, orange = (images[domain].float().mean((0, 2, 3)) for domain in "AB")
    inside = [
        (some - some[:, :, :2, :2].float().mean((2, 3), keepdim=True)).abs().sum(1) > 60 for some in images.values()
    ]
    assert (inside[0] & inside[1]).sum() / (inside[0] | inside[1]).sum() > 0.8  # disc on disc
    assert (red - orange).abs().max() > 20


# Directions -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("word", "direction"), [("BtoA", "B2A"), ("B2A", "B2A"), ("AtoB", "A2B")])
def test_a_direction_goes_by_either_spelling(word, direction):
    run = run_of({}, data__direction=word)
    assert list(run.networks.G) == [direction]
    assert run.config.dotted()["data.direction"] == direction


def test_a_run_the_other_way_is_recorded_resumed_and_judged_that_way(tmp_path, plain_pictures):
    settings = SMALL | {"train.steps": 2, "train.every": 2, "data.direction": "BtoA"}
    lossbench.train(recipe="pix2pix", settings=settings, out=tmp_path / "run")
    record = json.loads((tmp_path / "run" / "run.json").read_text())
    assert list(record["metrics"]) == ["B2A"]
    assert {term["term"] for term in record["objective"]} == {"B2A/gan", "B2A/gan:D", "B2A/l1"}
    assert (tmp_path / "run" / "weights" / "G_B2A.safetensors").is_file()
    again = lossbench.train(resume=tmp_path / "run", settings={"train.steps": 3})
    assert list(again.networks.G) == ["B2A"]
    assert again.trainer.done == 3


def test_cyclegan_has_both_directions_already():
    with pytest.raises(OptionError, match=r"data.direction=B2A: recipe cyclegan has both directions. Leave it out."):
        prepare(settings=SMALL | {"data.direction": "BtoA"})


# What it cannot do ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("plugins", "line"),
    [
        ("cycle", "cycle asks for `rec`, the round trip; recipe pix2pix has one direction, A2B, and no way back"),
        ("l1", "l1 asks for `truth`, what the translation should be; recipe cyclegan is unpaired, so nothing says"),
    ],
)
def test_a_loss_that_asks_for_what_is_not_there_is_refused(plugins, line):
    with pytest.raises(Unfit, match=line):
        prepare(plugins, recipe="pix2pix" if plugins == "cycle" else None, settings=SMALL)


def test_unpaired_folders_are_refused(tmp_path):
    for side, names in {"trainA": "ab", "trainB": "bc", "testA": "x", "testB": "x"}.items():
        (tmp_path / side).mkdir()
        for name in names:
            Pillow.new("RGB", (16, 16)).save(tmp_path / side / f"{name}.png")
    with pytest.raises(lossbench.DataError) as error:
        prepare(recipe="pix2pix", data=tmp_path)
    assert str(error.value) == (
        "Pairs: 2 train images have no partner of the same name, such as a. Give trainA and trainB the same file "
        "names, or train with a recipe for unpaired images: --recipe cyclegan."
    )


# Noise ----------------------------------------------------------------------------------------------------------------


def test_dropout_is_the_noise_and_a_seed_repeats_it(tmp_path, plain_pictures):
    def metrics(name: str, seed: int) -> float:
        settings = SMALL | {
            "data.size": 64,
            "data.load_size": 64,
            "train.steps": 1,
            "train.seed": seed,
            "model.init": "xavier",
        }
        run = lossbench.train(recipe="pix2pix", settings=settings, out=tmp_path / name)
        return run.record["metrics"]["A2B"]["translation"]["l1"]["value"]

    assert metrics("a", 0) == metrics("b", 0) != metrics("c", 1)
