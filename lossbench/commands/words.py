"""What several commands share: the words of a command line as settings and lists, an exit code."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from lossbench.errors import OptionError

INTERRUPTED = 130  # by ctrl-C, as shells count
SET_HELP = "Any option, such as tv.power=2 or cycle.weight.A2B=5; again for more."


def settings_of(flags: Mapping[str, Any], assign: Iterable[str] | None) -> dict[str, Any]:
    """Return settings by dotted key, those of flags and of ``--set``."""
    from lossbench.config import parse_assignment

    found = {key: value for key, value in flags.items() if value is not None}
    assigned = dict(map(parse_assignment, assign or []))
    if twice := [key for key in assigned if key in found and found[key] != assigned[key]]:
        raise OptionError(f"{twice[0]} is {found[twice[0]]} by its flag and {assigned[twice[0]]} by --set. Give one.")
    return found | assigned


def words_of(given: list[str] | None) -> list[str] | None:
    """Return the names in ``--metrics fid,kid --metrics lpips``."""
    return None if given is None else [word.strip() for some in given for word in some.split(",") if word.strip()]
