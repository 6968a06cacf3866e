"""A directory's files: one writer at a time, each file whole or not at all."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO

from filelock import FileLock, Timeout
from platformdirs import user_cache_path

from lossbench.errors import RunError, refusal

STAMP = 16  # digits of a hash in a file's name


def cached(what: str) -> Path:
    """Return where something is remembered: in ``$LOSSBENCH_CACHE``, or in the system's place for such files."""
    return Path(os.environ.get("LOSSBENCH_CACHE") or user_cache_path("lossbench")) / what


def create(directory: Path) -> None:
    """Make a directory; one that holds anything is refused, but for what a run leaves that died before its record."""
    _make(directory)
    if any(not path.name.startswith(".") for path in directory.iterdir()):
        hint = f", go on with --resume {directory}" if (directory / "run.json").is_file() else ""
        raise RunError(f"--out {directory} is not empty. Choose another folder{hint}, or remove it.")


def sha256(path: Path) -> str:
    """Return a file's sha256."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def held(directory: Path) -> Iterator[None]:
    """Hold a run's directory, made if need be, against other runs for as long as this process lives."""
    _make(directory)
    lock = FileLock(directory / ".lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise RunError(f"{directory} is in use by another run. Wait for its end, or choose another --out.") from None
    try:
        yield
    finally:
        lock.release()


def _make(directory: Path) -> None:
    try:
        directory.mkdir(parents=True, exist_ok=True)
        if not os.access(directory, os.W_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
    except OSError as error:
        raise RunError(f"--out {directory}: {error.strerror}. Choose a folder that can be written.") from None


def free_directory(base: Path) -> Path:
    """Return ``base``, or ``base-2``, ``base-3``, ... : the first that does not exist."""
    return next(path for n in range(1, sys.maxsize) if not (path := base if n == 1 else Path(f"{base}-{n}")).exists())


def write_file(path: Path, write: Callable[[BinaryIO], object], *, stamp: bool = False) -> Path:
    """Write a file whole or not at all: aside, synced, renamed. With ``stamp`` its hash becomes part of its name.

    Raises:
        RunError: no space, no right to write, a limit. What was there before is untouched.
    """
    aside = path.with_name(f".{path.name}.part")
    try:
        with aside.open("w+b") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
            file.seek(0)
            if stamp:
                path = path.with_stem(f"{path.stem}-{hashlib.file_digest(file, 'sha256').hexdigest()[:STAMP]}")
        aside.replace(path)
        _sync(path.parent)
    except BaseException as error:
        with suppress(OSError):
            aside.unlink(missing_ok=True)
        if reason := refusal(error):
            raise RunError(f"{path} cannot be written: {reason}") from error
        raise
    return path


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file whole or not at all."""
    write_file(path, lambda file: file.write(content))


def _sync(folder: Path) -> None:
    """Make a rename survive a power cut, where a folder can be opened."""
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def write_json(path: Path, data: Mapping[str, Any]) -> None:
    """Write JSON whole or not at all; a number that is not finite is a mistake."""
    write_bytes(path, (json.dumps(data, indent=2, allow_nan=False) + "\n").encode())
