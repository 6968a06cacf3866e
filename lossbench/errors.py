"""Errors that teach: what happened, in which plugin, what to do. The command line shows them as one line."""

from __future__ import annotations

import difflib
import errno
from collections.abc import Iterable

ADVICE = {
    **dict.fromkeys((errno.ENOSPC, errno.EDQUOT), "Free some space, or choose another place."),
    **dict.fromkeys((errno.EMFILE, errno.ENFILE), "Raise the limit: ulimit -n 4096."),
    **dict.fromkeys((errno.EACCES, errno.EPERM, errno.EROFS), "Choose a place that can be written."),
    errno.EFBIG: "Raise the limit: ulimit -f unlimited.",
}


class LossbenchError(Exception):
    """Something the user can mend."""

    exit_code = 2


class OptionError(LossbenchError):
    """An option that does not exist, or a value that it cannot take."""


class PluginError(LossbenchError):
    """A plugin that cannot be found, loaded or run."""


class Unfit(PluginError):
    """A loss that asks for what a recipe does not have."""


class UnknownPlugin(PluginError):
    """A name that is not installed, or a file that is not there."""


class DataError(LossbenchError):
    """Images that cannot be found or read; ``files`` has a line for each."""

    def __init__(self, message: str, files: Iterable[str] = ()) -> None:
        super().__init__(message)
        self.files = tuple(files)

    def __str__(self) -> str:
        return "\n".join([*self.args, *self.files])


class RunError(LossbenchError):
    """A run directory that cannot be read or written."""


class WeightsError(LossbenchError):
    """Pretrained weights that cannot be found, fetched or read."""


class CheckError(LossbenchError):
    """A loss that is not sound."""

    exit_code = 1


class ResourceError(LossbenchError):
    """The machine has no more memory, space or files to give."""


class Left(ResourceError):
    """Another process of the same run is gone."""


class DifferentiatedTwice(RuntimeError):
    """A term went back through the backward of a network that does not allow it."""


class Diverged(LossbenchError):
    """A loss or a gradient is no longer finite. Nothing was updated with it."""

    exit_code = 3

    def __init__(self, step: int, term: str, message: str) -> None:
        super().__init__(message)
        self.step = step
        self.term = term  # such as A2B/style/relu3_3


class Interrupted(KeyboardInterrupt):
    """A signal asked a run to stop. A first one lets the step end and be saved, a second one does not."""

    def __init__(self, signal: int, *, saved: bool) -> None:
        super().__init__()
        self.exit_code = 128 + signal
        self.saved = saved


def starved(error: BaseException) -> bool:
    """Return whether an error says that there is no memory left, of the machine or a device."""
    words = (
        "can't allocate memory", "cannot allocate memory", "not enough memory", "out of memory",
        "could not create a primitive", "failed to map segment",
    )  # fmt: skip
    text = str(error).lower()
    if isinstance(error, MemoryError | SystemError):  # SystemError: not even an exception could be allocated
        return True
    return isinstance(error, RuntimeError | ImportError) and any(word in text for word in words)


def of_the_machine(error: BaseException) -> bool:
    """Return whether the machine is to blame: no memory, files or space are left, and no plugin can help it."""
    return starved(error) or (isinstance(error, OSError) and error.errno in ADVICE)


def refusal(error: BaseException) -> str | None:
    """Return what the system refused and what to do, or None when an error is not the system's."""
    for cause in (error, error.__cause__, error.__context__):
        if cause is not None and starved(cause):
            return (
                "there is not enough memory. Use a smaller --batch or --size, a smaller model "
                "(--set model.ngf=32), or --strategy component, which needs the least."
            )
        if isinstance(cause, OSError) and cause.strerror:
            where = f" ({cause.filename})" if cause.filename else ""
            return f"{cause.strerror.lower()}{where}. {ADVICE.get(cause.errno or 0, 'Mend that and try again.')}"
    return None


def near_miss(word: str, known: Iterable[str]) -> str:
    """Return " Did you mean `x`?" for the closest known word, or nothing."""
    close = difflib.get_close_matches(word, list(known), n=1, cutoff=0.6)
    return f" Did you mean `{close[0]}`?" if close else ""


def printable(text: str) -> str:
    """Return text without anything that would move a terminal or could not be encoded."""
    return "".join(letter if letter.isprintable() or letter == "\n" else ascii(letter)[1:-1] for letter in text)
