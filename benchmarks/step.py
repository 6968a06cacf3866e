"""Time and memory of one training step, by both strategies, beside the plain step of plain_step.py.

    python benchmarks/step.py                     # 256 px, batch 1, resnet_9blocks, into benchmarks/results/step.json
    python benchmarks/step.py --size 32 --ngf 4 --pairs 2 --out try.json

Time is CPU time on one thread (on CUDA wall time, synchronised): plain, component and fused in turn in one process, the
order reversed every other round; ratios are those within a round. Memory is what three steps add at their peak to a
fresh process in which everything is built: resident memory, on CUDA allocated memory. The plain step computes gan,
cycle and idt and nothing else, so what more a set of plugins holds is paid by lossbench alone.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import torch
from plain_step import PlainStep, plain_layers  # type: ignore[import-not-found]  # the script's own folder

from lossbench import rng
from lossbench.prepare import Run, prepare
from lossbench.record import environment, peak_memory

STEPS = ("plain", "component", "fused")
PLAIN_HAS = ("gan", "cycle", "idt")
REPEATS = 3  # processes per measurement of memory
LONG = 5.0  # seconds: steps above are warmed up once, not three times
REFERENCE = {"data.size": 256, "train.batch": 1, "model.generator": "resnet_9blocks", "model.ngf": 64}
REFERENCE_GROWTH_MB = 3404  # of pytorch-CycleGAN-and-pix2pix (August 2025) at REFERENCE; from our notes, not run here


def main() -> None:
    """Measure every set of plugins, and write after each."""
    asked = arguments()
    settings = {
        "data.dir": "shapes", "data.size": asked.size, "data.load_size": asked.size,
        "train.batch": asked.batch, "train.steps": 1000, "train.device": asked.device, "pool.size": 50,
        "model.generator": asked.generator, "model.ngf": asked.ngf, "model.ndf": asked.ndf,
    }  # fmt: skip
    report = {"schema": 1, "what": "step", "size": asked.size, "settings": settings}
    report |= {"environment": environment(asked.device, 1), "sets": []}
    if asked.device == "cpu" and REFERENCE.items() <= settings.items():
        report["reference_growth_mb"] = REFERENCE_GROWTH_MB
    for plugins in asked.plugins.split(";"):
        report["sets"].append(measured(plugins, settings, asked.pairs))
        print(json.dumps(report["sets"][-1], indent=1), flush=True)
        asked.out.parent.mkdir(parents=True, exist_ok=True)
        asked.out.write_text(json.dumps(report, indent=1) + "\n", "utf-8")


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--generator", default="resnet_9blocks")
    parser.add_argument("--ngf", type=int, default=64)
    parser.add_argument("--ndf", type=int, default=64)
    parser.add_argument("--pairs", type=int, default=10, help="timed rounds")
    parser.add_argument("--plugins", default="cycle,idt;cycle,idt,circularity", help="sets, with ; between them")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "step.json")
    return parser.parse_args()


def measured(plugins: str, settings: dict[str, Any], pairs: int) -> dict[str, Any]:
    """Return one set's times and memory, with the ratios to the plain step; above 1, lossbench does better."""
    rounds = fresh(spent, plugins, settings, pairs)
    grown = {name: [round(fresh(growth, name, plugins, settings), 1) for _ in range(REPEATS)] for name in STEPS}
    middle = {name: statistics.median(values) for name, values in grown.items()}
    return {
        "plugins": plugins,
        "plain_has": PLAIN_HAS,
        "seconds": {name: spread([one[name] for one in rounds]) for name in STEPS},
        "faster": {name: spread([one["plain"] / one[name] for one in rounds]) for name in STEPS[1:]},
        "growth_mb": {name: {"median": middle[name], "values": grown[name]} for name in STEPS},
        "less_memory": {name: round(middle["plain"] / middle[name], 3) for name in STEPS[1:]},
    }


def fresh(function: Callable[..., Any], *args: Any) -> Any:
    """Call in a new process: a peak is a process's own, and a small parent leaves its children none."""
    with ProcessPoolExecutor(1, get_context("spawn")) as pool:
        return pool.submit(function, *args).result()


def spread(values: Sequence[float]) -> dict[str, Any]:
    """Median and quartiles."""
    low, middle, high = (round(float(q), 4) for q in np.percentile(values, (25, 50, 75)))
    return {"median": middle, "quartiles": [low, high], "n": len(values)}


# --- in a process of its own ------------------------------------------------------------------------------------------


def spent(plugins: str, settings: dict[str, Any], pairs: int) -> list[dict[str, float]]:
    """Return seconds by step, round by round."""
    steps = {name: built(name, plugins, settings) for name in STEPS}
    clock = wall if settings["train.device"].startswith("cuda") else time.process_time

    def turn(number: int) -> dict[str, float]:
        seconds = {}
        for name in STEPS[:: 1 if number % 2 else -1]:
            start = clock()
            steps[name](number)
            seconds[name] = clock() - start
        return seconds

    warm = 1 if max(turn(1).values()) > LONG else 3
    return [turn(number) for number in range(2, warm + pairs + 1)][-pairs:]


def growth(name: str, plugins: str, settings: dict[str, Any]) -> float:
    """Return the MB that three steps add at their peak."""
    step = built(name, plugins, settings)
    device = torch.device(settings["train.device"])
    before = in_use(device)
    for number in (1, 2, 3):
        step(number)
    return (peak_memory(device) or 0.0) - before


def built(name: str, plugins: str, settings: dict[str, Any]) -> Callable[[int], object]:
    """Return a step that takes its number; equal seeds, so equal weights and batches for all."""
    torch.set_num_threads(1)
    run = prepare(plugins, settings=settings | {"train.strategy": "auto" if name == "plain" else name})
    if name != "plain":
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
        moved(A, B)

    return step


def wall() -> float:
    """Wall time when the device is done."""
    torch.cuda.synchronize()
    return time.perf_counter()


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
