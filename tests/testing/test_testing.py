"""Is the judge sound? Planted bugs are caught by the check meant for them, odd but sound losses pass, ours too.

Both lists were written from the contract by somebody who had not seen the checks.
"""

from __future__ import annotations

import re
from functools import partial
from pathlib import Path

import pytest
import torch

from lossbench import LossSpec, OptionError, PluginError
from lossbench.errors import WeightsError
from lossbench.registry import listing
from lossbench.testing import (
    CHECKS,
    MEANING,
    CheckError,
    Probe,
    _plugin,
    _tried,
    check_loss,
    examine,
    parametrize_loss_checks,
)

HERE = Path(__file__).parent
PLANTED = sorted((HERE / "planted").glob("*.py"))
SOUND = sorted((HERE / "sound").glob("*.py"))
BUILT_IN = [name for name, entries in listing("losses").items() if entries[0].dist.name == "lossbench"]
PRETRAINED = {"content": ["vgg16"], "style": ["vgg16"], "lpips": ["vgg16", "lpips-vgg"]}
CAUGHT_BY = {path.stem: re.search(r'^CAUGHT_BY = "(\w+)"$', path.read_text(), re.MULTILINE)[1] for path in PLANTED}


def results(loss, *names):
    make = partial(Probe, _plugin(loss))
    return {name: _tried(name, make, _plugin(loss).spec.checks.get(name)) for name in names}


@pytest.mark.parametrize("path", PLANTED, ids=lambda path: path.stem)
def test_a_planted_bug_is_caught_by_the_check_meant_for_it(path):
    name = CAUGHT_BY[path.stem]
    order = list(MEANING)
    before = [each for each in ("names", "scalar") if order.index(each) < order.index(name)]
    found = results(path, *before, name)
    assert {each: found[each].status for each in before} == dict.fromkeys(before, "ok")
    assert found[name].status == "failed", found


def test_every_check_catches_something():
    assert set(CAUGHT_BY.values()) == set(MEANING)
    assert len(PLANTED) >= 20


@pytest.mark.parametrize("path", SOUND, ids=lambda path: path.stem)
def test_an_odd_but_sound_loss_passes(path):
    found = results(path, *MEANING)
    assert {name: each for name, each in found.items() if each.status == "failed"} == {}


def test_there_are_enough_of_them():
    assert len(SOUND) >= 15


@parametrize_loss_checks(*BUILT_IN)
def test_ours_pass_through_the_same_function(check, request, real_weights):
    for name in PRETRAINED.get(request.node.callspec.id.partition("-")[0], ()):
        real_weights(name)
    check()


# What is said ---------------------------------------------------------------------------------------------------


def test_the_famous_broken_recipe_gets_the_right_sentence():
    said = results(HERE / "planted" / "perceptual_no_grad.py", "gradient")["gradient"].message
    assert said.startswith(
        "No gradient leaves A2B/perceptual_no_grad. The graph is cut at perceptual_no_grad.py, line 24: "
        "`conv2d` under torch.no_grad(). Without one it trains nothing. A perceptual loss may compute features of the "
        "target under torch.no_grad, never those of the translation"
    )


@pytest.mark.parametrize(
    ("name", "seen"),
    [
        ("canny_edges", "The graph is cut at canny_edges.py, line 17: `detach`."),
        ("hard_mask", "The graph is cut at hard_mask.py, line 16: `gt`."),
        ("closure_parameters", "computes with parameters that are not its module's"),
        ("cpu_ramp", "would fail on a GPU: "),
        ("wrong_backward", "Along the gradient, A2B/wrong_backward says "),
        ("fast_convolutions", "Building it changes torch's matmul precision from highest to medium."),
        ("seeded_builder", "Its builder seeds the global random state of torch."),
        ("unfrozen_discriminator", "sets requires_grad of D_A2B."),
        ("sum_over_batch", "for the same twice: a sum."),
        ("updates_at_test", "In eval mode it changes `power`."),
        ("positional_option", "a builder has keyword-only options and nothing else; mend `"),
        ("enum_option", "is of type Norm, which no TOML file can hold"),
    ],
)
def test_a_failure_says_what_was_seen(name, seen):
    found = results(HERE / "planted" / f"{name}.py", CAUGHT_BY[name])
    assert seen in found[CAUGHT_BY[name]].message


