"""What everybody in a process shares and a loss may not touch: random states, torch's settings."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch

from lossbench import rng

SETTINGS: dict[str, tuple[Callable[[], Any], Callable[[Any], Any]]] = {  # name -> get, set
    "torch's default dtype": (torch.get_default_dtype, torch.set_default_dtype),
    "torch's default device": (torch.get_default_device, torch.set_default_device),
    "torch's number of threads": (torch.get_num_threads, torch.set_num_threads),
    "torch's deterministic mode": (torch.are_deterministic_algorithms_enabled, torch.use_deterministic_algorithms),
    "torch's gradient mode": (torch.is_grad_enabled, torch.set_grad_enabled),
    "torch's anomaly mode": (torch.is_anomaly_enabled, torch.autograd.set_detect_anomaly),
    "torch's matmul precision": (torch.get_float32_matmul_precision, torch.set_float32_matmul_precision),
    "torch's flushing of denormals": (lambda: (torch.ones(()).double() * 1e-310).item() == 0, torch.set_flush_denormal),
    "cudnn.benchmark": (
        lambda: torch.backends.cudnn.benchmark,
        lambda value: setattr(torch.backends.cudnn, "benchmark", value),
    ),
}


def settings() -> dict[str, Any]:
    """Return the settings of torch that anybody may change for everybody."""
    return {name: get() for name, (get, _) in SETTINGS.items()}


@contextmanager
def restored() -> Iterator[None]:
    """Leave random states and settings as they were, whatever is done to them."""
    before = settings()
    try:
        with rng.isolated("surroundings"):
            yield
    finally:
        for name, value in settings().items():
            if value != before[name]:
                SETTINGS[name][1](before[name])


def random_states() -> dict[str, bytes]:
    """Return the global random states, by whose they are."""
    _, words, *rest = np.random.get_state(legacy=True)
    return {
        "torch": torch.get_rng_state().numpy().tobytes(),
        "numpy": np.asarray(words).tobytes() + str(rest).encode(),
        "Python": str(random.getstate()).encode(),
    }


def seed(number: int) -> None:
    """Seed all of them."""
    torch.manual_seed(number)
    np.random.seed(number)
    random.seed(number)
