"""How often the verdicts of ``lossbench bench`` are wrong, and how often they find what is there: simulated.

    python benchmarks/verdicts.py                            # into benchmarks/results/statistics.json; two minutes
    python benchmarks/verdicts.py --simulations 500 --out try.json

Every rate is a count over draws of ``compare`` itself, with its 99 % interval (Clopper & Pearson, 1934). Means are 1,
noise is the standard deviation. Skewed noise is a lognormal of shape 1, skewness 6.2. Intervals are of 90 %, so one
comparison may alarm in 5 %.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import binomtest

from lossbench.bench.stats import Comparison, Margin, compare, simultaneous
from lossbench.files import write_json
from lossbench.record import environment

SEEDS = (3, 5, 8, 10)
NOISE = 0.05
PLANTED = 0.1
FAMILY = 7
ZERO, USUAL = Margin.parse("0"), Margin.parse("2%")
Pair = tuple[list[float], list[float]]  # candidate, baseline


def normal(rng: np.random.Generator, n: int) -> np.ndarray:
    """Draw with mean 0 and deviation 1."""
    return rng.standard_normal(n)


def skewed(rng: np.random.Generator, n: int) -> np.ndarray:
    """Draw with mean 0 and deviation 1, most of it a little below, some of it far above."""
    return (rng.lognormal(size=n) - math.exp(0.5)) / math.sqrt((math.e - 1) * math.e)


KINDS = {"normal": normal, "skewed": skewed}


class Lab:
    """Draws, a stream of its own for each question."""

    def __init__(self, simulations: int) -> None:
        self.simulations = simulations
        self.question = 0

    def pairs(
        self, n: int, kind: str = "normal", noise: tuple[float, float] = (NOISE, NOISE), worse: float = 0.0
    ) -> Iterator[Pair]:
        """Yield candidate and baseline; noise of either."""
        rng = self.stream()
        for _ in range(self.simulations):
            candidate, baseline = (KINDS[kind](rng, n) * spread for spread in noise)
            yield (1 + worse + candidate).tolist(), (1 + baseline).tolist()

    def stream(self) -> np.random.Generator:
        """Return the next one."""
        self.question += 1
        return np.random.default_rng([0, self.question])


def judged(pairs: Iterable[Pair], margin: Margin = ZERO, **options: Any) -> list[Comparison]:
    """Compare all, lower being better."""
    return [compare(*pair, better="lower", margin=margin, **options) for pair in pairs]


def rate(hits: Sequence[bool]) -> dict[str, Any]:
    """Return a rate with its interval."""
    bounds = binomtest(sum(hits), len(hits)).proportion_ci(0.99)
    return {"rate": sum(hits) / len(hits), "interval": [float(bounds.low), float(bounds.high)], "n": len(hits)}


def verdicts(found: Sequence[Comparison]) -> dict[str, Any]:
    """Return the rate of either alarm."""
    return {word: rate([one.verdict == word for one in found]) for word in ("regressed", "improved")}


def alarms(lab: Lab) -> list[dict[str, Any]]:
    """Return what is found where there is nothing."""
    return [
        {"seeds": n, "noise": kind, "margin": str(margin), **verdicts(judged(lab.pairs(n, kind), margin))}
        for n, kind, margin in product(SEEDS, KINDS, (ZERO, USUAL))
    ]


def unequal(lab: Lab) -> list[dict[str, Any]]:
    """Return what is found where the sides differ in their spread alone, three to one."""
    return [
        {"seeds": n, "noise": kind, "wider": wider, **verdicts(judged(lab.pairs(n, kind, spreads)))}
        for n, kind in product(SEEDS, KINDS)
        for wider, spreads in (("candidate", (3 * NOISE, NOISE)), ("baseline", (NOISE, 3 * NOISE)))
    ]


def coverage(lab: Lab) -> list[dict[str, Any]]:
    """Return how often the interval holds the difference."""

    def held(n: int, kind: str) -> list[bool]:
        found = judged(lab.pairs(n, kind, worse=PLANTED))
        return [one.low is not None and one.high is not None and one.low <= PLANTED <= one.high for one in found]

    return [{"seeds": n, "noise": kind, **rate(held(n, kind))} for n, kind in product(SEEDS, KINDS)]


def power(lab: Lab) -> list[dict[str, Any]]:
    """Return how often a regression of 10 % is found, by noise and margin."""
    return [
        {
            "seeds": n,
            "noise": noise,
            "margin": str(margin),
            **rate(
                [one.verdict == "regressed" for one in judged(lab.pairs(n, "normal", (noise, noise), PLANTED), margin)]
            ),
        }
        for n, noise, margin in product(SEEDS, (0.03, 0.05, 0.1), (ZERO, USUAL, Margin.parse("5%")))
    ]


def families(lab: Lab) -> list[dict[str, Any]]:
    """Return how often one of seven comparisons with one baseline alarms, each at its own level or all together."""

    def any_alarm(n: int, level: float) -> list[bool]:
        drawn = (1 + NOISE * lab.stream().standard_normal((lab.simulations, FAMILY + 1, n))).tolist()
        return [
            any(one.verdict == "regressed" for one in judged(((other, base) for other in others), level=level))
            for base, *others in drawn
        ]

    return [
        {"seeds": n, "comparisons": FAMILY, "level": level, **rate(any_alarm(n, level))}
        for n, level in product(SEEDS, (0.9, simultaneous(0.9, FAMILY)))
    ]


def narrower(apart: Comparison, paired: Comparison) -> Comparison:
    """Choose by width."""
    return min(apart, paired, key=lambda one: (one.high or 0.0) - (one.low or 0.0))


PAIRING: dict[str, Callable[[Comparison, Comparison], Comparison]] = {
    "unpaired": lambda apart, paired: apart,
    "paired": lambda apart, paired: paired,
    "paired if the correlation is above 0": lambda apart, paired: paired if (apart.correlation or 0) > 0 else apart,
    "paired if the correlation is above .5": lambda apart, paired: paired if (apart.correlation or 0) > 0.5 else apart,
    "whichever is narrower": narrower,
    "whichever alarms": lambda apart, paired: apart if apart.verdict == "regressed" else paired,
}


def pairing(lab: Lab) -> list[dict[str, Any]]:
    """Return false alarms where pairing is fixed, and where it is chosen after looking; sides are independent."""
    rows = []
    for n in SEEDS:
        pairs = list(lab.pairs(n))
        both = list(zip(judged(pairs), judged(pairs, paired=True), strict=True))
        for rule, chosen in PAIRING.items():
            rows.append({"seeds": n, "rule": rule, **rate([chosen(*two).verdict == "regressed" for two in both])})
    return rows


def margins(lab: Lab) -> list[dict[str, Any]]:
    """Return how often a candidate that is worse by all of the margin is ok; relative, as if the mean were known."""
    return [
        {
            "seeds": n,
            "margin": str(margin),
            **rate([one.verdict == "ok" for one in judged(lab.pairs(n, worse=margin.value), margin)]),
        }
        for n in SEEDS
        for share in (0.02, 0.05, 0.2)
        for margin in (Margin(share, False), Margin(share, True))
    ]


def main() -> None:
    """Simulate, and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--simulations", type=int, default=10_000)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "statistics.json")
    asked = parser.parse_args()
    lab = Lab(asked.simulations)
    report: dict[str, Any] = {"schema": 1, "what": "statistics", "noise": NOISE, "planted": PLANTED}
    report["environment"] = environment("cpu", 1)
    for question in (alarms, unequal, coverage, power, families, pairing, margins):
        report[question.__name__] = question(lab)
        print(question.__name__, len(report[question.__name__]), flush=True)
    asked.out.parent.mkdir(parents=True, exist_ok=True)
    write_json(asked.out, report)


if __name__ == "__main__":
    main()
