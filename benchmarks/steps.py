"""Time and memory of one training step, every way that it can be run, beside the plain step of plain_step.py.

    python benchmarks/steps.py                        # three shapes, into benchmarks/results/speed.json
    python benchmarks/steps.py 64 --pairs 40          # one of them, in the place of its rows there
    python benchmarks/steps.py toy --out try.json     # a minute
    python benchmarks/steps.py --device cuda          # five shapes, in TF32 and in bf16, and the largest batch

Time is CPU time on one thread (on CUDA device time, of some steps in a row): all ways in turn in one process, the order
reversed every other round; ratios are those within a round, and the bound is one that their median exceeds with 95 %
confidence, whatever their distribution. Compiling is not in it. Memory is what three steps add at their peak to a fresh
process in which everything is built, compiling included: resident memory, on CUDA allocated memory. What is plain has
PyTorch's own layers, and the same precision. The generator alone goes forward and back once. The share in convolutions
is that of one step more, profiled.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import statistics
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from itertools import product
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import torch
from plain_step import PlainStep, plain_layers  # type: ignore[import-not-found]  # the script's own folder

from lossbench import rng
from lossbench.errors import LossbenchError
from lossbench.files import write_json
from lossbench.networks.compiled import refusal
from lossbench.precision import tf32
from lossbench.prepare import Run, prepare
from lossbench.profiling import Count, Ledger, peak
from lossbench.record import environment, peak_memory

PLUGINS = "cycle,idt"  # what the plain step has
SHAPES: dict[str, dict[str, Any]] = {
    "64": {"data.size": 64, "train.batch": 8, "model.generator": "resnet_6blocks", "model.ngf": 32},
    "128": {"data.size": 128, "train.batch": 4, "model.generator": "resnet_6blocks", "model.ngf": 64},
    "256": {"data.size": 256, "train.batch": 1, "model.generator": "resnet_9blocks", "model.ngf": 64},
    "256x8": {"data.size": 256, "train.batch": 8, "model.generator": "resnet_9blocks", "model.ngf": 64},
    "512": {"data.size": 512, "train.batch": 1, "model.generator": "resnet_9blocks", "model.ngf": 64},
    "toy": {"data.size": 32, "train.batch": 2, "model.generator": "resnet_1blocks", "model.ngf": 8},
}
SMALL, EVERY = ("64", "128", "256"), ("64", "128", "256", "256x8", "512")  # on a CPU, on CUDA
WAYS = {
    "plain": {"train.compile": "off"},
    "component": {"train.strategy": "component", "train.compile": "off"},
    "fused": {"train.strategy": "fused", "train.compile": "off"},
    "compiled": {"train.strategy": "component", "train.compile": "on"},
}
CONVOLUTIONS = ("aten::convolution", "aten::convolution_backward")
LONG = 5.0  # seconds: steps above are warmed up once, not three times
BURST = 20  # steps in a row that are timed together on CUDA, where one is too short
REFERENCE_GROWTH_MB = 3404  # of pytorch-CycleGAN-and-pix2pix (August 2025) at 256 px; from our notes, not run here


def main() -> None:
    """Measure every shape, and write after each."""
    asked = arguments()
    cuda = asked.device.startswith("cuda")
    shapes = asked.shapes or (EVERY if cuda else SMALL)
    precisions = asked.precision or (["tf32", "bf16"] if cuda else ["float32"])
    rows = [row for row in known(asked.out) if (row["shape"], row["precision"]) not in product(shapes, precisions)]
    for shape, precision in product(shapes, precisions):
        rows.append(measured(shape, precision, asked.device, asked.pairs, asked.processes))
        print(json.dumps(rows[-1], indent=1), flush=True)
        rows.sort(key=lambda row: (list(SHAPES).index(row["shape"]), row["precision"]))
        asked.out.parent.mkdir(parents=True, exist_ok=True)
        write_json(asked.out, {"schema": 4, "what": "speed", "rows": rows})


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("shapes", nargs="*", choices=[*SHAPES, []])
    parser.add_argument("--precision", action="append", help="again for more (float32; on CUDA tf32 and bf16)")
    parser.add_argument("--pairs", type=int, default=20, help="timed rounds")
    parser.add_argument("--processes", type=int, default=3, help="for each measurement of memory")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "speed.json")
    return parser.parse_args()


def known(path: Path) -> list[dict[str, Any]]:
    """Return what was measured before."""
    return list(json.loads(path.read_text("utf-8"))["rows"]) if path.exists() else []


def measured(shape: str, precision: str, device: str, pairs: int, processes: int) -> dict[str, Any]:
    """Return one shape's times and memory, with the ratios to the plain step; above 1, lossbench does better."""
    settings = {
        "data.dir": "shapes", "data.load_size": SHAPES[shape]["data.size"], "train.steps": 1000, "train.device": device,
        "train.precision": precision, **SHAPES[shape],
    }  # fmt: skip
    ways = [way for way in WAYS if way != "compiled" or not refusal(device)]
    rounds, convolving = fresh(spent, ways, settings, pairs)
    alone = fresh(spent_alone, settings, pairs) if "compiled" in ways else []
    grown = {way: [round(fresh(growth, way, settings), 1) for _ in range(processes)] for way in ways}
    middle = {way: statistics.median(values) for way, values in grown.items()}
    flop, reached = fresh(work, settings)
    seconds = {way: spread([one[way] for one in rounds]) for way in ways}
    found = {
        "shape": shape,
        "precision": precision,
        "plugins": PLUGINS,
        "settings": settings,
        "environment": environment(device, 1),
        "flop": flop,
        "peak_flop_per_second": reached,
        "seconds": seconds,
        "images_per_second": {way: settings["train.batch"] / each["median"] for way, each in seconds.items()},
        "share_of_peak": {way: flop / each["median"] / reached for way, each in seconds.items()},
        "share_in_convolutions": convolving,
        "faster": {way: spread([one["plain"] / one[way] for one in rounds]) for way in ways[1:]},
        "generator": {"faster": spread([one["plain"] / one["compiled"] for one in alone])} if alone else None,
        "growth_mb": {way: {"median": middle[way], "values": grown[way]} for way in ways},
        "less_memory": {way: round(middle["plain"] / middle[way], 3) for way in ways[1:]},
    }
    if device.startswith("cuda") and settings["train.batch"] > 1:
        found["largest_batch"] = {way: fresh(largest, way, settings) for way in ways}
    return found


