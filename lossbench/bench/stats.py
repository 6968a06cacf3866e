"""Is a difference between groups of runs more than luck? Pure functions of numbers.

Everything that is compared is a contrast of group means, sum c_i mean_i: a difference, a main effect, an interaction, a
Shapley value. One function gives them all their intervals (Welch, 1947), which hold with few seeds where a percentile
bootstrap does not. All intervals are two-sided: one of 90 % is a one-sided gate of 5 % in each direction.
"""

from __future__ import annotations

import math
import operator
import statistics
from bisect import bisect_left
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeVar

from scipy.special import stdtrit

from lossbench.errors import OptionError

Verdict = Literal["improved", "ok", "inconclusive", "regressed"]
Key = TypeVar("Key", bound=Hashable)
Terms = list[tuple[float, list[float]]]  # coefficient, values of a group
MOST_SEEDS = 100  # a side; more are not proposed


@dataclass(frozen=True)
class Estimate:
    """A value and its interval, all in the unit of the values; None where there are too few of them.

    Attributes:
        value: needs one value in each group.
        low: needs two.
        high: needs two.
        n: the fewest values in a group.
    """

    value: float | None
    low: float | None
    high: float | None
    n: int


def contrast(
    groups: Mapping[Key, Sequence[float]], coefficients: Mapping[Key, float], *, level: float, paired: bool
) -> Estimate:
    """Return sum c_i mean_i with its interval.

    Unpaired: variance sum c_i^2 s_i^2 / n_i and the degrees of freedom of Welch (1947). Paired: Student's interval of
    the contrast of each seed (Student, 1908). Without any spread the interval is the value.

    Args:
        groups: values by group; paired, in the same order of seeds.
        coefficients: by group; groups without one are left aside.
        level: coverage in (0, 1), two-sided.
        paired: whether values at the same place share a seed.

    Raises:
        OptionError: a value that is not finite, a level outside (0, 1), paired groups of different lengths.
    """
    terms = _terms(groups, coefficients, paired)
    counts = [len(values) for _, values in terms]
    if min(counts) == 0:
        return Estimate(None, None, None, 0)
    value = math.fsum(coefficient * _mean(values) for coefficient, values in terms)
    if min(counts) == 1:
        return Estimate(value, None, None, 1)
    half = _half_width(_variances(terms), counts, level)
    return Estimate(value, value - half, value + half, min(counts))


def _terms(groups: Mapping[Key, Sequence[float]], coefficients: Mapping[Key, float], paired: bool) -> Terms:
    """Return coefficients and values; paired, one group of the contrasts of each seed."""
    terms = [(coefficient, _finite(key, groups[key])) for key, coefficient in coefficients.items()]
    if not paired:
        return terms
    if len({len(values) for _, values in terms}) > 1:
        counts = ", ".join(f"{key} has {len(groups[key])}" for key in coefficients)
        raise OptionError(f"Paired groups hold the same seeds: {counts}. Run those missing, or compare unpaired.")
    factors, columns = zip(*terms, strict=True)
    return [(1.0, [math.fsum(map(operator.mul, factors, row)) for row in zip(*columns, strict=True)])]


def _finite(key: Hashable, values: Sequence[float]) -> list[float]:
    for value in values:
        if not math.isfinite(value):
            raise OptionError(
                f"{key}: {value} is not finite. A run that diverged has no value: leave it out, and say so."
            )
    return [float(value) for value in values]


def _mean(values: Sequence[float]) -> float:
    # from the first value on: equal values give themselves, whatever their number
    return values[0] + statistics.fmean(value - values[0] for value in values)


def _variances(terms: Terms) -> list[float]:
    """Return c^2 s^2 of each group of two values or more."""
    return [coefficient**2 * _variance(values) for coefficient, values in terms]


def _variance(values: Sequence[float]) -> float:
    mean = _mean(values)
    return math.fsum((value - mean) ** 2 for value in values) / (len(values) - 1)


def _half_width(variances: Sequence[float], counts: Sequence[int], level: float) -> float:
    """Return half of Welch's interval of a sum of means, each of two values or more."""
    if not 0 < level < 1:
        raise OptionError(f"level={level}: a level lies between 0 and 1, such as 0.9.")
    errors = [variance / n for variance, n in zip(variances, counts, strict=True)]
    if not (total := math.fsum(errors)):
        return 0.0
    freedom = 1 / math.fsum((error / total) ** 2 / (n - 1) for error, n in zip(errors, counts, strict=True))
    return float(stdtrit(freedom, (1 + level) / 2)) * math.sqrt(total)


def simultaneous(level: float, comparisons: int) -> float:
    """Return the level of each interval at which all of them hold at once with ``level`` or more (Bonferroni)."""
    return 1 - (1 - level) / max(comparisons, 1)


