"""What a pretrained network sees in images: computed once for the same pixels, kept on disk.

An entry is named by the hash of what went in: the weights, how images are brought to the network, every pixel. It is
checked by its own hash when it is opened, and made again if it is not what it was.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

import torch
from filelock import FileLock
from safetensors import SafetensorError
from safetensors.torch import load as opened
from safetensors.torch import save
from torch import Tensor

from lossbench.checkpoint import intact
from lossbench.errors import LossbenchError
from lossbench.files import cached, write_file
from lossbench.weights import pinned

BATCH = 32  # fixed, since features depend on it in their last digits
VERSION = 2  # of how they are computed, to the last digit


@dataclass(frozen=True)
class Space:
    """A network's features, in which sets of images can be compared.

    ``build(device)`` returns a function of uint8 [B, 3, H, W] -> [B, d]; ``weights`` are what it is made of,
    ``preprocessing`` how it brings images to the network's size: that belongs to a metric's protocol.
    """

    weights: str
    preprocessing: str
    build: Callable[[torch.device], Callable[[Tensor], Tensor]]


class Features:
    """Features of images in a space, computed on a device or read from disk."""

    def __init__(self, device: str | torch.device) -> None:
        self.device = torch.device(device)
        self.known: dict[tuple[str, int], tuple[Sequence[Tensor], Tensor]] = {}
        self.built: dict[Space, Callable[[Tensor], Tensor]] = {}

    def __call__(self, space: Space, images: Sequence[Tensor]) -> Tensor:
        """Uint8 images [3, H, W] -> [N, d], float64 on the CPU.

        Raises:
            LossbenchError: the weights cannot be had.
        """
        key = (f"{space.weights} {space.preprocessing}", id(images))
        if key not in self.known:  # the images are kept, so that their id is not given away
            self.known[key] = (images, self._read(space, images).double())
        return self.known[key][1]

    def _read(self, space: Space, images: Sequence[Tensor]) -> Tensor:
        name = _key(space, images, self.device)
        with _alone(name):
            if (found := _open(name)) is not None and len(found) == len(images):
                return found
            made = torch.cat([self._seen(space, batch) for batch in _batches(images)])
            with suppress(OSError, LossbenchError):  # a disk that is full costs time, not the value
                _keep(name, made)
            return made

    def _seen(self, space: Space, batch: Tensor) -> Tensor:
        with torch.backends.cudnn.flags(enabled=True, deterministic=True, allow_tf32=False):
            return self._network(space)(batch.to(self.device)).float().cpu()

    def _network(self, space: Space) -> Callable[[Tensor], Tensor]:
        if space not in self.built:
            self.built[space] = space.build(self.device)
        return self.built[space]


def place() -> Path:
    """Return where features lie: ``features`` in ``$LOSSBENCH_CACHE``, or in the system's place for such files."""
    return cached("features")


def kept() -> list[Path]:
    """Return the files of what is remembered."""
    return sorted(place().glob("*.safetensors"))


def clear() -> float:
    """Forget everything; return the megabytes."""
    freed = sum(path.stat().st_size for path in kept())
    for path in (*kept(), *place().glob(".*.lock")):
        path.unlink(missing_ok=True)
    return freed / 1e6


def _key(space: Space, images: Sequence[Tensor], device: torch.device) -> str:
    content = [VERSION, pinned(space.weights), space.preprocessing, device.type, BATCH, [*map(_pixels, images)]]
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()[:32]


def _pixels(image: Tensor) -> list[Any]:
    return [list(image.shape), hashlib.sha256(image.cpu().contiguous().numpy().data).hexdigest()]


@contextmanager
def _alone(name: str) -> Iterator[None]:
    """Hold an entry against processes that would compute the same; where nothing can be kept, nobody waits."""
    with ExitStack() as stack:
        with suppress(OSError):
            place().mkdir(parents=True, exist_ok=True)
            stack.enter_context(FileLock(place() / f".{name}.lock"))
        yield


def _keep(name: str, made: Tensor) -> None:
    write_file(place() / f"{name}.safetensors", lambda file: file.write(save({"features": made})), stamp=True)


def _open(name: str) -> Tensor | None:
    for path in place().glob(f"{name}-*.safetensors"):
        with suppress(OSError, SafetensorError, KeyError):
            if intact(path):
                return opened(path.read_bytes())["features"]
    return None


def _batches(images: Sequence[Tensor]) -> Iterator[Tensor]:
    """Yield stacks of neighbours of one size."""
    for _, same in groupby(images, key=lambda image: image.shape):
        yield from torch.stack(list(same)).split(BATCH)
