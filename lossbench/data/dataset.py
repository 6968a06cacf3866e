"""A data set: every image decoded, resized, uint8."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Protocol

from torch import Tensor


class Source(Protocol):
    """Images that are found, and not yet brought to a size."""

    def defaults(self, size: int | None) -> dict[str, Any]:
        """Return the settings that suit these images, by dotted key; ``size`` is the user's choice, if any."""

    def dataset(self, size: int, load_size: int) -> Dataset:
        """Return test images of ``size`` and training images of ``load_size``."""


@dataclass(frozen=True)
class Dataset:
    """Two domains, ``A`` and ``B``: images uint8 [N, 3, H, W].

    Training images are of the size that crops are cut from, test images of the size that networks see.
    """

    name: str
    train: Mapping[str, Tensor]
    test: Mapping[str, Tensor]
    test_names: Mapping[str, Sequence[str]]
    paired_test: bool  # testA[i] and testB[i] show the same thing
    skipped: Mapping[str, str] = field(default_factory=dict)  # file -> why it is left out
    groups: Mapping[str, Sequence[str]] = field(default_factory=dict)  # of test images, by name
    note: str = ""  # what a user should know

    @cached_property
    def fingerprint(self) -> str:
        """Return a sha256 of every pixel, so that two runs can be known to have seen the same images."""
        digest = hashlib.sha256()
        for images in (*self.train.values(), *self.test.values()):
            digest.update(str(tuple(images.shape)).encode())
            digest.update(images.numpy().data)
        return digest.hexdigest()
