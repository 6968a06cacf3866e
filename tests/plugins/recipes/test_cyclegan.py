"""CycleGAN: presets by formula, and one step's objective against the reference written out."""

from __future__ import annotations

from functools import cache

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from lossbench import OptionError
from lossbench.prepare import Run, prepare
from lossbench.registry import load
from tests.conftest import one_step

SMALL = {"data.dir": "shapes", "data.size": 32, "data.load_size": 36, "model.ngf": 4, "model.ndf": 4}
FLOAT64 = {"train.precision": "float64", "train.batch": 2, "model.generator": "resnet_1blocks"}
LAMBDAS = {"junyanz.lambda_A": 7.0, "junyanz.lambda_B": 11.0, "junyanz.lambda_idt": 0.3}
RECIPE = load("recipes", "cyclegan").spec


def gradients(networks) -> list[Tensor]:
    found = [parameter.grad.clone() for network in networks.values() for parameter in network.parameters()]
    for network in networks.values():
        network.zero_grad(set_to_none=True)
    return found


def batch(run: Run) -> tuple[Tensor, Tensor]:
    return tuple(run.trainer.batches[0][domain].double() for domain in "AB")


# The objective of each reference, as its own code has it --------------------------------------------------------------


def mse(answer: Tensor, truth: float) -> Tensor:
    return F.mse_loss(answer, torch.full_like(answer, truth))


def translations(run: Run) -> dict[str, Tensor]:
    """In the names of pytorch-CycleGAN-and-pix2pix: G_A makes B from A, D_A judges images of B."""
    (real_A, real_B), G = batch(run), run.networks.G
    fake_B, fake_A = G["A2B"](real_A), G["B2A"](real_B)
    return {
        "real_A": real_A, "real_B": real_B, "fake_A": fake_A, "fake_B": fake_B,
        "rec_A": G["B2A"](fake_B), "rec_B": G["A2B"](fake_A), "idt_A": G["A2B"](real_B), "idt_B": G["B2A"](real_A),
    }  # fmt: skip


def junyanz(run: Run, lambda_A: float, lambda_B: float, lambda_idt: float) -> Tensor:
    """``backward_G`` of pytorch-CycleGAN-and-pix2pix."""
    t, D_A, D_B = translations(run), run.networks.D["A2B"], run.networks.D["B2A"]
    loss_G_A, loss_G_B = mse(D_A(t["fake_B"]), 1.0), mse(D_B(t["fake_A"]), 1.0)
    loss_cycle_A = F.l1_loss(t["rec_A"], t["real_A"]) * lambda_A
    loss_cycle_B = F.l1_loss(t["rec_B"], t["real_B"]) * lambda_B
    loss_idt_A = F.l1_loss(t["idt_A"], t["real_B"]) * lambda_B * lambda_idt
    loss_idt_B = F.l1_loss(t["idt_B"], t["real_A"]) * lambda_A * lambda_idt
    return loss_G_A + loss_G_B + loss_cycle_A + loss_cycle_B + loss_idt_A + loss_idt_B


def mmagic(run: Run, cycle: float, idt: float) -> Tensor:
    """The generators' losses of mmagic's CycleGAN: the identity has a weight of its own."""
    t, D = translations(run), run.networks.D
    adversarial = mse(D["A2B"](t["fake_B"]), 1.0) + mse(D["B2A"](t["fake_A"]), 1.0)
    cycles = F.l1_loss(t["rec_A"], t["real_A"]) + F.l1_loss(t["rec_B"], t["real_B"])
    identities = F.l1_loss(t["idt_A"], t["real_B"]) + F.l1_loss(t["idt_B"], t["real_A"])
    return adversarial + cycle * cycles + idt * identities


def discriminators(run: Run) -> Tensor:
    """``backward_D_basic`` of pytorch-CycleGAN-and-pix2pix, both; at first the pool gives back what comes in."""
    t, D_A, D_B = translations(run), run.networks.D["A2B"], run.networks.D["B2A"]
    loss_D_A = (mse(D_A(t["real_B"]), 1.0) + mse(D_A(t["fake_B"].detach()), 0.0)) * 0.5
    loss_D_B = (mse(D_B(t["real_A"]), 1.0) + mse(D_B(t["fake_A"].detach()), 0.0)) * 0.5
    return loss_D_A + loss_D_B


CASES = [
    ("junyanz", LAMBDAS, lambda run: junyanz(run, 7.0, 11.0, 0.3)),
    ("junyanz", {}, lambda run: junyanz(run, 10.0, 10.0, 0.5)),
    ("mmagic", {"mmagic.cycle": 8.0, "mmagic.idt": 0.7}, lambda run: mmagic(run, 8.0, 0.7)),
    ("mmagic", {}, lambda run: mmagic(run, 10.0, 0.5)),
    (None, {}, lambda run: junyanz(run, 10.0, 10.0, 0.5)),  # lossbench's own defaults are the paper's
]


