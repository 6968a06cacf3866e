"""Which terms stand where, with which weights, and what is refused before anything is computed."""

from __future__ import annotations

import re

import pytest
import torch

from lossbench import Adversary, LossSpec, OptionError, PluginError, Recipe, load_loss
from lossbench.errors import Unfit
from lossbench.networks import patch_discriminator, resnet_generator
from lossbench.objective import Choice, compose
from lossbench.prepare import prepare
from lossbench.registry import Origin, Plugin

BOTH = Recipe(networks=(resnet_generator, patch_discriminator))
ONE_WAY = Recipe(networks=(resnet_generator, patch_discriminator), directions=("A2B",), paired=True, conditional=True)


def choice(name, builder, **settings):
    spec = builder if isinstance(builder, LossSpec) else LossSpec(builder)
    return Choice(
        Plugin(Origin(name, "python"), spec), {key.replace("__", "."): value for key, value in settings.items()}
    )


def gan(**settings):
    return choice("gan", lambda: Adversary(lambda pred_fake: 0, lambda pred_fake, pred_real: 0), **settings)


def labels(objective):
    return [bound.label for bound in objective.terms]


def simple():
    return lambda fake: fake.mean()


def test_the_recipes_adversary_comes_first():
    assert labels(compose([choice("x", simple)], gan(), BOTH, 0)) == [
        "A2B/gan", "A2B/gan:D", "B2A/gan", "B2A/gan:D", "A2B/x", "B2A/x",
    ]  # fmt: skip


def test_a_chosen_adversary_takes_its_place():
    mine = choice("mine", lambda: Adversary(lambda pred_fake: 0, lambda pred_real: 0))
    assert labels(compose([mine], gan(), BOTH, 0)) == ["A2B/mine", "A2B/mine:D", "B2A/mine", "B2A/mine:D"]


def test_a_term_that_uses_the_discriminators_answer_does_not():
    matching = choice("matching", lambda: lambda pred_fake, pred_real: 0)
    assert labels(compose([matching], gan(), BOTH, 0))[0] == "A2B/gan"


def test_weights_go_by_direction():
    objective = compose([choice("x", LossSpec(simple, weight=3.0), weight__B2A=7)], None, BOTH, 0)
    assert {bound.label: bound.weight_at(0) for bound in objective.terms} == {"A2B/x": 3.0, "B2A/x": 7}


def test_weight_zero_leaves_nothing_behind():
    assert labels(compose([choice("x", simple), choice("y", simple, weight=0)], gan(weight=0), BOTH, 0)) == [
        "A2B/x",
        "B2A/x",
    ]


def test_all_weights_zero_is_refused():
    with pytest.raises(OptionError, match="Nothing is left to train the generators"):
        compose([choice("x", simple, weight=0)], None, BOTH, 0)


def test_a_builder_draws_from_a_stream_of_its_own():
    drawn = []

    def builder():
        drawn.append(torch.rand(()).item())
        return lambda fake: fake.mean()

    before = torch.random.get_rng_state()
    compose([choice("x", builder)], None, BOTH, 0)
    compose([choice("y", simple), choice("x", builder)], None, BOTH, 0)
    assert drawn[:2] == drawn[2:]
    assert drawn[0] != drawn[1]
    assert torch.equal(before, torch.random.get_rng_state())


def test_the_description_says_where_a_loss_comes_from_and_how_it_is_set():
    (first, *_) = compose([choice("x", simple, weight=2.0)], None, BOTH, 0).describe()
    assert first["term"] == "A2B/x"
    assert (first["weight"], first["asks"], first["source"]) == (2.0, ["fake"], "python")


