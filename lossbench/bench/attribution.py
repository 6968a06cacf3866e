"""Which loss earned its place? From values of all on/off combinations, what each loss does, and each pair together."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

from lossbench.bench.stats import Estimate, contrast
from lossbench.errors import OptionError

Setting = frozenset[str]  # the losses that are on


@dataclass(frozen=True)
class Attribution:
    """What losses do to a metric, in its unit, on minus off: whether + is better is the metric's to say.

    Attributes:
        main: by loss, on minus off, mean over all settings of the others (Fisher, 1935).
        interactions: by pair in alphabetical order, what the first does with the second on minus what it does with
            that off, mean over all settings of the others. Some books print half of it; whole, it is a difference of
            two effects that can be looked up, and 0 means either way that the two do not touch each other.
        shapley: by loss, what it adds, mean over all orders of switching on (Shapley, 1953). They share out the
            difference of everything on to everything off. They are the main effects unless three losses interact.
    """

    main: dict[str, Estimate]
    interactions: dict[tuple[str, str], Estimate]
    shapley: dict[str, Estimate]


def effects(values: Mapping[Setting, Sequence[float]], *, level: float, paired: bool) -> Attribution:
    """Return main effects, interactions and Shapley values, each a contrast of all combinations with its interval.

    Args:
        values: a value for each seed by combination, of all 2^k of k losses.
        level: coverage in (0, 1) of each interval by itself, two-sided.
        paired: whether values at the same place share a seed.

    Raises:
        OptionError: a combination is missing, and as in ``contrast``.
    """
    losses = sorted(frozenset().union(*values))
    _whole(values, losses)
    count = len(losses)
    groups = {_name(setting): series for setting, series in values.items()}

    def estimate(coefficients: dict[Setting, float]) -> Estimate:
        named = {_name(setting): coefficient for setting, coefficient in coefficients.items()}
        return contrast(groups, named, level=level, paired=paired)

    return Attribution(
        main={a: estimate({s: _sign(s, a) / 2 ** (count - 1) for s in values}) for a in losses},
        interactions={
            (a, b): estimate({s: _sign(s, a) * _sign(s, b) / 2 ** (count - 2) for s in values})
            for a, b in combinations(losses, 2)
        },
        # of all orders, the share in which the others that are on come before a and the rest after it
        shapley={
            a: estimate({s: _sign(s, a) / count / math.comb(count - 1, len(s - {a})) for s in values}) for a in losses
        },
    )


def _sign(setting: Setting, loss: str) -> int:
    return 1 if loss in setting else -1


def _name(setting: Setting) -> str:
    return ",".join(sorted(setting)) or "none of them"


def _whole(values: Mapping[Setting, Sequence[float]], losses: Sequence[str]) -> None:
    settings = [frozenset(on) for size in range(len(losses) + 1) for on in combinations(losses, size)]
    if missing := [setting for setting in settings if setting not in values]:
        raise OptionError(
            f"Attribution to {', '.join(losses)} needs all {len(settings)} combinations of them on and off; "
            f"{len(missing)} missing, such as: {_name(missing[0])}. Run them with --combine all."
        )