def test_each_failure_says_what_it_means_and_how_to_mend_it():
    for name, check in CHECKS.items():
        meaning, _, mend = check.__doc__.partition("\n\n")
        assert meaning.endswith("."), name
        assert len(mend.split()) > 10, name


def test_a_declared_failure_is_known_and_one_that_passes_is_told():
    def rounded(fake, real):
        return (fake.add(fake.round().sub(fake).detach()) - real).square().mean()

    honest = LossSpec(lambda: rounded, checks={"gradcheck": "straight-through"})
    assert results(honest, "gradcheck")["gradcheck"].status == "known"
    late = LossSpec(lambda: rounded, checks={"gradcheck": "straight-through", "dtype": "was so once"})
    said = results(late, "dtype")["dtype"]
    assert said.status == "failed"
    assert said.message == "It passes, and LossSpec(checks) says that it fails (was so once). Take it out."


def test_a_declaration_of_no_check_gets_the_near_miss():
    spec = LossSpec(lambda: lambda fake: fake.mean(), checks={"gradchek": "?"})
    with pytest.raises(CheckError, match=r"names `gradchek`, which is no check. Did you mean `gradcheck`\?"):
        check_loss(spec)


def test_a_term_can_be_checked_as_it_is():
    def dim(fake):
        return (fake + 1).mean()

    found = {result.check: result for result in check_loss(dim)}
    assert found["scalar"].status == "ok"
    assert "of a generator's forward" in found["cost"].message


def test_a_failed_check_is_raised_with_all_that_failed():
    def twice_wrong(fake):
        return fake.detach().clamp_(-1, 1).double().mean()

    with pytest.raises(CheckError) as error:
        check_loss(twice_wrong)
    assert str(error.value).startswith("gradient: No gradient leaves A2B/twice_wrong.")


@pytest.mark.parametrize(
    ("term", "remark", "said"),
    [
        (lambda fake: (fake / (fake.std() + 1e-6)).diff().abs().mean(), "scale", "does not notice images in [0, 1]"),
        (lambda fake: fake.square().mean(0).sum(), "resolution", "is a sum over pixels"),
        (lambda fake: fake.mean() * (1 if fake.mean() > 0 else 2), "compiles", "breaks torch.compile"),
    ],
)
def test_remarks_are_no_failures(term, remark, said):
    found = {result.check: result for result in examine(term)}
    assert found[remark].status == "remark"
    assert said in found[remark].message


def test_what_a_loss_does_to_torch_is_undone():
    before = torch.get_default_dtype(), torch.are_deterministic_algorithms_enabled(), torch.get_rng_state()
    for name in ("double_by_default", "flushed_denormals", "seeded_builder", "noisy_goal"):
        results(HERE / "planted" / f"{name}.py", *MEANING)
    assert (torch.get_default_dtype(), torch.are_deterministic_algorithms_enabled()) == before[:2]
    assert torch.equal(torch.get_rng_state(), before[2])
    assert (torch.ones(()).double() * 1e-310).item() != 0


def test_options_reach_the_builder_and_wrong_ones_are_the_callers():
    with pytest.raises(OptionError, match=r"tv.power=3"):
        check_loss("tv", options={"power": 3})
    assert check_loss("gan", options={"mode": "hinge"})


def test_a_loss_that_is_not_there_is_no_failed_check():
    with pytest.raises(PluginError, match=r"No plugin `tvv`"):
        check_loss("tvv")


# The command ----------------------------------------------------------------------------------------------------


def test_the_command_exits_0_for_a_sound_loss(lossbench):
    code, out, _ = lossbench("check", "tv", "--set", "tv.power=2")
    assert code == 0
    assert "tv is sound: 21 ok." in out


def test_the_command_exits_1_for_a_failed_check(lossbench, write_plugin):
    code, out, err = lossbench("check", HERE / "planted" / "sum_over_batch.py")
    assert (code, err) == (1, "")
    assert "sum_over_batch is not sound: 1 failed, 20 ok." in out


