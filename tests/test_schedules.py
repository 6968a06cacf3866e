"""Weights that change over a run: what a text means, and what it comes to."""

from __future__ import annotations

import tomllib

import pytest

from lossbench import OptionError
from lossbench.schedules import parse

POINTS = (0.0, 0.25, 0.5, 0.75, 1.0)


@pytest.mark.parametrize(
    ("text", "weights"),
    [
        ("linear:0,5", (0, 1.25, 2.5, 3.75, 5)),
        ("linear:0@0.25,4@0.75", (0, 0, 2, 4, 4)),
        ("linear:1,3@0.5,0", (1, 2, 3, 1.5, 0)),
        ("cosine:10,0", (10, 8.5355339, 5, 1.4644661, 0)),
        ("cosine:10,1@0.5", (10, 5.5, 1, 1, 1)),
        ("step:5,0@0.5", (5, 5, 0, 0, 0)),
        ("step:5,1@0.25,0@0.75", (5, 1, 1, 0, 0)),
        ("step:0,1@0.5", (0, 0, 1, 1, 1)),
        (" linear: 0 , 5 ", (0, 1.25, 2.5, 3.75, 5)),
    ],
)
def test_a_schedule_is_what_it_says(text, weights):
    assert [parse(text)(progress) for progress in POINTS] == pytest.approx(weights)
    assert [parse(str(parse(text)))(progress) for progress in POINTS] == pytest.approx(weights)


def test_no_digit_is_lost():
    assert parse(str(parse("linear:0.12345678901,1e10"))) == parse("linear:0.12345678901,1e10")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("lineal:0,5", "begins with linear:, cosine:, step:"),
        ("linear:0,2,5", "`2` needs a place: 2@PROGRESS"),
        ("step:5,0", "`0` needs a place: 0@PROGRESS"),
        ("linear:a,5", "`a@0` is not VALUE@PROGRESS"),
        ("linear:", "a schedule has two values or more, such as step:0,1@0.3"),
        ("step:1@0.3", "a schedule has two values or more, such as step:0,1@0.3"),
        ("linear:0,5,", "a schedule has two values or more"),
        ("linear:-1,5", "a weight is a number from 0 on"),
        ("linear:nan,5", "a weight is a number from 0 on"),
        ("linear:0@0.5,5@0.2", "progress rises from 0 to 1"),
        ("linear:0,5@2", "progress rises from 0 to 1"),
        ("linear:0@nan,5", "progress rises from 0 to 1"),
    ],
)
def test_what_is_no_schedule_is_refused_with_the_grammar(tiny, text, message):
    with pytest.raises(OptionError) as error:
        tiny("cycle", cycle__weight=text)
    assert message in str(error.value)
    assert "or a schedule such as linear:0,5" in str(error.value)


def test_a_word_that_is_no_weight_gets_the_grammar(tiny):
    with pytest.raises(
        OptionError, match=r"cycle.weight='much': a weight is a number from 0 on, or a schedule such as"
    ):
        tiny("cycle", cycle__weight="much")


def test_a_schedule_is_shown_in_the_objective_and_kept_in_toml(tiny):
    run = tiny("cycle", cycle__weight="linear:0,5")
    assert {term["term"]: term["weight"] for term in run.objective.describe()}["A2B/cycle"] == "linear:0@0,5@1"
    assert tomllib.loads(run.config.toml())["cycle"]["weight"] == "linear:0@0,5@1"


def test_directions_have_schedules_of_their_own(tiny):
    settings = {"cycle.weight": 3, "cycle.weight.A2B": "step:5,0@0.5"}
    run = tiny("cycle", **{key.replace(".", "__"): value for key, value in settings.items()})
    weights = {bound.label: [bound.weight_at(p) for p in (0, 0.5)] for bound in run.objective.terms}
    assert weights["A2B/cycle"] == [5, 0]
    assert weights["B2A/cycle"] == [3, 3]
    assert tomllib.loads(run.config.toml())["cycle"]["weight"] == {"A2B": "step:5@0,0@0.5", "B2A": 3}


def test_off_after_half_a_run_nothing_of_it_is_computed(tiny):
    run = tiny("idt", train__steps=4, idt__weight="step:5,0@0.5")
    asked = []
    for network in run.networks.G.values():
        network.register_forward_hook(lambda *_: asked.append(1))
    batches = []
    for step in range(1, 5):
        asked.clear()
        run.trainer.step(step)
        batches.append(len(asked))
    assert batches == [4, 4, 2, 2]


def test_a_plugin_may_bring_one(tiny):
    run = tiny(None, losses={"dim": (lambda fake: fake.square().mean(), "cosine:0,1")})
    (dim,) = (bound for bound in run.objective.terms if bound.label == "A2B/dim")
    assert dim.weight_at(0.5) == pytest.approx(0.5)


def test_the_command_line_takes_it_unquoted(lossbench):
    code, out, err = lossbench("run", "--plugins", "tv", "--set", "tv.weight=linear:0,5@0.5", "--print-config")
    assert code == 0, err
    assert 'weight = "linear:0@0,5@0.5"' in out
