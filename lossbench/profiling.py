"""Where a step's time and memory go, and what each loss costs: what ``lossbench profile`` finds out.

Time goes to whoever works: a network, a loss's own arithmetic, the images. What a loss *costs* is another question, as
it makes networks run: it is the step with it less the step without it, measured in turn.
"""

from __future__ import annotations

import statistics
import time
import weakref
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import flop_registry

from lossbench.hookspecs import hookimpl
from lossbench.objective import Bound
from lossbench.precision import tf32
from lossbench.prepare import Run
from lossbench.record import environment
from lossbench.views import Views

ALL = ""  # in the place of a loss that is left out
FORWARD, BACKWARD = "forward", "backward"
IMAGES, OPTIMISERS, REST = "images", "optimisers", "the rest"
WARM = 3  # steps, the first of which may compile
CHANNELS, SIDE = 256, 64  # of what a device's peak is measured by
BATCH, ROWS = {True: 64, False: 2}, {True: 8192, False: 2048}  # on CUDA or not
TRIES = 5

Owner = tuple[str, str]  # name, which way
Numbers = dict[str, Any]


def profile(run: Run, rounds: int = 10, report: Callable[[int, int], object] = lambda done, total: None) -> Numbers:
    """Train a prepared run for a few steps and return where they went, as JSON holds it.

    ``parts``: seconds, FLOP, and MB when a step is at its fullest, of each network and each loss by itself. ``losses``:
    what each costs, over ``rounds`` differences. FLOP are those of convolutions and matrix products, MB those of the
    tensors that a step makes; networks that train compiled are counted as they are. ``report(done, total)`` is called
    as measurements are done.
    """
    trainer, ledger, objective = run.trainer, Ledger(run.trainer.device), run.objective
    active = max((objective.active(step, 0.0) for step in range(1, objective.critic_steps + 1)), key=len)
    names = list(dict.fromkeys(bound.origin.name for bound in active))
    some = {name: [bound for bound in active if bound.origin.name != name] for name in names} | {ALL: active}
    steps = WARM + rounds
    total = steps + (1 + rounds + 1) * len(some)
    numbers = iter(range(1, total + 1))

    def tick() -> None:
        report(next(numbers), total)

    watch(run, ledger)
    spent, idle = _steps(run, ledger, steps, tick)
    costs = _costs(run, ledger, some, rounds, tick)
    counts = {name: _counted(run, ledger, bounds, tick) for name, bounds in some.items()}
    whole, (fastest, reached) = counts[ALL], peak(trainer.device, run.config.train.precision)
    seconds = [sum(step.values()) for step in spent]
    middle, flop = statistics.median(seconds), whole.flop.total()
    return {
        "schema": 1,
        "what": "profile",
        "config": run.config.dotted(),
        "dataset": run.dataset.name,
        "compiled": [name for name, network in run.networks.named().items() if network.compiled],
        "environment": environment(str(trainer.device), torch.get_num_threads()),
        "step": {
            "seconds": _spread(seconds),
            "clock": ledger.clock,
            "images_per_second": run.config.train.batch / middle,
            "idle": idle,
            "flop": flop,
            "mb": whole.peak / 1e6,
            "peak": {"flop_per_second": reached, "of": fastest},
            "share_of_peak": flop / middle / reached,
        },
        "parts": sorted(_parts(spent, whole), key=lambda part: -part["share"]),
        "losses": [
            {
                "name": name,
                "seconds": _spread(costs[name]),
                "share": _spread([each / middle for each in costs[name]]),
                "flop": flop - counts[name].flop.total(),
                "mb": (whole.peak - counts[name].peak) / 1e6,
            }
            for name in names
        ],
    }


def _parts(spent: Sequence[Counter[Owner]], whole: Count) -> Iterator[Numbers]:
    """Yield a row for each owner's name, medians over steps."""
    for name in dict.fromkeys(name for step in spent for name, _ in step):
        ways = dict.fromkeys(way for step in spent for owner, way in step if owner == name)
        owners = [(name, way) for way in ways]
        yield {
            "name": name,
            "seconds": statistics.median(sum(step[owner] for owner in owners) for step in spent),
            "forward": statistics.median(step[name, FORWARD] for step in spent) if FORWARD in ways else None,
            "backward": statistics.median(step[name, BACKWARD] for step in spent) if BACKWARD in ways else None,
            "share": statistics.median(sum(step[owner] for owner in owners) / step.total() for step in spent),
            "flop": sum(whole.flop[owner] for owner in owners),
            "mb": sum(whole.fullest[owner] for owner in owners) / 1e6,
        }