@dataclass(frozen=True)
class Margin:
    """How much worse is not worth a word: in the metric's unit, or relative to the baseline's mean.

    Attributes:
        value: from 0 on; relative, a share of 1.
        relative: whether it is one.
    """

    value: float
    relative: bool

    @classmethod
    def parse(cls, text: str) -> Margin:
        """Return the margin that a text means, such as ``3%`` or ``0.2``.

        Raises:
            OptionError: it is none.
        """
        number = text.strip().removesuffix("%")
        relative = number != text.strip()
        try:
            value = float(number) / (100 if relative else 1)
        except ValueError:
            value = math.nan
        if not 0 <= value < math.inf:
            raise OptionError(
                f"`{text}` is not a margin. It is a number from 0 on: 0.2 in the metric's unit, 3% of the baseline."
            )
        return cls(value, relative)

    def __str__(self) -> str:
        """Return for example ``3%``, with 12 digits or fewer."""
        return f"{100 * self.value:.12g}%" if self.relative else f"{self.value:.12g}"

    def of(self, baseline: float) -> float:
        """Return it in the metric's unit, beside a baseline's mean."""
        return self.value * abs(baseline) if self.relative else self.value


@dataclass(frozen=True)
class Comparison:
    """A candidate beside a baseline; None where there are too few values.

    Attributes:
        difference: candidate - baseline, in the metric's unit.
        worse: the same, turned so that + is worse.
        low: lower end of the interval of ``worse``.
        high: upper end.
        baseline: the baseline's mean.
        margin: in the metric's unit.
        verdict: what this comes to.
        seeds: how many a side would decide at this spread and this difference; None where 100 would not.
        correlation: of the sides' values in their order, those of equal seeds; None with fewer than three pairs or
            without spread. It is for the next suite: pairing chosen after seeing it raises false alarms.
        n: the fewest values of a side.
    """

    difference: float | None = None
    worse: float | None = None
    low: float | None = None
    high: float | None = None
    baseline: float | None = None
    margin: float | None = None
    verdict: Verdict = "inconclusive"
    seeds: int | None = None
    correlation: float | None = None
    n: int = 0

    @property
    def relative(self) -> float | None:
        """``worse`` as a share of the baseline's mean; None where that is 0."""
        return self._share(self.worse)

    @property
    def relative_low(self) -> float | None:
        """``low`` as a share of the baseline's mean."""
        return self._share(self.low)

    @property
    def relative_high(self) -> float | None:
        """``high`` as a share of the baseline's mean."""
        return self._share(self.high)

    def _share(self, value: float | None) -> float | None:
        return value / abs(self.baseline) if value is not None and self.baseline else None


def compare(
    candidate: Sequence[float],
    baseline: Sequence[float],
    *,
    better: Literal["lower", "higher"],
    margin: Margin,
    level: float = 0.9,
    paired: bool = False,
) -> Comparison:
    """Judge a candidate beside a baseline, d = worse, m = margin, [low, high] the interval of d.

    improved: high < 0 and d < -m. regressed: low > 0 and d > m. ok: high <= m. Otherwise, or without an interval,
    inconclusive. Where nothing varies there is always a verdict: a difference of 0 is ok with a margin of 0.

    The level holds where noise is normal, or skewed alike on both sides. Where it is skewed and one side varies much
    more than the other, few seeds miss the tail, and alarms are false more often (benchmarks/verdicts.py).
    A relative margin is a share of the baseline's mean as measured. That cannot add false alarms, since a margin only
    takes alarms away; an ok is wrong more often than the level says, which shows at margins of 20 %, not of 5 %.

    Args:
        candidate: a value for each seed, in the metric's unit.
        baseline: the same; paired, in the same order of seeds.
        better: which values are.
        margin: how much worse is not worth a word.
        level: coverage in (0, 1), two-sided; at 0.9 a false alarm has 5 %.
        paired: fixed before the values are seen.

    Raises:
        OptionError: as in ``contrast``.
    """
    sign = 1.0 if better == "lower" else -1.0
    sides, signs = {"candidate": candidate, "baseline": baseline}, {"candidate": sign, "baseline": -sign}
    worse = contrast(sides, signs, level=level, paired=paired)
    if worse.value is None:
        return Comparison()
    limit = margin.of(_mean(baseline))
    return Comparison(
        difference=_mean(candidate) - _mean(baseline),
        worse=worse.value,
        low=worse.low,
        high=worse.high,
        baseline=_mean(baseline),
        margin=limit,
        verdict=_verdict(worse, limit),
        seeds=_seeds(_variances(_terms(sides, signs, paired)), worse.value, limit, level) if worse.n > 1 else None,
        correlation=_correlation(candidate, baseline),
        n=worse.n,
    )


def _verdict(worse: Estimate, limit: float) -> Verdict:
    if worse.value is None or worse.low is None or worse.high is None:
        return "inconclusive"
    if worse.low > 0 and worse.value > limit:
        return "regressed"
    if worse.high < 0 and worse.value < -limit:
        return "improved"
    return "ok" if worse.high <= limit else "inconclusive"


def _seeds(variances: Sequence[float], worse: float, limit: float, level: float) -> int | None:
    """Return the fewest seeds a side, two or more, whose interval would decide."""

    def decides(n: int) -> bool:
        half = _half_width(variances, [n] * len(variances), level)
        return _verdict(Estimate(worse, worse - half, worse + half, n), limit) != "inconclusive"

    n = bisect_left(range(MOST_SEEDS + 1), True, lo=2, key=decides)  # intervals only shrink
    return n if n <= MOST_SEEDS else None


def _correlation(candidate: Sequence[float], baseline: Sequence[float]) -> float | None:
    if len(candidate) < 3:
        return None
    try:
        return statistics.correlation(candidate, baseline)
    except statistics.StatisticsError:  # no spread, or not as many
        return None