def fresh(function: Callable[..., Any], *args: Any) -> Any:
    """Call in a new process: a peak is a process's own, and a small parent leaves its children none."""
    with ProcessPoolExecutor(1, get_context("spawn")) as pool:
        return pool.submit(function, *args).result()


def spread(values: Sequence[float]) -> dict[str, Any]:
    """Median, quartiles, and the bound that the median exceeds with 95 % confidence, by its rank."""
    low, middle, high = (round(float(q), 4) for q in np.percentile(values, (25, 50, 75)))
    below, n = 0.0, len(values)
    rank = -1
    while (below := below + math.comb(n, rank + 1) / 2**n) <= 0.05:
        rank += 1
    bound = round(sorted(values)[rank], 4) if rank >= 0 else None
    return {"median": middle, "quartiles": [low, high], "bound": bound, "n": n}


# --- in a process of its own ------------------------------------------------------------------------------------------


def spent(ways: Sequence[str], settings: dict[str, Any], pairs: int) -> tuple[list[dict[str, float]], dict[str, float]]:
    """Return seconds by way, round by round, and the share of a step that each spends in convolutions."""
    steps, device = {way: built(way, settings) for way in ways}, settings["train.device"]
    return in_turn(steps, device, pairs), {way: in_convolutions(step, device) for way, step in steps.items()}


def spent_alone(settings: dict[str, Any], pairs: int) -> list[dict[str, float]]:
    """Return seconds of a generator's forward and backward, plain and compiled, round by round."""
    torch.set_num_threads(1)
    passes: dict[str, Callable[[int], object]] = {}
    for way in ("plain", "compiled"):
        run = prepare(PLUGINS, settings=settings | WAYS[way])
        network, image = run.networks.G["A2B"], run.trainer.batch(1)["A"]
        if way == "plain":
            network.lean = False
            plain_layers(network)
        passes[way] = partial(there_and_back, network, image, settings["train.precision"])
    return in_turn(passes, settings["train.device"], pairs)


def there_and_back(network: torch.nn.Module, image: torch.Tensor, precision: str, number: int) -> None:
    """Translate, and go back as if for the mean."""
    with tf32(image.device, precision == "tf32"):
        network(image).mean().backward()