class Ledger:
    """Who works, since when. Going forward, calls nest; going backward, each in turn works until the next does."""

    def __init__(self, device: torch.device) -> None:
        self.cuda = device.type == "cuda"
        self.inside: list[Owner] = [(REST, "")]
        self.owner = self.inside[-1]
        self.marks: list[tuple[Owner, Any]] = []

    def now(self, owner: Owner) -> None:
        """Let ``owner`` work from here on."""
        self.owner = owner
        self.marks.append((owner, self.stamp()))

    def enter(self, owner: Owner) -> None:
        """Let ``owner`` work until it leaves."""
        self.inside.append(owner)
        self.now(owner)

    def leave(self) -> None:
        """Go back to who worked before."""
        self.inside.pop()
        self.now(self.inside[-1])

    @property
    def clock(self) -> str:
        """Return what time it is that is measured."""
        return "device time" if self.cuda else "CPU time" if torch.get_num_threads() == 1 else "wall time"

    def stamp(self) -> Any:
        """Return this moment: of the device; of one thread in CPU time, in which other programs do not count."""
        if self.cuda:
            event = torch.cuda.Event(enable_timing=True)
            event.record()
            return event
        return time.process_time() if torch.get_num_threads() == 1 else time.perf_counter()

    def between(self, start: Any, end: Any) -> float:
        """Return the seconds between two moments."""
        if self.cuda:
            end.synchronize()
            return float(start.elapsed_time(end)) / 1e3
        return float(end - start)

    def timed(self, work: Callable[[], object]) -> float:
        """Return the seconds that something takes."""
        start = self.stamp()
        work()
        return self.between(start, self.stamp())

    def balance(self) -> Counter[Owner]:
        """Return the seconds of each owner since the last balance."""
        spans = list(zip(self.marks, self.marks[1:], strict=False))
        self.marks = []
        seconds: Counter[Owner] = Counter()
        for (owner, start), (_, end) in spans:
            seconds[owner] += self.between(start, end)  # type: ignore[assignment]  # typed for whole numbers
        return seconds


class Count(TorchDispatchMode):
    """Counts FLOP and bytes of what is computed within, by the ledger's owners."""

    def __init__(self, ledger: Ledger, device: torch.device) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.ledger, self.device = ledger, device
        self.flop: Counter[Owner] = Counter()
        self.live: Counter[Owner] = Counter()  # bytes
        self.now = self.peak = 0
        self.fullest: Counter[Owner] = Counter()  # bytes, at the peak
        self.known: dict[int, tuple[Owner, int]] = {}

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        for given in tree_leaves((args, kwargs)):
            self._see(given, made=False)
        out = func(*args, **(kwargs or {}))
        for made in tree_leaves(out):
            self._see(made, made=True)
        if formula := flop_registry.get(func._overloadpacket):
            self.flop[self.ledger.owner] += formula(*args, **(kwargs or {}), out_val=out)
        return out

    def _see(self, tensor: Any, *, made: bool) -> None:
        if not isinstance(tensor, Tensor) or tensor.device.type != self.device.type:
            return
        storage = tensor.untyped_storage()
        if id(storage) in self.known:
            return
        owner, size = self.ledger.owner, storage.nbytes() if made else 0
        self.known[id(storage)] = owner, size
        weakref.finalize(storage, self._gone, id(storage))
        self.live[owner] += size
        self.now += size
        if self.now > self.peak:
            self.peak, self.fullest = self.now, self.live.copy()

    def _gone(self, key: int) -> None:
        owner, size = self.known.pop(key)
        self.live[owner] -= size
        self.now -= size


class Backwards:
    """Marks where the backward of each loss begins."""

    def __init__(self, ledger: Ledger) -> None:
        self.ledger = ledger

    @hookimpl
    def lossbench_component(self, terms: Mapping[str, Tensor]) -> None:
        """Look at every term."""
        for label, value in terms.items():
            _mark(value, self.ledger, _name(label))


def watch(run: Run, ledger: Ledger) -> None:
    """Have the ledger told who works in a run's steps."""
    trainer = run.trainer
    run.hooks.register(Backwards(ledger))
    for name, network in run.networks.named().items():
        network.register_forward_pre_hook(partial(_entered, ledger, name))
        network.register_forward_hook(partial(_left, ledger, name))
    evaluate = trainer.evaluate

    def evaluated(bound: Bound, views: Views, step: int) -> dict[str, Tensor]:
        ledger.enter((bound.origin.name, FORWARD))
        parts = evaluate(bound, views, step)
        ledger.leave()
        return parts

    setattr(trainer, "evaluate", evaluated)  # noqa: B010  # of this one trainer
    for thing, method, owner in (
        (trainer, "batch", IMAGES),
        (trainer, "backward", REST),
        *((optimiser, "step", OPTIMISERS) for optimiser in trainer.optimisers),
    ):
        setattr(thing, method, _within(ledger, (owner, ""), getattr(thing, method)))


