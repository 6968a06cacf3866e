"""Every option by its dotted key: who wins, what is refused."""

from __future__ import annotations

import tomllib

import pytest

from lossbench import OptionError
from lossbench.config import flat, model_options, nested, overlaid, parse_assignment, read_toml
from lossbench.hookspecs import Recipe
from lossbench.networks import patch_discriminator, unet_generator
from lossbench.prepare import prepare

SMALL = {"model.ngf": 4, "model.ndf": 4, "train.steps": 2}


def resolved(plugins=None, **arguments):
    settings = SMALL | arguments.pop("settings", {})
    return prepare(plugins, settings=settings, **arguments).config.dotted()


def test_without_plugins_the_recipe_brings_its_own_losses():
    keys = resolved()
    assert keys["plugins"] == ["cycle", "idt"]
    assert (keys["gan.weight"], keys["cycle.weight"], keys["idt.weight"]) == (1.0, 10.0, 5.0)


def test_the_papers_depth_follows_the_size(tmp_path):
    assert resolved(settings={"data.size": 256})["model.generator"] == "resnet_3blocks"  # the built-in set's own
    assert resolved(settings={"model.generator": "resnet_2blocks"})["model.generator"] == "resnet_2blocks"


def test_later_wins(tmp_path):
    path = tmp_path / "c.toml"
    path.write_text('plugins = ["tv"]\n[train]\nlr = 0.5\nbatch = 3\n[tv]\nweight = 2.0\n', "utf-8")
    keys = resolved(config=path, settings={"train.lr": 0.25})
    assert (keys["train.lr"], keys["train.batch"], keys["tv.weight"], keys["plugins"]) == (0.25, 3, 2.0, ["tv"])


def test_the_resolved_settings_read_back_to_themselves(tmp_path):
    keys = resolved("cycle,tv", settings={"cycle.weight.A2B": 7, "tv.power": 2, "train.seed": 5}, preset=None)
    path = tmp_path / "c.toml"
    path.write_text(
        prepare("cycle,tv", settings=SMALL | {"cycle.weight.A2B": 7, "tv.power": 2, "train.seed": 5}).config.toml()
    )
    assert prepare(config=path).config.dotted() == keys
    assert (keys["cycle.weight.A2B"], keys["cycle.weight.B2A"]) == (7, 10.0)


def test_a_preset_reads_back_as_the_weights_it_gave(tmp_path):
    run = prepare(settings=SMALL | {"junyanz.lambda_A": 4.0}, preset="junyanz")
    path = tmp_path / "c.toml"
    path.write_text(run.config.toml())
    again = prepare(config=path)
    assert again.objective.describe() == run.objective.describe()


def test_epochs_are_counted_in_steps():
    run = prepare(settings={"model.ngf": 4, "model.ndf": 4, "train.epochs": 2, "train.batch": 3})
    assert run.config.train.steps == 2 * 134  # 400 images, 3 a step, the last one short


def test_epochs_and_steps_together_are_refused():
    with pytest.raises(OptionError, match=r"train\.steps and train\.epochs are both set"):
        resolved(settings={"train.epochs": 2})


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"train.lrr": 1}, r"train has no option `lrr`. Did you mean `lr`\?"),
        ({"train.lr": -1}, r"train.lr=-1: input should be greater than 0"),
        ({"train.steps": "many"}, r"train.steps='many': input should be a valid integer"),
        ({"data.sise": 1}, r"data has no option `sise`. Did you mean `size`\?"),
        (
            {"model.ngg": 1},
            r"model has no option `ngg`. Did you mean `ngf`\? Options of model: antialias, discriminator",
        ),
        ({"trian.lr": 1}, r"No option `trian.lr`. Did you mean `train.lr`\? A key is SECTION.OPTION"),
        ({"nonsense": 1}, r"No option `nonsense`."),
        ({"tv.power": 2}, r"tv.power is set, but tv is not used. Add it: --plugins cycle,idt,tv."),
        (
            {"cycle.pover": 2},
            r"cycle has no option `pover`. Options of cycle: , weight=10.0|cycle has no option `pover`",
        ),
        ({"data.size": 30}, r"data.size=30: this generator takes multiples of 4 px. Use --size 32."),
        ({"data.size": 8}, r"data.size=8: these networks cannot take such images"),
        ({"data.load_size": 32}, r"data.load_size=32 is less than data.size=64"),
        ({"model.generator": "unet"}, r"model.generator='unet': write resnet_9blocks"),
        ({"train.device": "tpu9"}, r"train.device='tpu9'"),
        ({"train.device": "cuda:77"}, r"train.device='cuda:77'"),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(settings, message):
    with pytest.raises(OptionError, match=message) as error:
        prepare(settings=settings)
    assert "\n" not in str(error.value)


