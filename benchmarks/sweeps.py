"""A sweep of two losses, on or off, two at a time, beside the same runs one after another: wall time, in turn.

    python benchmarks/sweeps.py                      # into benchmarks/results/sweeps.json; half an hour
    python benchmarks/sweeps.py --steps 5 --seeds 1 --rounds 1 --out try.json

One run after another is what a loop in a shell does: a process for each, one thread. ``lossbench bench`` trains as many
at a time as there are cores, one thread each, from one cache of images and features. Both train the baseline twice as
often as the others, as a bench does, and measure every run at its end.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from observers import spread  # type: ignore[import-not-found]  # the script's own folder

from lossbench.files import write_json
from lossbench.record import environment

ALWAYS, CHOSEN = "cycle", ("idt", "circularity")
COMBINATIONS = ("cycle", "cycle,idt", "cycle,circularity", "cycle,idt,circularity")


def main() -> None:
    """Measure, in turn."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "sweeps.json")
    asked = parser.parse_args()
    ways = {"one after another": one_after_another, "bench": bench}
    seconds: dict[str, list[float]] = {way: [] for way in ways}
    for number in range(asked.rounds):
        for way in list(ways)[:: 1 if number % 2 else -1]:
            seconds[way].append(timed(partial(ways[way], asked.seeds, asked.steps)))
            print(way, f"{seconds[way][-1]:.1f} s", flush=True)
    ratios = [slow / fast for slow, fast in zip(*seconds.values(), strict=True)]
    write_json(
        asked.out,
        {
            "schema": 2,
            "what": "sweeps",
            "runs": len(runs(asked.seeds)),
            "seeds": asked.seeds,
            "steps": asked.steps,
            "seconds": {way: spread(some) for way, some in seconds.items()},
            "faster": spread(ratios),
            "environment": environment("cpu", 1),
        },
    )


def timed(way: Callable[[Path], None]) -> float:
    """Return the wall seconds of one way, from nothing that is remembered."""
    with tempfile.TemporaryDirectory() as place:
        os.environ["LOSSBENCH_CACHE"] = f"{place}/cache"
        began = time.perf_counter()
        way(Path(place))
        return time.perf_counter() - began


def runs(seeds: int) -> list[tuple[str, int]]:
    """Return the losses and the seed of each."""
    return [(losses, seed) for losses in COMBINATIONS for seed in range(seeds * (2 if losses == ALWAYS else 1))]


def one_after_another(seeds: int, steps: int, place: Path) -> None:
    """Train each by a command of its own."""
    for losses, seed in runs(seeds):
        command("run", "--plugins", losses, "--seed", seed, "--steps", steps, "--out", place / f"{losses}-{seed}")


def bench(seeds: int, steps: int, place: Path) -> None:
    """Train all by one command."""
    words = ("--always", ALWAYS, "--seeds", seeds, "--steps", steps, "--out", place / "bench")
    command("bench", "--plugins", ",".join((ALWAYS, *CHOSEN)), *words)
    assert len(list((place / "bench").rglob("run.json"))) == len(runs(seeds))


def command(*words: object) -> None:
    """Run lossbench with one thread."""
    told = [sys.executable, "-m", "lossbench", *map(str, words)]
    subprocess.run(told, check=True, stdout=subprocess.DEVNULL, env=os.environ | {"OMP_NUM_THREADS": "1"})


if __name__ == "__main__":
    main()