def _within(ledger: Ledger, owner: Owner, function: Callable[..., Any]) -> Callable[..., Any]:
    def told(*args: Any) -> Any:
        ledger.enter(owner)
        result = function(*args)
        ledger.leave()
        return result

    return told


def _entered(ledger: Ledger, name: str, network: nn.Module, given: Any) -> None:
    ledger.enter((name, FORWARD))


def _left(ledger: Ledger, name: str, network: nn.Module, given: Any, out: Tensor) -> None:
    _mark(out, ledger, name)
    ledger.leave()


def _mark(tensor: Tensor, ledger: Ledger, name: str) -> None:
    """Let a backward be its owner's from this tensor on."""
    if tensor.requires_grad:
        tensor.register_hook(lambda gradient: ledger.now((name, BACKWARD)))


def _steps(run: Run, ledger: Ledger, steps: int, tick: Callable[[], None]) -> tuple[list[Counter[Owner]], float]:
    """Train; return each owner's seconds, step by step without the first ones, and the share of them spent idle."""
    spent, idle = [], []
    for step in range(1, steps + 1):
        wall, worked = time.perf_counter(), time.process_time()
        ledger.now((REST, ""))
        run.trainer.step(step)
        ledger.now((REST, ""))
        wall, worked = time.perf_counter() - wall, time.process_time() - worked
        spent.append(ledger.balance())
        idle.append(1 - worked / wall / torch.get_num_threads())
        tick()
    if not ledger.cuda:
        return spent[WARM:], max(0.0, statistics.median(idle[WARM:]))
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CUDA]) as seen:
        run.trainer.step(steps + 1)
        torch.cuda.synchronize()
    busy = sum(event.self_device_time_total for event in seen.key_averages()) / 1e6
    return spent[WARM:], max(0.0, 1 - busy / statistics.median(step.total() for step in spent[WARM:]))


def _costs(
    run: Run, ledger: Ledger, some: Mapping[str, Sequence[Bound]], rounds: int, tick: Callable[[], None]
) -> dict[str, list[float]]:
    """Return, round by round, the seconds of a step's gradients less those without each loss."""
    step = run.trainer.done + 1
    turns: list[dict[str, float]] = []
    for turn in range(1 + rounds):  # the first warms up
        seconds = {}
        for name in list(some)[:: 1 if turn % 2 else -1]:
            seconds[name] = ledger.timed(partial(run.trainer.gradients, step, some[name]))
            ledger.marks = []
            tick()
        turns.append(seconds)
    return {name: [each[ALL] - each[name] for each in turns[1:]] for name in some}


def _counted(run: Run, ledger: Ledger, active: Sequence[Bound], tick: Callable[[], None]) -> Count:
    """Compute a step's gradients and count."""
    compiled = {network: network.compiled for network in run.networks.named().values()}
    for network in compiled:
        network.compiled = None
    count = Count(ledger, run.trainer.device)
    with count:
        run.trainer.gradients(run.trainer.done + 1, active)
    for network, forward in compiled.items():
        network.compiled = forward
    ledger.marks = []
    tick()
    return count


def peak(device: torch.device, precision: str) -> tuple[str, float]:
    """Return what this device does fastest, a convolution or a matrix product, and the FLOP a second it reaches."""
    cuda = device.type == "cuda"
    batch, rows = BATCH[cuda], ROWS[cuda]
    dtype = {"float64": torch.float64, "bf16": torch.bfloat16}.get(precision, torch.float32)
    image = torch.ones(batch, CHANNELS, SIDE, SIDE, device=device, dtype=dtype).to(memory_format=torch.channels_last)
    kernel = torch.ones(CHANNELS, CHANNELS, 3, 3, device=device, dtype=dtype)
    matrix = torch.ones(rows, rows, device=device, dtype=dtype)
    work = {
        "convolution": (lambda: nn.functional.conv2d(image, kernel, padding=1), 18 * batch * (CHANNELS * SIDE) ** 2),
        "matrix product": (lambda: matrix @ matrix, 2 * rows**3),
    }
    ledger = Ledger(device)
    with tf32(device, precision == "tf32"):
        seconds = {name: min(ledger.timed(compute) for _ in range(TRIES)) for name, (compute, _) in work.items()}
    reached = {name: flop / seconds[name] for name, (_, flop) in work.items()}
    return max(reached.items(), key=lambda pair: pair[1])


def _name(label: str) -> str:
    """``A2B/style/relu3_3`` -> ``style``."""
    return label.split("/")[1].removesuffix(":D")


def _spread(values: Sequence[float]) -> Numbers:
    low, middle, high = (float(each) for each in np.percentile(values, (25, 50, 75)))
    return {"median": middle, "quartiles": [low, high], "n": len(values)}
