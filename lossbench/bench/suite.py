"""What a bench is to find out: which combinations of losses, how often, judged by what. Fixed before it begins.

A suite is a run's TOML file with a table ``[bench]`` beside the settings of the run, so that every cell of it is an
ordinary run: ``lossbench run --config SUITE --plugins cycle,idt --seed 0``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Annotated, Any, Literal

import tomli_w
from pydantic import BeforeValidator, Field

from lossbench.bench.stats import Margin
from lossbench.config import nested
from lossbench.errors import OptionError, near_miss
from lossbench.options import listed, validated
from lossbench.settings import Section

Combination = tuple[str, ...]  # words of plugins, in the order in which they are added
WAYS = ("all", "leave-one-out", "add-one", "pairs")
MOST = 1024


Words = Annotated[tuple[str, ...], BeforeValidator(listed)]


class BenchSettings(Section):
    """How combinations are made and compared."""

    combine: Words = Field(("all",), description="all, leave-one-out, add-one, pairs; or cycle+idt,cycle+tv")
    always: Words = Field((), description="losses of every combination")
    seeds: int = Field(5, ge=1, le=100, description="runs of each combination")
    baseline: str = Field("", description="what others are compared with: the smallest, or of leave-one-out the whole")
    primary: Words = Field(
        (),
        description="metrics that verdicts are about, fixed beforehand: kid, B2A/kid; the first one if none",
    )
    margin: Annotated[str, BeforeValidator(str)] = Field(
        "2%", description="a worse value within it is still ok: a share, or in the metric's unit"
    )
    level: float = Field(0.9, gt=0.5, lt=1, description="of two-sided intervals, which all hold together")
    pairing: Literal["seed", "none"] = Field("none", description="compare seed by seed, or as two groups")


@dataclass(frozen=True)
class Suite:
    """The settings of every run by dotted key, the losses that are combined, and how."""

    keys: dict[str, Any]
    plugins: Combination
    bench: BenchSettings
    adversary: str | None  # the recipe's, which is all that is left where nothing is chosen

    @property
    def margin(self) -> Margin:
        """Return what is not worth a verdict."""
        return Margin.parse(self.bench.margin)

    @property
    def config(self) -> dict[str, Any]:
        """Return the settings of a run, which leave it those of the losses that it has."""
        return {"plugins": list(self.plugins), **self.keys}

    def combinations(self) -> list[Combination]:
        """Return every combination, the baseline first.

        Raises:
            OptionError: one that cannot be made, or too many.
        """
        found = list(dict.fromkeys(map(self._ordered, self._chosen())))
        if not all(found):
            raise OptionError("A combination has no loss at all. Name what every one has: --always LOSS")
        if len(found) > MOST:
            raise OptionError(f"{len(found)} combinations are more than {MOST}. Choose some: --combine add-one")
        base = self.baseline()
        if base not in found:
            there = ", ".join(map(label, found))
            close = near_miss(self.bench.baseline, map(label, found))
            raise OptionError(f"bench.baseline={self.bench.baseline}: no such combination.{close} There are: {there}.")
        return [base, *(each for each in found if each != base)]

    def baseline(self) -> Combination:
        """Return the combination that others are compared with."""
        if self.bench.baseline:
            return self._ordered(self._words(self.bench.baseline))
        whole = self.bench.combine == ("leave-one-out",)
        return (max if whole else min)(map(self._ordered, self._chosen()), key=len)

    def toml(self) -> str:
        """Return the suite as a file."""
        bench = {f"bench.{key}": value for key, value in self.bench.model_dump().items()}
        return tomli_w.dumps(nested({**self.config, **bench}))

    def _chosen(self) -> Iterator[Combination]:
        always = tuple(self._word(word) for word in self.bench.always)
        free = [word for word in self.plugins if word not in always]
        match self.bench.combine:
            case ("all",):
                yield from (always + some for n in range(len(free) + 1) for some in combinations(free, n))
            case ("leave-one-out",):
                yield always + tuple(free)
                yield from (always + tuple(each for each in free if each != word) for word in free)
            case ("add-one",):
                yield from (always + some for n in range(2) for some in combinations(free, n))
            case ("pairs",):
                yield from (always + some for n in range(3) for some in combinations(free, n))
            case named:
                if wrong := [word for word in named if word in WAYS]:
                    raise OptionError(f"bench.combine: {wrong[0]} stands alone, or there are names: cycle+idt,cycle+tv")
                yield from (always + self._words(word) for word in named)

    def _words(self, text: str) -> Combination:
        return tuple(self._word(word) for word in text.split("+")) if text else ()

    def _word(self, name: str) -> str:
        """Return the word that names a loss, as it stands among the plugins."""
        there = {short(word): word for word in self.plugins} | ({self.adversary: ""} if self.adversary else {})
        if (found := there.get(short(name))) is None:
            close, known = near_miss(name, [*there, *WAYS]), ", ".join(there)
            raise OptionError(
                f"bench: `{name}` is none of this suite's losses.{close} They are: {known}. "
                f"Ways to combine them: {', '.join(WAYS)}."
            )
        return found

    def _ordered(self, words: Sequence[str]) -> Combination:
        """Return a combination in the plugins' order; nothing chosen leaves the recipe's adversary."""
        chosen = tuple(word for word in self.plugins if word in words)
        return chosen or ((self.adversary,) if self.adversary else ())


def suite(keys: Mapping[str, Any], plugins: Sequence[str], adversary: str | None) -> Suite:
    """Return the suite that dotted keys say.

    Raises:
        OptionError: a key of ``bench`` that does not exist, or cannot be so.
    """
    bench = {key.removeprefix("bench."): value for key, value in keys.items() if key.startswith("bench.")}
    settings = validated(BenchSettings, bench, "bench")
    Margin.parse(settings.margin)
    rest = {key: value for key, value in keys.items() if not key.startswith("bench.") and key != "plugins"}
    words = tuple(word for word in plugins if word != adversary)  # which every combination has, named or not
    return Suite(rest, words, settings, adversary)


def short(word: str) -> str:
    """Return a plugin's name: of a file its stem."""
    return Path(word).stem


def label(combination: Combination) -> str:
    """Return for example ``cycle+idt``."""
    return "+".join(map(short, combination))
