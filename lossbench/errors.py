"""Errors that teach: what happened, in which plugin, what to do. The command line shows them as one line."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class LossbenchError(Exception):
    """Something the user can mend."""

    exit_code = 2


class OptionError(LossbenchError):
    """An option that does not exist, or a value that it cannot take."""


class PluginError(LossbenchError):
    """A plugin that cannot be found, loaded or run."""


class DataError(LossbenchError):
    """Images that cannot be found or read."""


class RunError(LossbenchError):
    """A run directory that cannot be read or written."""


class Diverged(LossbenchError):
    """A loss or a gradient is no longer finite. Nothing was updated with it."""

    exit_code = 3


def near_miss(word: str, known: Iterable[str]) -> str:
    """Return " Did you mean `x`?" for the closest known word, or nothing."""
    close = difflib.get_close_matches(word, list(known), n=1, cutoff=0.6)
    return f" Did you mean `{close[0]}`?" if close else ""
