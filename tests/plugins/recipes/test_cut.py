"""CUT: one step's objective against the reference written out, networks by size, and a run from end to end."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from lossbench import hookimpl, train
from lossbench.prepare import Run, prepare
from lossbench.registry import load
from tests.conftest import one_step, write_images

RECIPE = load("recipes", "cut").spec
SMALL = {
    "data.dir": "shapes", "data.size": 16, "data.load_size": 16, "train.steps": 4, "train.every": 2, "train.batch": 2,
    "model.generator": "resnet_5blocks", "model.ngf": 4, "model.ndf": 4, "model.n_layers": 1, "patchnce.patches": 24,
}  # fmt: skip


def run(**settings) -> Run:
    return prepare(recipe="cut", settings=SMALL | {key.replace("__", "."): value for key, value in settings.items()})


def gradients(*modules: torch.nn.Module) -> list[Tensor]:
    """Return the gradients of all parameters, and forget them; of none zeros."""
    found = [parameter.grad for module in modules for parameter in module.parameters()]
    for module in modules:
        module.zero_grad(set_to_none=True)
    return [torch.zeros(()) if each is None else each for each in found]


# The objective, as CUT's own code has it ------------------------------------------------------------------------------


def head_of(term: torch.nn.Module, n: int, features: Tensor, places: Tensor) -> Tensor:
    """[B, C, H, W] -> [B * N, 256], unit vectors of patches, image after image."""
    patches = features.permute(0, 2, 3, 1).flatten(1, 2)[:, places].flatten(0, 1)
    vectors = term.heads[n](patches)
    return vectors / vectors.pow(2).sum(1, keepdim=True).pow(0.5)


def reference_nce(term: torch.nn.Module, G, source: Tensor, image: Tensor, places: list[Tensor]) -> Tensor:
    """``calculate_NCE_loss`` and ``PatchNCELoss``: the positive beside the negatives, of which the own is masked."""
    total = torch.zeros((), dtype=torch.float64)
    layers = (0, 4, 8, 12, 16)
    for n, (q, k) in enumerate(zip(G.features(image, layers), G.features(source, layers), strict=True)):
        q, k = head_of(term, n, q, places[n]), head_of(term, n, k, places[n]).detach()
        positive = (q * k).sum(1, keepdim=True)
        q, k = (each.view(len(source), -1, each.shape[1]) for each in (q, k))
        own = torch.eye(q.shape[1], dtype=torch.bool)[None]
        negatives = torch.bmm(q, k.transpose(2, 1)).masked_fill(own, -10.0).view(-1, q.shape[1])
        logits = torch.cat((positive, negatives), dim=1) / 0.07
        total = total + F.cross_entropy(logits, torch.zeros(len(logits), dtype=torch.long))
    return total / len(layers)


@pytest.fixture
def places(monkeypatch):
    """Return which places of each layer are looked at: every draw is the same, so that the reference knows them."""
    drawn = {n: torch.arange(n).flip(0) for n in range(600)}
    monkeypatch.setattr(torch, "randperm", lambda n, **_: drawn[n])
    sides = (16 + 6, 16, 8, 4, 4)
    return [drawn[side**2][:24] for side in sides]


def test_one_steps_objective_and_gradients_are_the_references(places):
    made = run(train__precision="float64")
    G, D, term = made.networks.G["A2B"], made.networks.D["A2B"], made.objective.modules["A2B/patchnce"]
    terms = one_step(made)
    ours = gradients(G, term)
    real_A, real_B = (made.trainer.batches[0][domain].double() for domain in "AB")
    fake_B, idt_B = G(torch.cat((real_A, real_B))).chunk(2)
    answer = D(fake_B)
    loss_G_GAN = F.mse_loss(answer, torch.ones_like(answer)) * 1.0
    nces = [reference_nce(term, G, *pair, places) for pair in ((real_A, fake_B), (real_B, idt_B))]
    loss_G = loss_G_GAN + (nces[0] + nces[1]) * 0.5
    torch.testing.assert_close(terms["A2B/gan"] + terms["A2B/patchnce"], loss_G.detach(), rtol=1e-10, atol=0)
    loss_G.backward()
    for one, other in zip(ours, gradients(G, term), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-6, atol=1e-9 * float(other.abs().max()) + 1e-9)


# The recipe -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("size", "blocks", "ngf"), [(64, 6, 32), (68, 6, 64), (128, 6, 64), (132, 9, 64), (256, 9, 64)]
)
def test_networks_are_as_deep_as_cyclegans_and_antialiased(size, blocks, ngf):
    assert RECIPE.defaults(size) == {
        "model.generator": f"resnet_{blocks}blocks", "model.ngf": ngf, "model.antialias": True, "model.init": "xavier",
        "pool.size": 0,
    }  # fmt: skip


@pytest.mark.parametrize("options", [RECIPE.defaults(64), RECIPE.defaults(256), RECIPE.quick])
def test_the_deepest_layer_of_patchnce_is_the_fifth_block(options):
    generator = RECIPE.networks[0](3, generator=options["model.generator"], ngf=2, antialias=True)
    kinds = [type(layer).__name__ for layer in generator.layers]
    assert [n for n, kind in enumerate(kinds) if kind == "ResidualBlock"][:5] == [12, 13, 14, 15, 16]


def test_the_recipe_is_unpaired_and_goes_one_way():
    assert RECIPE.directions == ("A2B",)
    assert (RECIPE.paired, RECIPE.conditional, RECIPE.noise_at_test) == (False, False, False)
    assert (RECIPE.losses, RECIPE.adversary) == (("patchnce",), "gan")


def test_weights_and_options_are_the_papers():
    made = prepare(recipe="cut", settings={"data.size": 32, "data.load_size": 32})
    found = made.config.everything()
    expected = {
        "gan.weight": 1.0, "gan.mode": "lsgan", "patchnce.weight": 1.0, "patchnce.identity": True, "patchnce.flip": False,
        "patchnce.layers": (0, 4, 8, 12, 16), "patchnce.patches": 256, "patchnce.temperature": 0.07,
        "patchnce.width": 256, "pool.size": 0, "model.init": "xavier", "model.antialias": True,
    }  # fmt: skip
    assert {key: found[key] for key in expected} == expected


# From end to end ------------------------------------------------------------------------------------------------------


class StopAfter:
    """Stops a run after a step, as a signal would."""

    @hookimpl
    def lossbench_step(self, step) -> None:
        if step == 3:
            raise KeyboardInterrupt


@pytest.mark.parametrize("recipe", ["cut", "fastcut"])
def test_a_run_that_was_stopped_goes_on_to_the_same_bits(recipe, tmp_path):
    write_images(tmp_path / "images")
    settings = {key: value for key, value in SMALL.items() if key != "data.dir"}
    started = {"recipe": recipe, "data": tmp_path / "images", "settings": settings}
    whole = train(**started, out=tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        train(**started, out=tmp_path / "run", observers=[StopAfter()])
    resumed = train(resume=tmp_path / "run")
    for name, network in whole.networks.named().items():
        other = resumed.networks.named()[name]
        assert all(torch.equal(one, two) for one, two in zip(network.parameters(), other.parameters(), strict=True))
    heads = [made.objective.modules["A2B/patchnce"].state_dict() for made in (whole, resumed)]
    assert len(heads[0]) == 5 * 4
    assert all(torch.equal(heads[0][name], each) for name, each in heads[1].items())
    assert (tmp_path / "whole" / "metrics.jsonl").read_text() == (tmp_path / "run" / "metrics.jsonl").read_text()


def test_heads_train_and_the_first_step_of_a_seed_is_always_the_same():
    first, again = run(), run()
    torch.rand(3)
    terms = [one_step(made) for made in (first, again)]
    assert terms[0] == terms[1]
    before = {name: each.clone() for name, each in first.objective.modules["A2B/patchnce"].named_parameters()}
    first.trainer.step(1)
    moved = first.objective.modules["A2B/patchnce"].named_parameters()
    assert all(not torch.equal(each, before[name]) for name, each in moved)


def step_of(strategy: str, precision: str) -> tuple[dict[str, Tensor], list[Tensor]]:
    made = run(train__strategy=strategy, train__precision=precision)
    return one_step(made), gradients(made.networks.G["A2B"], made.objective.modules["A2B/patchnce"])


def test_both_strategies_give_the_same_values():
    one, other = (step_of(strategy, "float32")[0] for strategy in ("component", "fused"))
    torch.testing.assert_close(one, other, rtol=1e-5, atol=0)


def test_both_strategies_give_the_same_gradients():
    one, other = (step_of(strategy, "float64")[1] for strategy in ("component", "fused"))
    for each, same in zip(one, other, strict=True):
        torch.testing.assert_close(each, same, rtol=1e-6, atol=1e-9 * float(same.abs().max()) + 1e-9)