def test_a_plugin_is_chosen_once():
    with pytest.raises(OptionError, match="`tv` is chosen twice"):
        resolved("tv,cycle,tv")


def test_an_unknown_preset_names_those_there_are():
    with pytest.raises(
        OptionError, match=r"No preset `junyan`. Did you mean `junyanz`\? Presets of cyclegan: junyanz, mmagic."
    ):
        resolved(preset="junyan")


@pytest.mark.parametrize(
    ("text", "pair"),
    [
        ("tv.power=2", ("tv.power", 2)),
        ("train.lr=1e-3", ("train.lr", 1e-3)),
        ("data.flip=false", ("data.flip", False)),
        ("a.b=[1, 2]", ("a.b", [1, 2])),
        ("gan.mode=hinge", ("gan.mode", "hinge")),
        ('gan.mode="hinge"', ("gan.mode", "hinge")),
        ("data.dir=a=b", ("data.dir", "a=b")),
        ("a.b=", ("a.b", "")),
    ],
)
def test_assignments_are_toml_where_they_can_be(text, pair):
    assert parse_assignment(text) == pair


@pytest.mark.parametrize("text", ["tv.power", "=2", ""])
def test_an_assignment_needs_a_key_and_a_value(text):
    with pytest.raises(OptionError, match=r"write KEY=VALUE, such as --set tv.power=2"):
        parse_assignment(text)


def test_flat_and_nested_are_inverse():
    tree = {"plugins": ["a"], "train": {"lr": 1.0}, "cycle": {"weight": {"A2B": 1, "B2A": 2}}}
    assert nested(flat(tree)) == tree


@pytest.mark.parametrize("content", [b"a = ", b"\xff\xfe", b"[a\n"])
def test_a_broken_toml_file_is_one_line(tmp_path, content):
    path = tmp_path / "c.toml"
    path.write_bytes(content)
    with pytest.raises(OptionError, match="is not TOML"):
        read_toml(path)


def test_a_missing_toml_file_is_one_line(tmp_path):
    with pytest.raises(OptionError, match="cannot be read: No such file"):
        read_toml(tmp_path / "none.toml")


def test_print_config_is_toml():
    keys = tomllib.loads(prepare(settings=SMALL).config.toml())
    assert keys["train"]["steps"] == 2


def test_a_weight_for_all_wins_over_an_earlier_one_for_a_direction():
    keys = resolved(preset="junyanz", settings={"junyanz.lambda_A": 3.0, "cycle.weight": 8.0})
    assert keys["cycle.weight"] == 8.0
    assert (keys["idt.weight.A2B"], keys["idt.weight.B2A"]) == (5.0, 1.5)


@pytest.mark.parametrize(
    ("layers", "expected"),
    [
        (({"a.b": 1}, {"a.b": 2}), {"a.b": 2}),
        (({"a.w.X": 1, "a.v": 0}, {"a.w": 2}), {"a.w": 2, "a.v": 0}),
        (({"a.w": 1}, {"a.w.X": 2}), {"a.w": 1, "a.w.X": 2}),
        (({"a.w": 1, "a.w.X": 2},), {"a.w": 1, "a.w.X": 2}),
    ],
)
def test_later_layers_win(layers, expected):
    assert overlaid(*layers) == expected