@pytest.mark.parametrize(
    ("term", "message"),
    [
        (lambda rec: 0, r"x asks for `rec`, the round trip; recipe given has one direction, A2B, and no way back. Drop x, or use --recipe cyclegan."),
        (lambda other_fake: 0, r"x asks for `other_fake`, the opposite direction; recipe given has one direction"),
        (lambda fak: 0, r"asks for `fak`, which does not exist. Did you mean `fake`\?"),
        (lambda fake, power=2: 0, r"a term's parameters are plain names, without defaults, \* or \*\*; mend `power=2`"),
        (lambda *images: 0, r"mend `\*images`"),
        (None, r"its builder returned None; return a function"),
        (Adversary(), r"its builder returned Adversary"),
        (Adversary(lambda pred_fake: 0, lambda pred_real: 0, critic_steps=0), r"critic_steps=0; a discriminator takes at least 1 step"),
        ("no function", r"its builder returned 'no function'; return a function, an nn.Module or an Adversary"),
        (Adversary(lambda pred_fake: 0, lambda real: 0), r"its discriminator side asks for `real`; that side may ask for seen_fake"),
        (lambda pred_fake: 0, r"A2B/x uses the discriminator's answer, and nothing trains the discriminator"),
        (Adversary(None, lambda pred_real: 0), r"A2B/x:D trains the discriminator, and no generator's loss uses its answer"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused_with_a_word_of_advice(term, message):
    with pytest.raises(PluginError, match=message):
        compose([choice("x", lambda: term)], None, ONE_WAY, 0)


@pytest.mark.parametrize("weight", ["abc", None, True, float("nan"), float("inf"), -1])
def test_a_weight_that_is_no_number_is_refused(weight):
    with pytest.raises(OptionError, match=r"x.weight=.*: a weight is a number from 0 on"):
        compose([choice("x", simple, weight=weight)], None, BOTH, 0)


def test_a_weight_for_an_unknown_direction_is_refused():
    with pytest.raises(
        OptionError, match=r"x.weight.A2b: no direction `A2b`. Did you mean `A2B`\? There are: A2B, B2A."
    ):
        compose([choice("x", simple, weight__A2b=1)], None, BOTH, 0)


def test_a_builder_that_fails_names_its_plugin():
    with pytest.raises(PluginError, match=r"x in python cannot be built: ZeroDivisionError"):
        compose([choice("x", lambda: 1 / 0)], None, BOTH, 0)


def test_load_loss_serves_anybodys_own_loop():
    image = torch.tensor([[[[0.0, 1.0], [0.0, 3.0]]]])
    assert load_loss("tv", power=2)(fake=image).item() == pytest.approx((1 + 9) / 2 + (0 + 4) / 2)


def test_load_loss_refuses_an_option_that_does_not_exist():
    with pytest.raises(OptionError, match=r"tv has no option `pover`. Did you mean `power`\? Options of tv: power=1"):
        load_loss("tv", pover=2)


@pytest.mark.parametrize(
    ("schedule", "message"),
    [
        (lambda progress: "much", r"A2B/x: its schedule failed: ValueError"),
        (lambda progress: 1 / 0, r"A2B/x: its schedule failed: ZeroDivisionError"),
        (lambda progress: -1, r"A2B/x: its schedule gives -1.0 at 0.5; a weight is a number from 0 on"),
        (lambda progress: float("nan"), r"A2B/x: its schedule gives nan at 0.5"),
    ],
)
def test_a_schedule_that_gives_no_weight_is_named(schedule, message):
    bound = next(
        each for each in compose([choice("x", simple, weight=schedule)], gan(), BOTH, 0).terms if "x" in each.label
    )
    with pytest.raises(PluginError, match=message):
        bound.weight_at(0.5)


# What would do instead ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("plugins", "recipe", "remedy"),
    [
        ("ssim", "cyclegan", " It may stand here with --set ssim.against=real or --set ssim.against=cycle."),
        ("ssim", "cut", " It may stand here with --set ssim.against=real."),
        ("l1", "cyclegan", "Drop l1, or use --recipe pix2pix."),  # none of its options helps
        ("cycle", "pix2pix", "Drop cycle, or use --recipe cyclegan."),
        ("gan", "style", "Drop gan, or use --recipe cyclegan."),
    ],
)
def test_a_loss_that_does_not_fit_is_told_which_option_would(plugins, recipe, remedy):
    with pytest.raises(Unfit) as error:
        prepare(plugins, recipe=recipe, settings={"data.size": 32, "data.load_size": 32} if recipe != "style" else None)
    assert str(error.value).endswith(remedy)


def test_a_loss_that_could_take_a_file_is_told_so(write_plugin):
    code = """
from pathlib import Path
def mine(*, picture: Path | None = None):
    return (lambda fake: fake.mean()) if picture else (lambda fake, target: fake.mean())
@hookimpl
def lossbench_loss(): return LossSpec(mine)
"""
    with pytest.raises(Unfit, match=r"It may stand here with --set mine\.picture=FILE\.$"):
        prepare(str(write_plugin("mine", code)), recipe="style")


# Recipes that cannot be -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"directions": ("B2A")}, 'directions are a tuple, one has a comma: directions=("B2A",)'),
        ({"directions": ("AtoB",)}, """directions=('AtoB',): write ("A2B",), ("B2A",) or ("A2B", "B2A")"""),
        ({"directions": ()}, """directions=(): write ("A2B",), ("B2A",) or ("A2B", "B2A")"""),
        ({"losses": ("edges")}, 'losses are a tuple, one has a comma: losses=("edges",)'),
        ({"networks": resnet_generator}, "networks are two builders: networks=(generator, discriminator)"),
        ({"networks": (resnet_generator,)}, "networks are two builders: networks=(generator, discriminator)"),
        (
            {"networks": (lambda channels, width=3: None, patch_discriminator)},
            "<lambda>: options of a network are keyword-only: (channels, *, width: ...)",
        ),
    ],
)
def test_a_recipe_that_cannot_be_is_refused_when_it_is_made(changed, said):
    with pytest.raises(ValueError, match=f"^{re.escape(said)}$"):
        Recipe(**{"networks": (resnet_generator, patch_discriminator), **changed})