@pytest.mark.parametrize(("preset", "settings", "reference"), CASES)
def test_one_steps_objective_and_gradients_are_the_references(preset, settings, reference):
    run = prepare(preset=preset, settings=SMALL | FLOAT64 | settings)
    terms = one_step(run)
    ours = gradients(run.networks.G)
    expected = reference(run)
    total = sum(value for label, value in terms.items() if ":D" not in label)
    torch.testing.assert_close(total, expected.detach(), rtol=1e-12, atol=0)
    expected.backward()
    torch.testing.assert_close(ours, gradients(run.networks.G), rtol=1e-8, atol=1e-12)


def test_one_steps_discriminators_are_the_references():
    run = prepare(preset="junyanz", settings=SMALL | FLOAT64 | LAMBDAS)
    terms = one_step(run)
    ours = gradients(run.networks.D)
    expected = discriminators(run)
    torch.testing.assert_close(terms["A2B/gan:D"] + terms["B2A/gan:D"], expected.detach(), rtol=1e-12, atol=0)
    expected.backward()
    torch.testing.assert_close(ours, gradients(run.networks.D), rtol=1e-8, atol=1e-12)


# Weights --------------------------------------------------------------------------------------------------------------


@cache
def weights(
    preset: str | None, settings: tuple[tuple[str, float], ...] = (), plugins: str | None = None
) -> dict[str, float]:
    run = prepare(plugins, preset=preset, settings=SMALL | dict(settings))
    return {bound.label: bound.factor_at(0.0) for bound in run.objective.terms}


def test_the_identity_of_a_direction_is_multiplied_by_the_lambda_of_its_target():
    found = weights("junyanz", tuple(LAMBDAS.items()))
    assert found == {
        "A2B/gan": 1, "B2A/gan": 1, "A2B/gan:D": 1, "B2A/gan:D": 1, "A2B/cycle": 7, "B2A/cycle": 11,
        "A2B/idt": pytest.approx(11 * 0.3), "B2A/idt": pytest.approx(7 * 0.3),
    }  # fmt: skip


def test_the_identity_of_mmagic_is_not_multiplied_by_the_weight_of_the_cycle():
    found = weights("mmagic", (("mmagic.cycle", 8.0), ("mmagic.idt", 0.7)))
    assert (found["A2B/gan"], found["B2A/gan"]) == (1, 1)
    assert (found["A2B/cycle"], found["B2A/cycle"], found["A2B/idt"], found["B2A/idt"]) == (8, 8, 0.7, 0.7)


def test_without_a_preset_the_weights_are_those_of_the_paper():
    found = weights(None)
    assert [found[f"A2B/{name}"] for name in ("gan", "cycle", "idt")] == [1, 10, 5]
    assert found == weights("junyanz")


def test_a_weight_of_the_user_is_stronger_than_the_presets():
    found = weights("junyanz", (("cycle.weight.A2B", 3.0),))
    assert (found["A2B/cycle"], found["B2A/cycle"]) == (3, 10)


def test_a_preset_weighs_only_what_is_chosen():
    found = weights("junyanz", (), "cycle,tv")
    assert (found["A2B/cycle"], found["A2B/tv"]) == (10, 0.1)
    assert "A2B/idt" not in found


def test_an_identity_of_weight_0_is_not_computed():
    assert set(weights("junyanz", (("junyanz.lambda_idt", 0.0),))) == set(weights(None)) - {"A2B/idt", "B2A/idt"}


def test_an_option_that_a_preset_lacks_is_refused_with_those_it_has():
    with pytest.raises(OptionError, match=r"junyanz has no option `lambda_C`.*lambda_A=10\.0"):
        prepare(preset="junyanz", settings=SMALL | {"junyanz.lambda_C": 1.0})


# The recipe -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("size", "blocks", "ngf"), [(64, 6, 32), (68, 6, 64), (128, 6, 64), (132, 9, 64), (256, 9, 64)]
)
def test_the_generator_is_as_deep_as_in_the_paper_and_half_as_wide_up_to_64_px(size, blocks, ngf):
    assert RECIPE.defaults(size) == {"model.generator": f"resnet_{blocks}blocks", "model.ngf": ngf}


def test_the_recipe_is_unpaired_and_goes_both_ways():
    assert RECIPE.directions == ("A2B", "B2A")
    assert (RECIPE.paired, RECIPE.conditional, RECIPE.noise_at_test) == (False, False, False)
    assert (RECIPE.losses, RECIPE.adversary) == (("cycle", "idt"), "gan")
    assert set(RECIPE.presets) == {"junyanz", "mmagic"}
