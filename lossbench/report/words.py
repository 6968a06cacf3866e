"""How numbers are said: in the unit that people know, with their interval, worse or better in words."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from lossbench.bench.stats import MOST_SEEDS
from lossbench.screen import unit_of

Fact = Mapping[str, Any]
ARROW = {"lower": "↓", "higher": "↑"}


def title(name: str, metric: Fact) -> str:
    """Return for example ``A2B/kid (x100, lower is better)``."""
    return f"{name} ({', '.join(filter(None, (unit_of(metric), metric['better'] + ' is better')))})"


def short(name: str, metric: Fact) -> str:
    """Return for example ``A2B/kid ↓ (x100)``."""
    return " ".join([name, ARROW[metric["better"]], *([f"({unit_of(metric)})"] if unit_of(metric) else [])])


def number(value: float | None, metric: Fact, digits: int = 4) -> str:
    """Return a value as people see it."""
    if value is None:
        return "-"
    shown = value * metric["shown"]
    return f"{shown:.0f}" if abs(shown) >= 10**digits else f"{shown:.{digits}g}"


def mean(values: Sequence[float], metric: Fact, digits: int = 4) -> str:
    """Return the mean over seeds as people see it."""
    return number(statistics.fmean(values) if values else None, metric, digits)


def error(values: Sequence[float], metric: Fact) -> str:
    """Return the standard error of a mean over seeds, of one seed nothing."""
    if len(values) < 2:
        return ""
    return f"± {statistics.stdev(values) / len(values) ** 0.5 * metric['shown']:.2g}"


def apart(row: Fact) -> str:
    """Return how far a row is from what it is compared with, such as ``10 % worse (6 to 14 % worse)``."""
    if row.get("worse") is None:
        return ""
    keys = (
        ("relative", "relative_low", "relative_high") if row.get("relative") is not None else ("worse", "low", "high")
    )
    numbers: list[Any] = [row.get(key) for key in keys]
    middle, low, high = numbers
    factor, sign = (100, " %") if keys[0] == "relative" else (1, "")
    said = f"{_size(middle * factor)}{sign} {_way(middle)}"
    if low is None or high is None:
        return said
    ends = sorted((low, high), key=abs)
    if low * high >= 0:
        return f"{said} ({_size(ends[0] * factor)} to {_size(ends[1] * factor)}{sign} {_way(middle)})"
    far = [f"over 100{sign}" if sign and abs(end) > 1 else f"{_size(end * factor)}{sign}" for end in (low, high)]
    return f"{said} ({far[0]} better to {far[1]} worse)"


def told(row: Fact) -> str:
    """Return a verdict in the language of its question: a loss does not regress, it is worse than none."""
    return str(row.get("told") or row["verdict"])


def _size(value: float) -> str:
    return f"{abs(value):.0f}" if 100 <= abs(value) < math.inf else f"{abs(value):.3g}"


def _way(worse: float) -> str:
    return "worse" if worse > 0 else "better" if worse else "apart"


def percent(share: float) -> str:
    """Return a share of 1 as ``12 %``."""
    return f"{_size(100 * share)} %"


def more_seeds(row: Fact) -> str:
    """Return how many seeds would decide what is inconclusive."""
    if row["n"] < 2:
        return "needs two seeds for an interval"
    return f"needs {row['seeds']} seeds" if row["seeds"] else f"needs more than {MOST_SEEDS} seeds"


def listed(words: Sequence[str], most: int = 3, between: str = ", ") -> str:
    """Return ``a, b, c and 4 more``."""
    some = between.join(words[:most])
    return some if len(words) <= most else f"{some} and {len(words) - most} more"


def plural(count: int, word: str) -> str:
    """Return ``1 run``, ``2 runs``."""
    return f"{count} {word}{'s' * (count != 1)}"


def machine(environment: Fact) -> str:
    """Return where numbers were computed."""
    threads, packages = environment["threads"], environment["packages"]
    commit = str(environment.get("commit") or "")[:10]
    code = f"commit {commit}{', changed since' * bool(environment.get('dirty'))}" if commit else "installed"
    on = "" if environment["device"] == "cpu" else f", {environment['device']}"
    return (
        f"{environment['cpu']}{on}, {plural(threads, 'thread')}, torch {packages.get('torch')}, "
        f"lossbench {packages.get('lossbench')} ({code})"
    )
