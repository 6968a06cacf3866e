"""Intervals, margins and verdicts: by hand, beside scipy, and how often they are wrong."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as some
from scipy.stats import binomtest, ttest_1samp, ttest_ind, ttest_rel

from lossbench.bench.stats import Comparison, Estimate, Margin, compare, contrast, simultaneous
from lossbench.errors import OptionError

T1 = math.tan(0.45 * math.pi)  # Student's quantile at .95 with one degree of freedom, in closed form
T2 = 0.9 / math.sqrt(2 * 0.95 * 0.05)  # with two
DIFFERENCE = {"a": 1.0, "b": -1.0}
NONE, TWO_PERCENT, ONE = Margin(0, False), Margin.parse("2%"), Margin.parse("1")
MIRROR = {"improved": "regressed", "regressed": "improved"}


def interval(a, b, level=0.9, paired=False):
    estimate = contrast({"a": a, "b": b}, DIFFERENCE, level=level, paired=paired)
    return estimate.low, estimate.high


def gaussian(seed, n, mean=1.0, spread=0.1):
    return np.random.default_rng(seed).normal(mean, spread, n).tolist()


def test_welch_by_hand():
    # means 11 and 5, variances 2 and 2, error sqrt(2/2 + 2/2), freedom 4 / (1 + 1) = 2
    estimate = contrast({"a": [10, 12], "b": [4, 6]}, DIFFERENCE, level=0.9, paired=False)
    assert estimate.value == 6
    assert (estimate.low, estimate.high) == pytest.approx((6 - T2 * math.sqrt(2), 6 + T2 * math.sqrt(2)))
    assert estimate.n == 2


def test_coefficients_are_squared_in_the_variance():
    # 3 * 11 - 5, error sqrt(9 * 1 + 1); freedom 100 / (81 + 1)
    estimate = contrast({"a": [10, 12], "b": [4, 6]}, {"a": 3, "b": -1}, level=0.5, paired=False)
    assert estimate.value == 28
    half = contrast(
        {"c": [0, 6], "b": [4, 6]}, {"c": 1, "b": -1}, level=0.5, paired=False
    )  # the spread of c is a's by 3
    assert estimate.high - estimate.low == pytest.approx(half.high - half.low)


def test_paired_by_hand():
    # differences 1, 2, 3: mean 2, variance 1, freedom 2
    low, high = interval([2, 5, 4], [1, 3, 1], paired=True)
    assert (low, high) == pytest.approx((2 - T2 / math.sqrt(3), 2 + T2 / math.sqrt(3)))
    doubled = contrast({"a": [2, 5, 4], "b": [1, 3, 1]}, {"a": 2, "b": -2}, level=0.9, paired=True)
    assert (doubled.low, doubled.high) == pytest.approx((2 * low, 2 * high))


@pytest.mark.parametrize("level", [0.5, 0.9, 0.99])
@pytest.mark.parametrize(("n", "m"), [(2, 2), (3, 5), (10, 4)])
def test_unpaired_is_scipys_welch(n, m, level):
    a, b = gaussian(n, n, spread=0.3), gaussian(50 + m, m)
    assert interval(a, b, level) == pytest.approx(tuple(ttest_ind(a, b, equal_var=False).confidence_interval(level)))


@pytest.mark.parametrize("n", [2, 3, 10])
def test_paired_is_scipys(n):
    a, b = gaussian(n, n), gaussian(n + 50, n)
    assert interval(a, b, paired=True) == pytest.approx(tuple(ttest_rel(a, b).confidence_interval(0.9)))


def test_groups_without_a_coefficient_are_left_aside():
    assert contrast({"a": [1, 3], "b": [math.nan]}, {"a": 2}, level=0.9, paired=False).value == 4


def test_too_few_values_have_no_interval():
    assert contrast({"a": [3], "b": [1, 2]}, DIFFERENCE, level=0.9, paired=False) == Estimate(1.5, None, None, 1)
    assert contrast({"a": [], "b": [1, 2]}, DIFFERENCE, level=0.9, paired=False) == Estimate(None, None, None, 0)
    assert contrast({"a": [], "b": []}, DIFFERENCE, level=0.9, paired=True) == Estimate(None, None, None, 0)


def test_equal_values_have_an_interval_without_width_however_many_they_are():
    assert contrast({"a": [0.1] * 3, "b": [0.1] * 7}, DIFFERENCE, level=0.9, paired=False) == Estimate(0, 0, 0, 3)
    assert interval([1.1] * 3, [1.1] * 5) == (0, 0)


@pytest.mark.parametrize(
    ("a", "b", "level", "paired", "message"),
    [
        ([1, math.nan], [1, 2], 0.9, False, "a: nan is not finite. A run that diverged has no value"),
        ([1, 2], [math.inf, 2], 0.9, True, "b: inf is not finite"),
        ([1, 2], [1, 2, 3], 0.9, True, "Paired groups hold the same seeds: a has 2, b has 3. Run those missing"),
        ([1, 2], [1, 2], 90, False, "level=90: a level lies between 0 and 1, such as 0.9."),
        ([1, 2], [1, 2], 1, False, "level=1"),
    ],
)
def test_what_has_no_interval_is_refused(a, b, level, paired, message):
    with pytest.raises(OptionError) as error:
        interval(a, b, level, paired)
    assert message in str(error.value)


def test_simultaneous_by_hand():
    assert simultaneous(0.9, 5) == pytest.approx(0.98)
    assert simultaneous(0.9, 1) == pytest.approx(0.9)
    assert simultaneous(0.9, 0) == pytest.approx(0.9)


@pytest.mark.parametrize(
    ("text", "margin", "in_unit"),
    [
        ("3%", Margin(0.03, True), 0.12),
        (" 7 % ", Margin(0.07, True), 0.28),
        ("0.2", Margin(0.2, False), 0.2),
        ("0", Margin(0, False), 0),
    ],
)
def test_margins(text, margin, in_unit):
    assert Margin.parse(text) == margin
    assert Margin.parse(text).of(-4) == pytest.approx(in_unit)
    assert str(margin) == text.replace(" ", "")


@given(some.integers(0, 10**9), some.integers(-6, 6), some.sampled_from(["", "%"]))
def test_a_margins_text_gives_it_back(digits, exponent, unit):
    margin = Margin.parse(f"{digits}e{exponent}{unit}")
    assert Margin.parse(str(margin)).of(1) == pytest.approx(margin.of(1), rel=1e-11)
    assert str(Margin.parse(str(margin))) == str(margin)


@pytest.mark.parametrize("text", ["", "%", "much", "-1", "-2%", "nan", "inf%", "3%%", "3 percent"])
def test_what_is_no_margin_is_refused_with_examples(text):
    with pytest.raises(OptionError) as error:
        Margin.parse(text)
    assert str(error.value).startswith(f"`{text}` is not a margin.")
    assert "0.2 in the metric's unit, 3% of the baseline" in str(error.value)


# Two values at 10 + d -+ e beside a baseline of 10: error e, freedom 1, so the interval is d -+ T1 e, T1 = 6.31.
CELLS = [
    (-3, 0.1, "improved"),  # all below 0, d below the mirrored margin
    (-1.1, 0.1, "improved"),  # the interval reaches into the margin, d is below it
    (-1.5, 0, "improved"),
    (-0.9, 0.1, "ok"),  # all below 0, d within the margin
    (-3, 0.6, "ok"),  # d below, the interval reaches beyond 0 and not the margin
    (-3, 1, "inconclusive"),  # it reaches the margin
    (0, 0.1, "ok"),
    (0, 0, "ok"),
    (0.3, 0.02, "ok"),  # worse for sure, and all of it within the margin
    (1, 0, "ok"),
    (0, 0.5, "inconclusive"),
    (0.9, 0.1, "inconclusive"),  # all above 0, d within the margin, the interval beyond it
    (1.1, 0.1, "regressed"),
    (3, 0.1, "regressed"),
    (3, 0.47, "regressed"),  # low = .03
    (3, 0.48, "inconclusive"),  # low = -.03
    (1.5, 0, "regressed"),
]


@pytest.mark.parametrize("margin", ["1", "10%"])
@pytest.mark.parametrize("better", ["lower", "higher"])
@pytest.mark.parametrize(("worse", "spread", "verdict"), CELLS)
def test_every_cell_of_the_table(worse, spread, verdict, better, margin):
    d = worse if better == "lower" else -worse
    found = compare([10 + d - spread, 10 + d + spread], [10, 10], better=better, margin=Margin.parse(margin))
    assert found.verdict == verdict
    assert (found.difference, found.worse, found.relative) == pytest.approx((d, worse, worse / 10))
    assert (found.low, found.high) == pytest.approx((worse - T1 * spread, worse + T1 * spread))
    assert (found.relative_low, found.relative_high) == pytest.approx((found.low / 10, found.high / 10))
    assert (found.baseline, found.margin, found.n) == (10, 1, 2)


def test_a_baseline_below_zero_has_a_margin_above():
    assert compare([-9.9, -9.9], [-10, -10], better="lower", margin=TWO_PERCENT).verdict == "ok"
    assert compare([-9, -9], [-10, -10], better="lower", margin=TWO_PERCENT).relative == pytest.approx(0.1)
    assert compare([-9, -9], [-10, -10], better="lower", margin=TWO_PERCENT).verdict == "regressed"


def test_a_baseline_of_zero_has_no_relative_difference():
    found = compare([1, 1], [0, 0], better="lower", margin=TWO_PERCENT)
    assert (found.relative, found.relative_low, found.margin, found.verdict) == (None, None, 0, "regressed")
    assert compare([0, 0], [0, 0], better="lower", margin=TWO_PERCENT).verdict == "ok"


def test_one_value_a_side_or_none_decides_nothing():
    found = compare([3], [1], better="lower", margin=TWO_PERCENT)
    assert (found.worse, found.relative, found.low, found.relative_low, found.seeds) == (2, 2, None, None, None)
    assert found.verdict == "inconclusive"
    assert compare([3, 3], [1], better="lower", margin=TWO_PERCENT).verdict == "inconclusive"
    assert compare([], [1, 2], better="lower", margin=TWO_PERCENT) == Comparison()
    assert compare([1, 2], [], better="lower", margin=TWO_PERCENT).verdict == "inconclusive"


def test_pairing_takes_away_what_the_seeds_share():
    baseline = [1.0, 2.0, 3.0, 4.0]
    candidate = [value + shift for value, shift in zip(baseline, (0.5, 0.6, 0.4, 0.5), strict=True)]
    assert compare(candidate, baseline, better="lower", margin=NONE).verdict == "inconclusive"
    assert compare(candidate, baseline, better="lower", margin=NONE, paired=True).verdict == "regressed"
    assert compare(candidate, baseline, better="higher", margin=NONE, paired=True).verdict == "improved"


def test_a_higher_level_asks_for_more():
    values = [2.9, 3.1], [0, 0]  # low = 3 - tan(level pi / 2) / 10
    assert compare(*values, better="lower", margin=NONE).verdict == "regressed"
    assert compare(*values, better="lower", margin=NONE, level=0.99).verdict == "inconclusive"


def test_correlation_over_seeds():
    def correlation(a, b):
        return compare(a, b, better="lower", margin=NONE).correlation

    assert correlation([1, 2, 4], [3, 1, -3]) == pytest.approx(-1)
    assert correlation([1, 2, 4], [2, 1, 6]) == pytest.approx(np.corrcoef([1, 2, 4], [2, 1, 6])[0, 1])
    assert correlation([1, 2], [1, 2]) is None
    assert correlation([1, 2, 3], [1, 2, 3, 4]) is None
    assert correlation([1, 2, 3], [5, 5, 5]) is None


def exactly(n, mean, spread):
    """N values of exactly this mean and standard deviation."""
    values = np.linspace(-1, 1, n)
    return (mean + spread * values / values.std(ddof=1)).tolist()


@pytest.mark.parametrize(
    ("worse", "spreads", "margin"),
    [
        (0.1, (0.1, 0.1), TWO_PERCENT),
        (-0.08, (0.2, 0.05), NONE),
        (0.0, (0.03, 0.03), TWO_PERCENT),
        (0.01, (0.02, 0.0), TWO_PERCENT),
        (0.3, (0.01, 0.02), TWO_PERCENT),
    ],
)
@pytest.mark.parametrize(("better", "level"), [("lower", 0.9), ("higher", 0.98)])
def test_seeds_are_the_fewest_that_would_decide(worse, spreads, margin, better, level):
    def found(n):
        d = worse if better == "lower" else -worse
        sides = exactly(n, 1 + d, spreads[0]), exactly(n, 1, spreads[1])
        return compare(*sides, better=better, margin=margin, level=level)

    needed = found(4).seeds
    assert 2 <= needed < 100
    assert found(needed).verdict != "inconclusive"
    assert needed == 2 or found(needed - 1).verdict == "inconclusive"


def test_seeds_of_pairs_are_pairs():
    differences = [0.1, 0.5, 0.3, -0.1]
    baseline = [25, 15, 23, 17]
    candidate = [value + d for value, d in zip(baseline, differences, strict=True)]
    spread = np.std(differences, ddof=1)
    decided = (n for n in range(2, 100) if ttest_1samp(exactly(n, 0.2, spread), 0).confidence_interval(0.9).low > 0)
    assert compare(candidate, baseline, better="lower", margin=NONE, paired=True).seeds == next(decided)
    assert compare(candidate, baseline, better="lower", margin=NONE).seeds is None


def test_where_a_hundred_seeds_would_not_decide_none_are_proposed():
    assert compare(exactly(5, 1.02, 0.1), exactly(5, 1, 0.1), better="lower", margin=TWO_PERCENT).seeds is None
    assert compare(exactly(5, 1.001, 0.1), exactly(5, 1, 0.1), better="lower", margin=NONE).seeds is None
    assert 80 < compare(exactly(5, 1.025, 0.1), exactly(5, 1, 0.1), better="lower", margin=NONE).seeds <= 100
    assert compare([3, 3], [1, 1], better="lower", margin=NONE).seeds == 2


series = some.lists(some.integers(-(2**20), 2**20).map(lambda number: number / 2**10), min_size=2, max_size=6)
margins = some.floats(0, 0.5).map(lambda value: Margin(value, True))


@given(series, series, some.floats(0, 100), some.sampled_from(["lower", "higher"]))
def test_swapped_sides_have_mirrored_verdicts(a, b, margin, better):
    there = compare(a, b, better=better, margin=Margin(margin, False))
    back = compare(b, a, better=better, margin=Margin(margin, False))
    assert back.worse == -there.worse
    assert (back.low, back.high) == (-there.high, -there.low)
    for verdict, mirrored in MIRROR.items():
        assert (there.verdict == verdict) == (back.verdict == mirrored)


@given(series, series, margins, some.integers(-20, 20))
def test_the_unit_changes_no_verdict(a, b, margin, exponent):
    # by a power of 2, which is exact
    there, scaled = (
        compare([x * by for x in a], [x * by for x in b], better="lower", margin=margin) for by in (1, 2.0**exponent)
    )
    assert (there.verdict, there.seeds, there.relative) == (scaled.verdict, scaled.seeds, scaled.relative)


@given(some.data(), some.integers(-1000, 1000))
def test_a_constant_changes_no_verdict(data, constant):
    quads = some.lists(some.integers(-1000, 1000), min_size=4, max_size=4)  # means of four integers are exact
    a, b, margin = data.draw(quads), data.draw(quads), Margin(0.1 + data.draw(some.integers(0, 50)), False)
    there, moved = (
        compare([x + by for x in a], [x + by for x in b], better="higher", margin=margin) for by in (0, constant)
    )
    assert (there.verdict, there.seeds, there.worse) == (moved.verdict, moved.seeds, moved.worse)


@given(series, series, margins)
def test_a_better_that_is_turned_is_values_that_are_turned(a, b, margin):
    higher = compare(a, b, better="higher", margin=margin)
    lower = compare([-x for x in a], [-x for x in b], better="lower", margin=margin)
    assert (higher.verdict, higher.worse, higher.seeds) == (lower.verdict, lower.worse, lower.seeds)


# How often is it wrong? Means of 1; noise is the standard deviation.
def noisy(kind, shape, noise, mean=1.0, seed=0):
    rng = np.random.default_rng(seed)
    if kind == "normal":
        return (mean + noise * rng.standard_normal(shape)).tolist()
    raw = rng.lognormal(size=shape)  # skewness 6.2
    return (mean + noise * (raw - math.exp(0.5)) / math.sqrt((math.e - 1) * math.e)).tolist()


def upper_bound(hits, count):
    """Upper 99 % bound of a rate (Clopper & Pearson, 1934)."""
    return binomtest(hits, count, alternative="less").proportion_ci(0.99).high


@pytest.mark.parametrize("margin", [NONE, TWO_PERCENT], ids=str)
@pytest.mark.parametrize("n", [3, 5, 10])
@pytest.mark.parametrize("kind", ["normal", "skewed"])
def test_false_alarms_are_as_rare_as_said(kind, n, margin):
    # 100 alarms in 2000 simulations, .05, would have a bound of .0625; 500 in 10 000 have one of .0553
    pairs = noisy(kind, (10_000, 2, n), 0.05)
    verdicts = [compare(a, b, better="lower", margin=margin).verdict for a, b in pairs]
    assert upper_bound(verdicts.count("regressed"), len(verdicts)) <= 0.06
    assert upper_bound(verdicts.count("improved"), len(verdicts)) <= 0.06


@pytest.mark.parametrize("n", [3, 10])
def test_false_alarms_of_pairs_are_as_rare_as_said(n):
    pairs = np.array(noisy("normal", (10_000, 2, n), 0.05)) + np.array(noisy("normal", (10_000, 1, n), 0.2, seed=1))
    verdicts = [compare(a, b, better="lower", margin=NONE, paired=True).verdict for a, b in pairs.tolist()]
    assert verdicts.count("regressed") / len(verdicts) > 0.04
    assert upper_bound(verdicts.count("regressed"), len(verdicts)) <= 0.06


def test_seven_comparisons_have_one_alarm_rate_together():
    families = noisy("normal", (2000, 8, 5), 0.05)

    def alarms(level):
        return sum(
            any(
                compare(other, base, better="lower", margin=NONE, level=level).verdict == "regressed"
                for other in others
            )
            for base, *others in families
        )

    assert upper_bound(alarms(simultaneous(0.9, 7)), len(families)) <= 0.06
    assert alarms(0.9) / len(families) > 0.15


@pytest.mark.parametrize(("noise", "power"), [(0.03, 0.999), (0.05, 0.9), (0.1, 0.4)])
def test_a_planted_regression_of_a_tenth_is_found_as_often_as_said(noise, power):
    pairs = zip(noisy("normal", (10_000, 5), noise, 1.1), noisy("normal", (10_000, 5), noise, seed=1), strict=True)
    verdicts = [compare(a, b, better="lower", margin=TWO_PERCENT).verdict for a, b in pairs]
    assert verdicts.count("regressed") / len(verdicts) == pytest.approx(power, abs=0.03)


@pytest.mark.parametrize(("n", "least", "most"), [(3, 0.9, 0.94), (5, 0.9, 0.92), (10, 0.89, 0.91)])
def test_intervals_hold_what_they_should(n, least, most):
    pairs = zip(noisy("normal", (10_000, n), 0.1, 1.3), noisy("normal", (10_000, n), 0.1, seed=1), strict=True)
    found = [compare(a, b, better="lower", margin=NONE) for a, b in pairs]
    assert least < sum(one.low <= 0.3 <= one.high for one in found) / len(found) < most
