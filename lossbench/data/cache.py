"""Decoded images on disk: one memory-mapped file for a list of images and a size, shared by every process.

An entry is named by the hash of what went in: the files' contents, the size, the versions of the decoders. Its pixels
are checked by their own hash when it is opened; what is damaged is made again. Opening it runs nothing.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import cv2
import numpy as np
import PIL
import torch
from filelock import FileLock
from pydantic import BaseModel
from torch import Tensor

from lossbench.data.images import File, Image, Unreadable, Unusable, attempt, decode, part_of, square
from lossbench.errors import LossbenchError, refusal
from lossbench.files import cached, write_file, write_json

VERSION = 1  # of this format and of what is done to an image


class Facts(BaseModel):
    """What an entry says of itself."""

    name: str  # folder and side
    n: int  # images
    size: int  # px
    sha256: str  # of the pixels
    bad: dict[int, str]  # place in the list of files -> why it could not be decoded


@dataclass(frozen=True)
class Entry:
    """An entry as it is shown."""

    facts: Facts
    megabytes: float
    used: float  # seconds since 1970


def place() -> Path:
    """Return the cache's folder: ``$LOSSBENCH_CACHE``, or the system's place for such files."""
    return cached("images")


def decoded(files: Sequence[File], size: int, name: str) -> tuple[Tensor, dict[Path, str], str]:
    """Return uint8 [N, 3, size, size], the files that could not be decoded with reasons, and what a user should know.

    Where the cache cannot be written, the images are decoded into memory.
    """
    key, note = _key(files, size), ""
    try:
        place().mkdir(parents=True, exist_ok=True)
        with FileLock(place() / f".{key}.lock"):
            if not (found := _open(key, size, len(files))):
                _build(key, files, size, name)
                found = _open(key, size, len(files))
        if found:
            images, bad = found
            return images, {files[index].path: reason for index, reason in bad.items()}, ""
    except Unusable:  # nothing to be remembered
        pass
    except (OSError, LossbenchError) as error:
        reason = refusal(error) or f"{error}"
        note = f"Images are decoded into memory, because the cache cannot be used: {reason} LOSSBENCH_CACHE names one."
    rows = list(_squares(files, size))
    pixels = [row for row in rows if not isinstance(row, Unusable)]
    unusable = {file.path: str(row) for file, row in zip(files, rows, strict=True) if isinstance(row, Unusable)}
    stack = np.stack(pixels) if pixels else np.empty((0, 3, size, size), np.uint8)
    return torch.from_numpy(stack), unusable, note


def entries() -> list[Entry]:
    """Return what is in the cache, last used first."""
    found = []
    for path in place().glob("*.json"):
        with suppress(OSError, ValueError):
            facts = Facts.model_validate_json(path.read_bytes())
            found.append(Entry(facts, path.with_suffix(".uint8").stat().st_size / 1e6, path.stat().st_mtime))
    return sorted(found, key=lambda entry: -entry.used)


def clear() -> float:
    """Remove everything from the cache; return the megabytes. Runs that use it go on."""
    freed = 0
    for path in place().glob("*"):
        if path.suffix in (".json", ".uint8", ".part", ".lock") and path.is_file():
            freed += path.stat().st_size
            path.unlink(missing_ok=True)
    return freed / 1e6


def _key(files: Sequence[File], size: int) -> str:
    content = [VERSION, PIL.__version__, cv2.__version__, size, [_what(file) for file in files]]
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()[:32]


def _what(file: File) -> str:
    return file.sha256 if file.part == "whole" else f"{file.sha256} {file.part}"


def _open(key: str, size: int, count: int) -> tuple[Tensor, dict[int, str]] | None:
    """Return an entry's images and what was unusable, or None if there is none that is whole."""
    path = place() / f"{key}.uint8"
    try:
        facts = Facts.model_validate_json(path.with_suffix(".json").read_bytes())
        shape = (count - len(facts.bad), 3, size, size)
        if facts.n != shape[0] or path.stat().st_size != math.prod(shape) or not facts.bad.keys() <= {*range(count)}:
            return None
        pixels = np.memmap(path, np.uint8, "c", shape=shape)  # "c": torch wants it writable; the file is not
    except (OSError, ValueError):
        return None
    if hashlib.sha256(pixels.data).hexdigest() != facts.sha256:
        return None
    with suppress(OSError):
        os.utime(path.with_suffix(".json"))
    return torch.from_numpy(pixels), facts.bad


def _build(key: str, files: Sequence[File], size: int, name: str) -> None:
    """Decode every file into an entry.

    Raises:
        Unusable: a file could not be read, or none could be used: nothing is kept.
    """
    digest, bad = hashlib.sha256(), dict[int, str]()

    def write(file: BinaryIO) -> None:
        for index, pixels in enumerate(_squares(files, size)):
            if isinstance(pixels, Unreadable):
                raise pixels
            if isinstance(pixels, Unusable):
                bad[index] = str(pixels)
            else:
                digest.update(pixels.data)
                file.write(pixels.data)
        if len(bad) == len(files):
            raise Unusable("no image")

    write_file(place() / f"{key}.uint8", write)
    facts = Facts(name=name, n=len(files) - len(bad), size=size, sha256=digest.hexdigest(), bad=bad)
    write_json(place() / f"{key}.json", facts.model_dump())


def _squares(files: Sequence[File], size: int) -> Iterator[Image | Unusable]:
    """Give [3, size, size] for each file, or why not."""
    return attempt(lambda file: square(part_of(decode(file.path, file.sha256), file.part), size), files)
