"""Randomness as a function of (seed, step, consumer): nothing to save, nothing shifts, any step can be replayed."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
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
    """Run code that draws from global states (torch's, numpy's, Python's) under its own stream, and restore them."""
    generators = [torch.default_generator]
    if torch.cuda.is_initialized():
        generators.append(torch.cuda.default_generators[torch.cuda.current_device()])
    states = [generator.get_state() for generator in generators]
    of_python, of_numpy, seed = random.getstate(), np.random.get_state(), derive(*key)
    try:
        random.seed(seed)
        np.random.seed(seed % 2**32)
        for generator in generators:
            generator.manual_seed(seed)
        yield
    finally:
        random.setstate(of_python)
        np.random.set_state(of_numpy)
        for generator, state in zip(generators, states, strict=True):
            generator.set_state(state)