def test_a_recipe_file_that_cannot_be_is_one_line(lossbench, write_plugin):
    code = """
from lossbench.networks import patch_discriminator, resnet_generator
@hookimpl
def lossbench_recipe(): return Recipe(networks=(resnet_generator, patch_discriminator), directions=("B2A"))
"""
    code, _, err = lossbench("run", "--recipe", write_plugin("mine", code))
    assert code == 2
    assert err.endswith('directions are a tuple, one has a comma: directions=("B2A",).\n')
    assert err.count("\n") == 1


def test_a_builder_of_something_else_than_a_network_is_one_line(lossbench, write_plugin):
    code = """
from torch import nn
from lossbench.networks import patch_discriminator
def mine(channels, *, width: int = 3): return nn.Sequential(nn.Conv2d(channels, 3, 1))
@hookimpl
def lossbench_recipe(): return Recipe(networks=(mine, patch_discriminator))
"""
    code, _, err = lossbench("run", "--recipe", write_plugin("mine", code), "--size", 32)
    assert (code, err) == (
        2,
        "lossbench: mine returned a Sequential; return its layers as lossbench has networks: "
        "lossbench.networks.Network(nn.Sequential(...)).\n",
    )


def test_what_would_do_is_tried_without_fetching_anything(write_plugin, monkeypatch):
    code = """
from typing import Literal
def mine(*, network: Literal["none", "vgg19-normalised"] = "none", against: Literal["truth", "real"] = "truth"):
    if network != "none":
        pretrained(network)
    return (lambda fake, truth: fake.mean()) if against == "truth" else (lambda fake, real: fake.mean())
@hookimpl
def lossbench_loss(): return LossSpec(mine)
"""
    pulled = []
    monkeypatch.setattr("lossbench.weights._pulled", lambda plugin: pulled.append(plugin))
    with pytest.raises(Unfit, match=r"It may stand here with --set mine\.against=real\.$"):
        prepare(str(write_plugin("mine", code)), settings={"data.size": 32, "data.load_size": 32})
    assert pulled == []