MINE = """
@hookimpl
def lossbench_loss():
    return LossSpec(lambda: Adversary(lambda pred_fake: pred_fake.mean(), lambda pred_real: pred_real.mean()))
"""


def test_a_setting_of_an_adversary_that_is_not_used_is_refused(write_plugin):
    path = write_plugin("mine", MINE)
    assert "gan.mode" not in resolved(f"cycle,{path}")
    with pytest.raises(OptionError, match=r"gan\.mode is set, but a chosen loss takes the place of gan"):
        resolved(f"cycle,{path}", settings={"gan.mode": "hinge"})


def test_a_run_without_adversary_reads_back_without_one(tmp_path):
    run = prepare("cycle", settings=SMALL | {"gan.weight": 0})
    path = tmp_path / "c.toml"
    path.write_text(run.config.toml())
    assert not prepare(config=path).networks.D


def test_a_repeated_run_may_be_given_another_length_or_fewer_losses(tmp_path):
    path = tmp_path / "c.toml"
    path.write_text(prepare("cycle,tv", settings=SMALL | {"tv.power": 2}).config.toml())
    assert prepare(config=path, settings={"train.epochs": 1}).config.train.steps == 400
    assert prepare("cycle", config=path).config.dotted()["plugins"] == ["cycle"]


def test_settings_that_decide_by_themselves_are_named():
    assert (
        "# Not set, so decided by themselves: data.direction, gan.critic_steps, train.epochs"
        in prepare(settings=SMALL).config.toml()
    )


def test_paths_in_the_config_mean_the_same_from_any_folder(write_plugin, monkeypatch, tmp_path):
    write_plugin("mine", "@hookimpl\ndef lossbench_loss(): return LossSpec(lambda: lambda fake: fake.mean())")
    monkeypatch.chdir(tmp_path)
    assert resolved("cycle,./mine.py")["plugins"] == ["cycle", str(tmp_path / "mine.py")]


@pytest.mark.parametrize(
    ("plugins", "settings", "message"),
    [
        ("", {}, "--plugins names no loss"),
        (None, {"cycle": 3}, r"`cycle` names no option. Write cycle.OPTION=VALUE."),
        (
            None,
            {"cycle.wieght": 3},
            r"cycle has no option `wieght`. Did you mean `weight`\? Options of cycle: weight=10.0.",
        ),
        (
            None,
            {"junyanz.lambda_A": 3},
            r"junyanz.lambda_A is set, but preset junyanz is not used. Add it: --preset junyanz.",
        ),
        (None, {"train.batch": 401}, r"train.batch=401 is more than the 400 training images"),
        (None, {"train.device": "meta"}, r"train.device='meta' cannot be used here. Devices are cpu, cuda"),
        (None, {"cycle.weight": -1}, r"a weight is a number from 0 on"),
    ],
)
def test_more_that_cannot_be(plugins, settings, message):
    with pytest.raises(OptionError, match=message):
        resolved(plugins, settings=settings)


@pytest.mark.parametrize("name", ["train", "x y", "a/b"])
def test_a_loss_has_a_name_that_is_a_word_of_its_own(name):
    with pytest.raises(OptionError, match="A loss cannot be called"):
        prepare(losses={name: lambda fake: fake.mean()}, settings=SMALL)


def test_a_weight_and_its_directions_in_one_table_get_the_right_hint(lossbench, tmp_path):
    (tmp_path / "both.toml").write_text('[cycle]\nweight = "step:0,1@0.3"\nweight.B2A = 0\n')
    code, _, err = lossbench("run", "--config", "both.toml", "--print-config")
    assert code == 2
    assert "weights by direction stand in [NAME.weight], as A2B and B2A" in err


def test_an_option_that_both_networks_have_is_the_generators_by_default():
    recipe = Recipe(networks=(unet_generator, patch_discriminator))
    assert model_options(recipe, {})["norm"] == "batch"
    assert model_options(recipe, {"norm": "instance"})["norm"] == "instance"
