"""What observers send elsewhere: the numbers of a step and of a finished run, each under a name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def of_step(values: Mapping[str, float], weights: Mapping[str, float]) -> dict[str, float]:
    """Return each term raw and weighted: ``value/A2B/cycle``, ``weighted/A2B/cycle``."""
    raw = {f"value/{label}": value for label, value in values.items()}
    return raw | {f"weighted/{label}": value * weights[label] for label, value in values.items()}


def of_run(record: Mapping[str, Any]) -> dict[str, float]:
    """Return the closing table: ``closing/A2B/translation/l1``; a run that did not end has none."""
    return {
        f"closing/{direction}/{what}/{name.replace('@', '.')}": facts["value"]  # some servers refuse an @
        for direction, both in record.get("metrics", {}).items()
        for what, metrics in both.items()
        for name, facts in metrics.items()
        if facts["value"] is not None
    }
