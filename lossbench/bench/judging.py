"""A group of runs beside another: what both questions come to, whether a loss helps and whether a change broke it.

Pure functions of the cells that a report holds.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from lossbench.bench.stats import Margin, compare

Cells = Sequence[Mapping[str, Any]]
FAILED = ("failed", "diverged")


@dataclass(frozen=True)
class Sample:
    """A group's values of one metric in the order of its runs, and the seeds that have none."""

    seeds: Sequence[int]
    values: Sequence[float]
    failed: Sequence[int]
    missing: Sequence[int]

    @property
    def lost(self) -> Sequence[int]:
        """Return the seeds without a value."""
        return [*self.failed, *self.missing]


@dataclass(frozen=True)
class Rule:
    """How groups are compared; ``level`` is that of each interval."""

    better: str
    margin: Margin
    level: float
    paired: bool


def sample(cells: Cells, name: str) -> Sample:
    """Return what a group of cells has of a metric; a run that is whole may have nothing to measure."""
    measured = [cell for cell in cells if cell["status"] == "ok" and cell["values"].get(name) is not None]
    failed = [cell["seed"] for cell in cells if cell["status"] in FAILED]
    seeds = [cell["seed"] for cell in measured]
    missing = sorted({cell["seed"] for cell in cells} - {*failed, *seeds})
    return Sample(seeds, [cell["values"][name] for cell in measured], failed, missing)


def beside(candidate: Sample, base: Sample, rule: Rule, reason: str = "") -> dict[str, Any]:
    """Return a comparison, seed by seed where that is the rule and both have the same, and its verdict.

    Where runs are lost, what is left of them is no fair sample; ``reason`` says why nothing can be compared.
    """
    same = list(candidate.seeds) == list(base.seeds)
    found = compare(
        candidate.values, base.values, better="lower" if rule.better == "lower" else "higher", margin=rule.margin,
        level=rule.level, paired=rule.paired and same,
    )  # fmt: skip
    shares = {key: getattr(found, key) for key in ("relative", "relative_low", "relative_high")}
    lost = next((word for word in ("failed", "missing") if getattr(candidate, word)), "")
    told = lost or ("incomparable" if reason else found.verdict)
    return asdict(found) | shares | ({} if same else {"correlation": None}) | {"verdict": told}


def incomplete(name: str, base: Sample) -> str:
    """Say why nothing can be compared with a group, if so."""
    seeds = ", ".join(map(str, base.lost))
    return f"nothing is compared with {name}, which has no value of seed {seeds}" if base.lost else ""


def meant(word: str, names: Iterable[str]) -> str | None:
    """Return the metric that a word names, of one without a direction the first direction's."""
    return next((name for name in names if word in (name, name.rpartition("/")[2])), None)
