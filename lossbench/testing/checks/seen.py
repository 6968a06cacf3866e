"""What a check has to say: what was seen, or why it cannot tell."""

from __future__ import annotations

import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lossbench.errors import PluginError
from lossbench.objective import Bound


class Failed(Exception):
    """A check that a loss does not pass: what was seen; ``mend`` takes the place of the check's own advice."""

    def __init__(self, seen: str, mend: str | None = None) -> None:
        super().__init__(seen)
        self.mend = mend


class Skipped(Exception):
    """A check that cannot tell here: why."""


@contextmanager
def said(bound: Bound, where: str, mend: str | None = None) -> Iterator[None]:
    """Say what a term raises, and in which line, as what was seen."""
    try:
        yield
    except PluginError as error:
        raise Failed(f"{error}", mend and "") from error
    except (Exception, SystemExit) as error:
        typed_wrong = isinstance(error, NameError | AttributeError | TypeError | ImportError)
        seen = f"{bound.label} fails{where}: {raised(error, bound)}."
        raise Failed(seen, "" if mend and typed_wrong else mend) from error


def raised(error: BaseException, bound: Bound | None = None) -> str:
    """Return an error's kind, its first line, and the line of the loss's own file that it came from."""
    code = getattr(getattr(bound.term, "forward", bound.term), "__code__", None) if bound else None
    lines = [each for each in traceback.extract_tb(error.__traceback__) if code and each.filename == code.co_filename]
    place = f" ({Path(lines[-1].filename).name}, line {lines[-1].lineno})" if lines else ""
    return f"{type(error).__name__}: {line_of(error)}{place}"


def line_of(error: BaseException) -> str:
    """Return an error's first line."""
    return str(error).strip().partition("\n")[0].rstrip(".!")


def near(one: float, other: float) -> bool:
    """Return whether two values are the same but for rounding."""
    return abs(one - other) <= 1e-6 * max(1e-3, abs(one))
