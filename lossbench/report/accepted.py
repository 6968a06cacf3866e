"""Regressions that somebody took upon themselves: a reviewed file, each with a reason and a date."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Iterator, Sequence
from datetime import date
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError, field_validator

from lossbench.bench.judging import meant
from lossbench.bench.stats import Margin
from lossbench.errors import OptionError
from lossbench.record import damage
from lossbench.report.questions import Row

EXACTLY = "exactly"  # the metric of what differs under --exact


class Accepted(BaseModel):
    """A regression that somebody took upon themselves, with a reason and a date."""

    model_config = ConfigDict(extra="forbid")
    combination: str
    metric: str
    up_to: str
    reason: str
    date: date

    @field_validator("up_to")
    @classmethod
    def _margin(cls, text: str) -> str:
        try:
            Margin.parse(text)
        except OptionError as error:
            raise ValueError(str(error)) from None
        return text

    @field_validator("reason")
    @classmethod
    def _said(cls, text: str) -> str:
        if not text.strip():
            raise ValueError("say why")
        return text


def read_accepted(path: Path) -> list[Accepted]:
    """Return the regressions that a file accepts.

    Raises:
        OptionError: it cannot be read, or one of them lacks its reason or date.
    """
    example = 'combination = "cycle+tv", metric = "A2B/kid", up_to = "5%", reason = "...", date = 2026-01-31'
    try:
        found = tomllib.loads(path.read_text("utf-8"))
        if others := [key for key in found if key != "accepted"]:
            raise OptionError(
                f"--accepted {path} holds {others[0]}, and may hold nothing but [[accepted]], with {example}"
            )
        return [Accepted.model_validate(entry) for entry in found.get("accepted", [])]
    except ValidationError as error:
        raise OptionError(f"--accepted {path}: {damage(error)}. [[accepted]] has {example}") from None
    except OSError as error:
        raise OptionError(f"--accepted {path}: {str(error.strerror).lower()}.") from None
    except (ValueError, AttributeError) as error:
        raise OptionError(f"--accepted {path} is not TOML: {error}. [[accepted]] has {example}") from None


def accept(rows: Iterable[Row], accepted: Iterable[Accepted]) -> None:
    """Mark the regressions that are accepted, as far as they are."""
    for row in rows:
        for each in accepted:
            if _is_for(each, row) and _within(row, Margin.parse(each.up_to)):
                row["accepted"] = f"{each.reason} ({each.date}, up to {each.up_to})"


def _within(row: Row, limit: Margin) -> bool:
    if row["verdict"] == "regressed":
        return bool(row["worse"] <= limit.of(row["baseline"]))
    return row["verdict"] == "differs" and row["apart"] is not None and row["apart"] <= limit.of(1.0)


def _is_for(each: Accepted, row: Row) -> bool:
    name = EXACTLY if row["verdict"] == "differs" else row["metric"]
    return each.combination == row["combination"] and meant(each.metric, [name]) is not None


def unused(rows: Sequence[Row], accepted: Iterable[Accepted]) -> Iterator[str]:
    """Say which acceptances nothing needs."""
    for each in accepted:
        if not any(row["accepted"] for row in rows if _is_for(each, row)):
            what = f"{each.combination}, {each.metric}, up to {each.up_to}"
            yield f"Accepted and not needed: {what}. Take it out of the file."
