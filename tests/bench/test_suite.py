"""Which combinations a suite means, what it refuses, and that its file is read back to the same suite."""

from __future__ import annotations

import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as some

from lossbench.bench.suite import MOST, label, suite
from lossbench.config import flat
from lossbench.errors import OptionError

LOSSES = ("cycle", "idt", "tv")


def combined(plugins=LOSSES, adversary="gan", **bench):
    return suite({f"bench.{key}": value for key, value in bench.items()}, plugins, adversary)


def labels(*plugins, **bench):
    return [label(each) for each in combined(plugins or LOSSES, **bench).combinations()]


def refused(**bench):
    with pytest.raises(OptionError) as error:
        combined(**bench).combinations()
    assert "\n" not in str(error.value)
    return str(error.value)


@pytest.mark.parametrize(
    ("combine", "expected"),
    [
        ("all", ["gan", "cycle", "idt", "tv", "cycle+idt", "cycle+tv", "idt+tv", "cycle+idt+tv"]),
        ("add-one", ["gan", "cycle", "idt", "tv"]),
        ("pairs", ["gan", "cycle", "idt", "tv", "cycle+idt", "cycle+tv", "idt+tv"]),
        ("leave-one-out", ["cycle+idt+tv", "idt+tv", "cycle+tv", "cycle+idt"]),
        ("cycle+tv,idt", ["idt", "cycle+tv"]),
        ("tv+cycle,gan", ["gan", "cycle+tv"]),
    ],
)
def test_every_way_to_combine(combine, expected):
    assert labels(combine=combine) == expected


@pytest.mark.parametrize(
    ("combine", "expected"),
    [
        ("all", ["cycle", "cycle+idt", "cycle+tv", "cycle+idt+tv"]),
        ("add-one", ["cycle", "cycle+idt", "cycle+tv"]),
        ("leave-one-out", ["cycle+idt+tv", "cycle+tv", "cycle+idt"]),
        ("tv,idt+tv", ["cycle+tv", "cycle+idt+tv"]),
    ],
)
def test_what_every_combination_has(combine, expected):
    assert labels(combine=combine, always="cycle") == expected


def test_all_on_and_off_combinations_of_many_are_two_to_the_power_of_them():
    many = combined([f"loss{n}" for n in range(10)]).combinations()
    assert len(many) == len(set(many)) == MOST
    with pytest.raises(OptionError, match=r"^2048 combinations are more than 1024\. Choose some: --combine add-one$"):
        combined([f"loss{n}" for n in range(11)]).combinations()


def test_losses_stand_in_the_order_of_the_plugins():
    assert combined(combine="tv+idt+cycle").combinations() == [("cycle", "idt", "tv")]


def test_a_combination_that_is_said_twice_is_trained_once():
    assert labels(combine="cycle+idt,idt+cycle,tv") == ["tv", "cycle+idt"]


def test_a_file_is_called_by_its_stem_and_trained_by_its_path():
    planned = combined(("cycle", "/somewhere/tv.py"), combine="tv,cycle+./tv.py", baseline="cycle+tv")
    assert planned.combinations() == [("cycle", "/somewhere/tv.py"), ("/somewhere/tv.py",)]


def test_the_recipes_adversary_is_in_every_combination_named_or_not():
    assert labels("gan", "cycle", combine="all") == labels("cycle", combine="all") == ["gan", "cycle"]
    assert labels("cycle", always="gan", combine="all") == ["gan", "cycle"]


def test_without_an_adversary_a_combination_needs_a_loss():
    alone = combined(adversary=None, combine="all")
    with pytest.raises(OptionError, match=r"^A combination has no loss at all\. .*--always LOSS$"):
        alone.combinations()
    assert labels("cycle", "tv", always="cycle") == ["cycle", "cycle+tv"]


def test_the_baseline_comes_first():
    assert labels(baseline="idt+cycle")[0] == "cycle+idt"
    assert len(labels(baseline="cycle+idt")) == 8


@pytest.mark.parametrize(
    ("bench", "said"),
    [
        ({"baseline": "cycle", "combine": "cycle+idt,tv"}, "bench.baseline=cycle: no such combination. Did you mean `cycle+idt`? There are: cycle+idt, tv."),
        ({"baseline": "cycl"}, "bench: `cycl` is none of this suite's losses. Did you mean `cycle`? They are: cycle, idt, tv, gan. Ways to combine them: all, leave-one-out, add-one, pairs."),
        ({"combine": "cycle+idd"}, "bench: `idd` is none of this suite's losses. Did you mean `idt`? They are: cycle, idt, tv, gan. Ways to combine them: all, leave-one-out, add-one, pairs."),
        ({"always": "circularity"}, "bench: `circularity` is none of this suite's losses. They are: cycle, idt, tv, gan. Ways to combine them: all, leave-one-out, add-one, pairs."),
        ({"combine": "all,pairs"}, "bench.combine: all stands alone, or there are names: cycle+idt,cycle+tv"),
    ],
)  # fmt: skip
def test_a_combination_that_does_not_exist_is_one_line(bench, said):
    assert refused(**bench) == said


@pytest.mark.parametrize(
    ("bench", "said"),
    [
        ({"seed": 3}, r"bench has no option `seed`\. Did you mean `seeds`\?"),
        ({"seeds": 0}, r"bench\.seeds=0: input should be greater than or equal to 1"),
        ({"seeds": 101}, r"bench\.seeds=101: input should be less than or equal to 100"),
        ({"level": 0.5}, r"bench\.level=0\.5: input should be greater than 0\.5"),
        ({"level": 1}, r"bench\.level=1: input should be less than 1"),
        ({"pairing": "seeds"}, r"bench\.pairing='seeds': input should be 'seed' or 'none'"),
        ({"margin": "-2%"}, r"`-2%` is not a margin"),
        ({"margin": "nan"}, r"`nan` is not a margin"),
    ],
)
def test_a_setting_that_cannot_be_is_one_line(bench, said):
    with pytest.raises(OptionError, match=f"^{said}"):
        combined(**bench)


def read_back(planned):
    keys = flat(tomllib.loads(planned.toml()))
    return suite(keys, keys["plugins"], planned.adversary)


def test_the_file_is_read_back_to_the_same_suite():
    keys = {
        "plugins": "ignored", "metrics": ["l1", "kid"], "data.dir": "shapes", "train.steps": 3, "tv.weight": 0.1,
        "cycle.weight.A2B": 5, "cycle.weight.B2A": "linear:0,5", "bench.combine": "cycle+tv,idt", "bench.primary": "kid",
        "bench.margin": "0.25", "bench.level": 0.8, "bench.pairing": "seed", "bench.seeds": 2, "bench.always": ["idt"],
    }  # fmt: skip
    planned = suite(keys, LOSSES, "gan")
    assert read_back(planned) == planned
    assert planned.keys["cycle.weight.B2A"] == "linear:0,5"
    assert not {"plugins", "bench.level"} & set(planned.keys)


@given(some.lists(some.sampled_from(LOSSES), unique=True, min_size=1), some.sampled_from(["all", "pairs", "add-one"]))
def test_any_suite_is_read_back_and_has_its_baseline_once(plugins, combine):
    planned = combined(plugins, combine=combine)
    assert read_back(planned) == planned
    combinations = planned.combinations()
    assert combinations[0] == planned.baseline() == ("gan",)
    assert len(combinations) == len(set(combinations))