@pytest.mark.parametrize("code", ["def (", "import nothing_of_this_name", "x = 1"])
def test_a_file_that_is_no_plugin_fails_its_first_check(lossbench, write_plugin, code):
    code, out, err = lossbench("check", write_plugin("mine", code))
    assert (code, err) == (1, "")
    assert "mine is not sound: 1 failed, 20 not tried." in out


@pytest.mark.parametrize("words", [["./nowhere.py"], ["tvv"], ["tv", "--set", "tv.power=3"], ["tv", "--set", "pow"]])
def test_what_the_caller_got_wrong_exits_2(lossbench, words):
    code, out, err = lossbench("check", *words)
    assert code == 2
    assert out == ""
    assert err.startswith("lossbench: ")
    assert err.count("\n") == 1


RECIPE = """
from lossbench import Recipe, hookimpl
from lossbench.networks import patch_discriminator, resnet_generator

@hookimpl
def lossbench_recipe():
    networks = (resnet_generator, patch_discriminator)
    return Recipe(networks, directions=("A2B",), paired=True, conditional=True, losses=("tv",))
"""


def test_a_loss_is_checked_with_the_names_and_networks_of_a_recipe(tmp_path):
    path = tmp_path / "oneway.py"
    path.write_text(RECIPE)
    assert check_loss("gan", recipe=str(path))
    with pytest.raises(CheckError, match=r"names: cycle asks for `rec`, the round trip; recipe .* has one direction"):
        check_loss("cycle", recipe=str(path))


@pytest.mark.parametrize(
    "keep", ["history.append(value.item())", "history.append(value)", "count[0] += 1", "SEEN.append(1)"]
)
def test_what_a_function_keeps_is_found_though_it_does_not_change_the_value(write_plugin, keep):
    code = (
        f"SEEN = []\ndef mine():\n    history, count = [], [0]\n    def term(fake):\n        value = fake.square().mean()\n        {keep}\n"
        "        return value\n    return term\n@hookimpl\ndef lossbench_loss(): return LossSpec(mine)"
    )
    said = results(write_plugin("mine", code), "repeatable")["repeatable"]
    assert said.status == "failed"
    assert "in a closure or a global, and changes it" in said.message


def test_a_cache_of_constants_is_no_state(write_plugin):
    code = (
        "def mine():\n    cache = {}\n    def term(fake):\n        cache.setdefault(fake.shape, fake.new_ones(1))\n"
        "        return fake.square().mean() * cache[fake.shape][0]\n    return term\n@hookimpl\ndef lossbench_loss(): return LossSpec(mine)"
    )
    assert results(write_plugin("mine", code), "repeatable")["repeatable"].status == "ok"


def test_an_error_in_the_term_gets_its_line_and_no_idle_advice(write_plugin):
    code = "def mine():\n    def term(fake):\n        return sobell(fake)\n    return term\n@hookimpl\ndef lossbench_loss(): return LossSpec(mine)"
    said = results(write_plugin("mine", code), "scalar")["scalar"].message
    assert said == "A2B/mine fails on ordinary images: NameError: name 'sobell' is not defined (mine.py, line 5)."


def test_a_default_that_does_not_fit_is_told_as_a_default():
    said = results(HERE / "planted" / "default_of_another_type.py", "options")["options"].message
    assert said.startswith("The default of `power`, 1.5, does not fit its type: input should be a valid integer")


def test_images_taken_for_0_to_1_get_a_remark_that_the_verdict_points_to(lossbench, write_plugin):
    code = "def mine():\n    def term(fake, real):\n        return (fake.clamp(0, 1) - real.clamp(0, 1)).square().mean()\n    return term\n@hookimpl\ndef lossbench_loss(): return LossSpec(mine)"
    code, out, _ = lossbench("check", write_plugin("mine", code))
    assert code == 0
    assert "Read the remarks: scale." in out


def test_weights_that_cannot_be_had_are_no_fault_of_the_loss(lossbench, monkeypatch):
    monkeypatch.setattr("lossbench_plugins._backbones.pretrained", missing)
    code, out, err = lossbench("check", "content")
    assert code == 2
    assert "vgg16 cannot be had" in err
    assert "not sound" not in out


def missing(word):
    raise WeightsError(f"{word} cannot be had.")
