"""Randomness as a function of (seed, step, consumer): nothing to save, nothing shifts, any step can be replayed."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager

import torch


def derive(*key: object) -> int:
    """Return a 63-bit seed that depends on every part of the key and on nothing else."""
    digest = hashlib.sha256("\0".join(map(str, key)).encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def stream(*key: object, device: torch.device | str = "cpu") -> torch.Generator:
    """Return a consumer's own generator."""
    return torch.Generator(device).manual_seed(derive(*key))


@contextmanager
def isolated(*key: object) -> Iterator[None]:
    """Run code that draws from torch's global state (dropout, initialisers) under its own stream, and restore it."""
    generators = [torch.default_generator]
    if torch.cuda.is_initialized():
        generators.append(torch.cuda.default_generators[torch.cuda.current_device()])
    states = [generator.get_state() for generator in generators]
    try:
        for generator in generators:
            generator.manual_seed(derive(*key))
        yield
    finally:
        for generator, state in zip(generators, states, strict=True):
            generator.set_state(state)
