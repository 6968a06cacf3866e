"""Several devices for one run: each takes its share of every batch, and all move alike.

Lightning Fabric starts the processes, unless torchrun did, and carries what they tell each other. The first one leads:
it writes, prints and measures; the others follow.
"""

from __future__ import annotations

import logging
import os
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

import torch
from torch import Tensor, nn

from lossbench.errors import Left, OptionError
from lossbench.settings import TrainSettings

LOGGERS = ("lightning_fabric", "lightning.fabric", "torch.distributed")


class Alone:
    """One process, that has the whole batch."""

    rank, size = 0, 1

    def own(self, images: Tensor) -> Tensor:
        """Return this process's share of a batch."""
        return images

    def whole(self, images: Tensor) -> Tensor:
        """Return the batch that this is a share of."""
        return images

    def means(self, values: list[Tensor], parameters: Sequence[nn.Parameter]) -> list[Tensor]:
        """Return the means of values over processes, and leave those of gradients."""
        return values

    def any(self, said: bool) -> bool:
        """Return whether any process says so."""
        return said

    def leaders(self, state: Any) -> Any:
        """Return what the leader has."""
        return state

    def leave(self) -> None:
        """Say that nothing more will be told."""


class Group(Alone):
    """Processes with a device each, of a batch that they share equally."""

    def __init__(self, fabric: Any) -> None:
        self.fabric = fabric
        self.rank, self.size = fabric.global_rank, fabric.world_size

    def own(self, images: Tensor) -> Tensor:
        """Return the rows of a batch whose turn this process is."""
        return images.chunk(self.size)[self.rank]

    def whole(self, images: Tensor) -> Tensor:
        """Put every process's rows together, in order."""
        parts = [torch.empty_like(images) for _ in range(self.size)]
        with _together():
            torch.distributed.all_gather(parts, images.contiguous())
        return torch.cat(parts)

    def means(self, values: list[Tensor], parameters: Sequence[nn.Parameter]) -> list[Tensor]:
        """Return the means of values, and leave those of gradients, in one go.

        A parameter without gradient here may have one elsewhere; one without any keeps none.
        """
        like = parameters[0]
        there = [like.new_tensor(float(each.grad is not None)) for each in parameters]
        gradients = [torch.zeros_like(each) if each.grad is None else each.grad for each in parameters]
        every = [each.detach().to(like) for each in (*values, *there, *gradients)]
        flat = torch.cat([each.flatten() for each in every])
        with _together():
            flat = self.fabric.all_reduce(flat, reduce_op="mean")
        means = [mean.view_as(each) for mean, each in zip(flat.split([e.numel() for e in every]), every, strict=True)]
        del means[len(values) : len(values) + len(parameters)]
        somewhere = flat[sum(value.numel() for value in values) :][: len(parameters)].tolist()
        for parameter, share, mean in zip(parameters, somewhere, means[len(values) :], strict=True):
            parameter.grad = torch.empty_like(parameter).copy_(mean) if share else None
        return means[: len(values)]

    def any(self, said: bool) -> bool:
        """Return whether any process says so."""
        with _together():
            told = self.fabric.all_reduce(torch.tensor(float(said), device=self.fabric.device), reduce_op="sum")
        return bool(told)

    def leaders(self, state: Any) -> Any:
        """Return what the leader has."""
        with _together():
            return self.fabric.broadcast(state)

    def leave(self) -> None:
        """Say that nothing more will be told: a process that only ends may end with a signal."""
        with suppress(RuntimeError):
            torch.distributed.destroy_process_group()


def count(train: TrainSettings) -> int:
    """Return how many processes a run has: as many as torchrun started, or as the settings say.

    Raises:
        OptionError: these are two different numbers, or no batch can be shared among so many.
    """
    started = int(os.environ.get("WORLD_SIZE", 1)) if "TORCHELASTIC_RUN_ID" in os.environ else 1
    if started > 1 and train.devices not in (1, started):
        raise OptionError(f"train.devices={train.devices}, but torchrun started {started} processes. Leave it out.")
    devices = max(started, train.devices)
    if train.batch % devices:
        more = -(-train.batch // devices) * devices
        raise OptionError(f"train.batch={train.batch} cannot be shared among {devices} devices. Use --batch {more}.")
    if devices > 1 and train.device not in ("cpu", "cuda"):
        raise OptionError(f"train.device={train.device} is one device. Several are --device cuda, or --device cpu.")
    return devices


def take(train: TrainSettings) -> None:
    """Make this process's GPU the one that ``cuda`` means."""
    if train.devices > 1 and torch.device(train.device).type == "cuda":
        torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", 0)))


def join(train: TrainSettings) -> Alone:
    """Start the processes of a run, each with the command that started this one, and meet them.

    Raises:
        OptionError: there is no Fabric, or there are not so many devices.
    """
    if train.devices == 1:
        return Alone()
    try:
        from lightning_fabric import Fabric
    except ImportError:
        raise OptionError("train.devices: more than one needs a package: pip install 'lossbench[devices]'") from None
    for name in LOGGERS:
        logging.getLogger(name).setLevel(logging.ERROR)
    here = int(os.environ.get("LOCAL_WORLD_SIZE", train.devices))
    kind = torch.device(train.device).type
    with warnings.catch_warnings(action="ignore"):
        try:
            fabric = Fabric(accelerator=kind, devices=here, num_nodes=train.devices // here, strategy="ddp")
            fabric.launch()
        except Exception as error:
            raise OptionError(f"train.devices={train.devices}: {' '.join(str(error).split())}") from None
    return Group(fabric)


@contextmanager
def _together() -> Iterator[None]:
    """Say it in one line if another process is gone."""
    try:
        yield
    except RuntimeError as error:
        raise Left("Another of the processes that train together has ended. What it said stands above.") from error
