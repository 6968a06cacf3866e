"""Decoded images on disk: one memory-mapped file for a list of images and a size, shared by every process.

An entry is named by the hash of what went in: the files' contents, the size, the versions of the decoders. Its pixels
are checked by their own hash when it is opened; what is damaged is made again. Opening it runs nothing.
"""

from __future__ import annotations

import hashlib
import json
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
from platformdirs import user_cache_path
from torch import Tensor

from lossbench.data.images import File, Image, Unusable, attempt, decode, square
from lossbench.errors import LossbenchError
from lossbench.record import write_file, write_json

VERSION = 1  # of this format and of what is done to an image


@dataclass(frozen=True)
class Entry:
    """What an entry says of itself."""

    name: str  # folder and side
    images: int
    size: int  # px
    megabytes: float
    used: float  # seconds since 1970


def place() -> Path:
    """Return the cache's folder: ``$LOSSBENCH_CACHE``, or the system's place for such files."""
    return Path(os.environ.get("LOSSBENCH_CACHE") or user_cache_path("lossbench")) / "images"


def decoded(files: Sequence[File], size: int, name: str) -> tuple[Tensor, dict[Path, str], str]:
    """Return uint8 [N, 3, size, size], the files that could not be decoded with reasons, and what a user should know.

    Where the cache cannot be written, the images are decoded into memory.
    """
    key = _key(files, size)
    try:
        place().mkdir(parents=True, exist_ok=True)
        with FileLock(place() / f".{key}.lock"):
            if not (found := _open(key, size)):
                _build(key, files, size, name)
                found = _open(key, size)
        if found:
            images, bad = found
            return images, {files[int(index)].path: reason for index, reason in bad.items()}, ""
        note = ""
    except (OSError, LossbenchError) as error:
        note = f"Images are decoded into memory, because the cache cannot be used: {error}"
    rows = list(_squares(files, size))
    pixels = [row for row in rows if not isinstance(row, Unusable)]
    bad_paths = {file.path: str(row) for file, row in zip(files, rows, strict=True) if isinstance(row, Unusable)}
    stack = np.stack(pixels) if pixels else np.empty((0, 3, size, size), np.uint8)
    return torch.from_numpy(stack), bad_paths, note


def entries() -> list[Entry]:
    """Return what is in the cache, last used first."""
    found = []
    for path in place().glob("*.json"):
        with suppress(OSError, ValueError, KeyError, TypeError):
            meta, pixels = json.loads(path.read_text("utf-8")), path.with_suffix(".uint8").stat().st_size
            found.append(
                Entry(str(meta["name"]), int(meta["n"]), int(meta["size"]), pixels / 1e6, path.stat().st_mtime)
            )
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
    content = [VERSION, PIL.__version__, cv2.__version__, size, [file.sha256 for file in files]]
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()[:32]


def _open(key: str, size: int) -> tuple[Tensor, dict[str, str]] | None:
    """Return an entry's images and what was unusable, or None if there is none that is whole."""
    meta_path, path = place() / f"{key}.json", place() / f"{key}.uint8"
    try:
        meta = json.loads(meta_path.read_text("utf-8"))
        shape = (int(meta["n"]), 3, size, size)
        if path.stat().st_size != np.prod(shape):
            return None
        pixels = np.memmap(path, np.uint8, "c", shape=shape)  # "c": torch wants it writable; the file is not
        if hashlib.sha256(pixels.data).hexdigest() != meta["sha256"]:
            return None
        bad = {str(int(index)): str(reason) for index, reason in meta["bad"].items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
    with suppress(OSError):
        os.utime(meta_path)
    return torch.from_numpy(pixels), bad


def _build(key: str, files: Sequence[File], size: int, name: str) -> None:
    """Decode every file into an entry. Nothing is kept where none can be used."""
    digest, bad = hashlib.sha256(), dict[str, str]()

    def write(file: BinaryIO) -> None:
        for index, pixels in enumerate(_squares(files, size)):
            if isinstance(pixels, Unusable):
                bad[str(index)] = str(pixels)
            else:
                digest.update(pixels.data)
                file.write(pixels.data)

    write_file(place() / f"{key}.uint8", write)
    facts = {"name": name, "n": len(files) - len(bad), "size": size, "sha256": digest.hexdigest(), "bad": bad}
    write_json(place() / f"{key}.json", facts)


def _squares(files: Sequence[File], size: int) -> Iterator[Image | Unusable]:
    """Give [3, size, size] for each file, or why not."""
    return attempt(lambda file: square(decode(file.path), size), files)
