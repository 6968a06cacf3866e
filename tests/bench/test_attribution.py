"""What each loss does, by hand for two and three losses, and by what Shapley's value has to be."""

from __future__ import annotations

from itertools import chain, combinations, permutations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as some

from lossbench.bench.attribution import effects
from lossbench.bench.stats import contrast
from lossbench.errors import OptionError


def settings(*losses):
    return [frozenset(on) for size in range(len(losses) + 1) for on in combinations(losses, size)]


def single(values):
    """One seed of each combination, written as letters."""
    return {frozenset(on): [value] for on, value in values.items()}


def noted(table):
    return {key: estimate.value for key, estimate in table.items()}


def of(values, **options):
    return effects(values, **({"level": 0.9, "paired": False} | options))


TWO = single({"": 10, "a": 8, "b": 9, "ab": 4})
# a 1, b 2, c 4, each alone; a and b together 10 more, all three 30 more
THREE = single({"": 0, "a": 1, "b": 2, "c": 4, "ab": 13, "ac": 5, "bc": 6, "abc": 47})


def test_two_losses_by_hand():
    found = of(TWO)
    assert noted(found.main) == {"a": -3.5, "b": -2.5}  # ((8 - 10) + (4 - 9)) / 2, ((9 - 10) + (4 - 8)) / 2
    assert noted(found.interactions) == {("a", "b"): -3}  # (4 - 9) - (8 - 10)
    assert noted(found.shapley) == {"a": -3.5, "b": -2.5}


def test_three_losses_by_hand():
    found = of(THREE)
    # a: alone 1, with b 11, with c 1, with both 41
    assert noted(found.main) == {"a": 13.5, "b": 14.5, "c": 11.5}
    # a with b: 10 where c is off, 40 where it is on
    assert noted(found.interactions) == pytest.approx({("a", "b"): 25, ("a", "c"): 15, ("b", "c"): 15})
    # each alone, half of the ten for a and b, a third of the thirty for all
    assert noted(found.shapley) == pytest.approx({"a": 16, "b": 17, "c": 14})


def test_one_loss_is_its_difference():
    found = of({frozenset(): [1, 2], frozenset({"tv"}): [5, 8]})
    expected = contrast({"on": [5, 8], "off": [1, 2]}, {"on": 1, "off": -1}, level=0.9, paired=False)
    assert found.main == found.shapley == {"tv": expected}
    assert found.interactions == {}


numbers = some.integers(-1000, 1000)
games = some.lists(numbers, min_size=16, max_size=16).map(
    lambda values: {on: [value] for on, value in zip(settings(*"abcd"), values, strict=True)}
)


@given(games)
def test_shapley_values_are_the_mean_over_orders_and_share_out_everything(values):
    found = noted(of(values).shapley)

    def added(loss, order):
        before = frozenset(order[: order.index(loss)])
        return values[before | {loss}][0] - values[before][0]

    for loss in "abcd":
        assert found[loss] == pytest.approx(np.mean([added(loss, order) for order in permutations("abcd")]), abs=1e-9)
    assert sum(found.values()) == pytest.approx(values[frozenset("abcd")][0] - values[frozenset()][0], abs=1e-9)


@given(some.lists(numbers, min_size=8, max_size=8))
def test_a_loss_that_does_nothing_gets_nothing(drawn):
    known = dict(zip(settings("a", "b", "c"), drawn, strict=True))
    found = of({on: [known[on - {"idle"}]] for on in settings("a", "b", "c", "idle")})
    assert found.shapley["idle"].value == pytest.approx(0, abs=1e-9)
    assert found.main["idle"].value == pytest.approx(0, abs=1e-9)
    assert found.interactions["a", "idle"].value == pytest.approx(0, abs=1e-9)


@given(some.lists(numbers, min_size=8, max_size=8))
def test_losses_that_do_the_same_get_the_same(drawn):
    def value(on):
        return drawn[len(on & {"a", "b"}) + 3 * ("c" in on)]

    found = of({on: [value(on)] for on in settings("a", "b", "c")})
    assert found.shapley["a"].value == pytest.approx(found.shapley["b"].value, abs=1e-9)
    assert found.interactions["a", "c"].value == pytest.approx(found.interactions["b", "c"].value, abs=1e-9)


def test_intervals_by_hand():
    # two seeds each, variance 2 in all four, so that of a main effect is 4 * (1/2)^2 * 2/2 = 1, of the interaction 4;
    # freedom 4 * (2 - 1), Student's quantile at .95: 2.131847
    found = of({on: [value[0] - 1, value[0] + 1] for on, value in TWO.items()})
    for estimate in (found.main["a"], found.shapley["a"]):
        assert (estimate.low, estimate.high) == pytest.approx((-3.5 - 2.131847, -3.5 + 2.131847), abs=1e-6)
    pair = found.interactions["a", "b"]
    assert (pair.low, pair.high) == pytest.approx((-3 - 2 * 2.131847, -3 + 2 * 2.131847), abs=1e-6)
    assert pair.n == 2


def test_pairs_lose_what_their_seeds_share():
    shared = (0, 7, -5)
    values = {on: [value[0] + shift for shift in shared] for on, value in TWO.items()}
    found = of(values, paired=True)
    assert (found.main["a"].low, found.main["a"].high) == pytest.approx((-3.5, -3.5))
    assert of(values).main["a"].low < -6
    assert of(values, level=0.5).main["a"].low > of(values).main["a"].low


def test_intervals_hold_what_they_should():
    rng = np.random.default_rng(0)
    effect = {on: 1 + 0.2 * ("a" in on) - 0.1 * ("b" in on) + 0.3 * (on >= {"a", "b"}) for on in settings(*"abc")}
    hits = []
    for _ in range(500):
        found = of({on: rng.normal(value, 0.1, 3).tolist() for on, value in effect.items()})
        estimates = found.main["a"], found.interactions["a", "b"], found.shapley["b"], found.main["c"]
        hits.append([e.low <= truth <= e.high for e, truth in zip(estimates, (0.35, 0.3, 0.05, 0), strict=True)])
    assert np.mean(hits, axis=0) == pytest.approx(0.9, abs=0.05)


def test_a_combination_without_a_value_leaves_none():
    found = of(TWO | {frozenset("a"): []})
    assert {estimate.value for estimate in chain(found.main.values(), found.shapley.values())} == {None}


def test_a_missing_combination_is_named():
    with pytest.raises(OptionError) as error:
        of({on: [0.0] for on in settings("idt", "tv") if on != {"tv"}} | {frozenset({"tv", "idt"}): [1.0]})
    assert str(error.value) == (
        "Attribution to idt, tv needs all 4 combinations of them on and off; 1 missing, such as: tv. "
        "Run them with --combine all."
    )
    with pytest.raises(OptionError, match="such as: none of them"):
        of({frozenset({"tv"}): [1.0]})


def test_a_value_that_is_not_finite_is_named_by_its_combination():
    with pytest.raises(OptionError, match="a,b: nan is not finite"):
        of(TWO | {frozenset("ab"): [float("nan")]})
