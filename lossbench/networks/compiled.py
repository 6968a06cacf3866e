"""Networks that train by torch.compile's kernels: where that pays, and where there is a compiler."""

from __future__ import annotations

import logging
import os
import shutil
import warnings
from collections.abc import Callable, Container
from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from lossbench.errors import DifferentiatedTwice, OptionError
from lossbench.files import cached
from lossbench.networks.build import Networks
from lossbench.networks.network import Network
from lossbench.settings import TrainSettings

KINDS = 64  # of networks, sizes and precisions that one process compiles, before it runs them as they are
WORTH = 1e13  # FLOP that a generator's forwards come to in a run: beyond it compiling pays, more than once
CHANNELS_FIRST = 256  # px, and above: strided convolutions go back up to three times as slowly by channels last


def compile_networks(networks: Networks, train: TrainSettings, size: int, handled: Container[str]) -> None:
    """Let networks train compiled, if that is asked for or pays.

    Not what draws or counts, nor a discriminator of a direction in which terms handle it: ``handled``.

    Raises:
        OptionError: it is asked for, and cannot be done.
    """
    some = list(networks.G.values())
    if train.compile == "off" or (train.compile == "auto" and not pays(some[0], train, size)):
        return
    if reason := refusal(train.device):
        if train.compile == "on":
            raise OptionError(f"train.compile=on: nothing can be compiled here ({reason}). Leave it out, or say off.")
        return
    first = torch.device(train.device).type == "cpu" and size >= CHANNELS_FIRST
    layout = torch.contiguous_format if first else torch.channels_last
    for network in [*some, *(network for way, network in networks.D.items() if way not in handled)]:
        if not (network.draws or network.counts):
            network.to(memory_format=layout).compiled = forward(layout)


def pays(network: Network, train: TrainSettings, size: int) -> bool:
    """Return whether a run is long enough, by its size alone, so that the same command always has the same answer.

    Only of the CPU is it known from where on. Most of a residual generator's weights are used once for each pixel at a
    quarter of the size.
    """
    weights = sum(parameter.numel() for parameter in network.parameters())
    work = train.steps * train.batch * 2 * weights * (size // 4) ** 2
    return torch.device(train.device).type == "cpu" and work > WORTH


def place() -> Path:
    """Return where kernels are kept: ``compiled`` in the cache."""
    return cached("compiled")


def kept() -> float:
    """Return the megabytes of kernels that are kept."""
    return sum(path.stat().st_size for path in place().rglob("*") if path.is_file()) / 1e6


def clear() -> float:
    """Forget all kernels; return the megabytes."""
    freed = kept()
    shutil.rmtree(place(), ignore_errors=True)
    return freed


@cache
def refusal(device: str) -> str:
    """Compile something small; return why it cannot be done, or nothing."""
    os.environ.setdefault("TORCHINDUCTOR_CACHE_DIR", str(place()))  # later runs find what this one compiled
    logging.getLogger("torch.utils.cpp_extension").setLevel(logging.ERROR)  # says that there is no CUDA
    try:
        with warnings.catch_warnings(action="ignore"):
            torch.compile(torch.square)(torch.ones(2, device=device))
    except Exception as error:
        return " ".join(str(error).split())[:200] or type(error).__name__
    return ""


@cache
def forward(layout: torch.memory_format) -> Callable[[Network, Tensor], Tensor]:
    """Return a forward for all networks that lie so in memory: those that are alike share its kernels."""
    from torch._dynamo import config as compiler  # not at the top: this takes seconds
    from torch._functorch import config as graphs

    compiler.recompile_limit = KINDS
    graphs.donated_buffer = False  # observers and terms go through a graph that is needed still
    last = layout == torch.channels_last  # the compiler would lay them so by itself
    straight = torch.compile(Network.straight, dynamic=False, options={"layout_optimization": last})

    def quiet(network: Network, image: Tensor) -> Tensor:
        with warnings.catch_warnings(action="ignore"):  # of the compiler's own doings
            out: Tensor = _Once.apply(straight(network, image, layout))
            return out

    return quiet


class _Once(torch.autograd.Function):
    """Lets a gradient through, and nobody go back through its making: compiled networks give something wrong there."""

    @staticmethod
    def forward(ctx: Any, image: Tensor) -> Tensor:
        return image.view_as(image)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        if torch.is_grad_enabled():
            raise DifferentiatedTwice("a compiled network is differentiated once")
        return gradients[0]