def in_turn(steps: Mapping[str, Callable[[int], object]], device: str, pairs: int) -> list[dict[str, float]]:
    """Return the seconds of each, round by round."""
    ledger, burst = Ledger(torch.device(device)), BURST if device.startswith("cuda") else 1
    numbers = iter(range(1, 1_000_000))

    def some(step: Callable[[int], object], number: int) -> None:
        for place in range(burst):
            step((number - 1) * burst + place + 1)

    def turn() -> dict[str, float]:
        number = next(numbers)
        order = list(steps)[:: 1 if number % 2 else -1]
        return {name: ledger.timed(partial(some, steps[name], number)) / burst for name in order}

    turn()  # compiles
    for _ in range(1 if max(turn().values()) > LONG else 2):
        turn()
    return [turn() for _ in range(pairs)]


def in_convolutions(step: Callable[[int], object], device: str) -> float:
    """Return the share of one step, the first, that convolutions take, there and back."""
    cuda, kind = device.startswith("cuda"), torch.profiler.ProfilerActivity
    with torch.profiler.profile(activities=[kind.CPU, kind.CUDA] if cuda else [kind.CPU]) as seen:
        seconds = Ledger(torch.device(device)).timed(partial(step, 1))
    events = [event for event in seen.key_averages() if event.key in CONVOLUTIONS]
    return float(sum(event.device_time_total if cuda else event.cpu_time_total for event in events)) / 1e6 / seconds


def work(settings: dict[str, Any]) -> tuple[int, float]:
    """Return the FLOP of a step, and how many the device does in a second at its best."""
    torch.set_num_threads(1)
    trainer = prepare(PLUGINS, settings=settings | WAYS["component"]).trainer
    count = Count(Ledger(trainer.device), trainer.device)
    with count:
        trainer.gradients(1, trainer.objective.active(1, 0.0))
    return count.flop.total(), peak(trainer.device, settings["train.precision"])[1]


def largest(way: str, settings: dict[str, Any]) -> int:
    """Return the largest batch, of powers of two, that a step fits the device with."""
    batch = settings["train.batch"]
    try:
        while True:
            step = built(way, settings | {"train.batch": 2 * batch})
            step(1)
            step(2)
            del step
            torch.cuda.empty_cache()
            batch *= 2
    except (torch.cuda.OutOfMemoryError, LossbenchError):  # the second: no more images
        return int(batch)


def growth(way: str, settings: dict[str, Any]) -> float:
    """Return the MB that three steps add at their peak."""
    step = built(way, settings)
    device = torch.device(settings["train.device"])
    before = in_use(device)
    for number in (1, 2, 3):
        step(number)
    return (peak_memory(device) or 0.0) - before


def built(way: str, settings: dict[str, Any]) -> Callable[[int], object]:
    """Return a step that takes its number; equal seeds, so equal weights and batches for all."""
    torch.set_num_threads(1)
    run = prepare(PLUGINS, settings=settings | WAYS[way])
    if way != "plain":
        return run.trainer.step
    for network in run.networks.named().values():
        network.lean = False
        plain_layers(network)
    return plain(run)


def plain(run: Run) -> Callable[[int], object]:
    """Return the yardstick on a run's networks, its batches and a pool under the same streams."""
    trainer, now = run.trainer, 0

    def pooled(way: str, fake: torch.Tensor) -> torch.Tensor:
        shown = trainer.pools[way].exchange(fake, rng.stream(trainer.seed, now, "pool", way))
        trainer.pools[way].commit()
        return shown

    moved = PlainStep(run.networks.G, run.networks.D, lr=run.config.train.lr, pooled=pooled)

    def step(number: int) -> None:
        nonlocal now
        now = number
        A, B = (trainer.batches[now - 1][domain].to(trainer.device, trainer.dtype) for domain in "AB")
        with tf32(trainer.device, run.config.train.precision == "tf32"):
            moved(A, B)

    return step


def in_use(device: torch.device) -> float:
    """Memory in use in MB, of the device if it is CUDA, otherwise of the process; what the next peak stands on."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        return torch.cuda.memory_allocated(device) / 1e6
    try:
        pages = int(Path("/proc/self/statm").read_text("utf-8").split()[1])
    except OSError:  # not Linux
        return peak_memory(device) or 0.0
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


if __name__ == "__main__":
    main()
