"""What it costs to be observed: a step with each observer beside a step with none.

    python benchmarks/observers.py                     # 64 px, into benchmarks/results/observers.json; five minutes
    python benchmarks/observers.py --rounds 2 --steps 2 --out try.json

CPU time on one thread. Runs of equal seeds, one for each observer, take turns in one process, the order reversed every
other round; ratios are those within a round. What an observer takes in its own hooks is measured beside. A turn has
``--steps`` steps, of which gradients looks at one where it looks at every 25th; where every step is looked at or drawn,
a turn is five times as short. Samples, which no turn draws, cost the same with and without.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch

from lossbench.observers import Guard, Observed
from lossbench.prepare import prepare
from lossbench.record import environment

PLUGINS = "cycle,idt,tv,circularity"
NONE = "none"
WAYS: dict[str, tuple[str, dict[str, int]]] = {
    NONE: ("", {}),
    "csv": ("csv", {}),
    "tensorboard": ("tensorboard", {}),
    "gradients": ("gradients", {}),
    "gradients, a step that is looked at": ("gradients", {"gradients.every": 1}),
    "heatmaps, a step that is drawn": ("heatmaps", {"heatmaps.every": 1}),
}
SHORTER = 5
WARM = 3  # steps


class Timed(Guard):
    """A guard that counts the CPU seconds of what it calls."""

    spent = 0.0

    def call(self, hook: str, shown: Mapping[str, Any]) -> None:
        """Pass it on."""
        began = time.process_time()
        super().call(hook, shown)
        self.spent += time.process_time() - began


class Way:
    """A run that is observed in one way, turn by turn."""

    def __init__(self, name: str, settings: dict[str, Any], steps: int, folder: Path) -> None:
        observe, options = WAYS[name]
        self.run = prepare(PLUGINS, settings=settings | options, observe=observe)
        self.run.directory = folder / name
        self.run.directory.mkdir()
        self.steps = max(1, steps // SHORTER) if options else steps
        self.guards = [timed(one) for one in self.run.config.observed]
        for guard in self.guards:
            self.run.hooks.register(guard)
        self.run.hooks.hook.lossbench_run_start(run=self.run)
        self.go(WARM)

    def go(self, steps: int) -> None:
        """Take steps."""
        for _ in range(steps):
            self.run.trainer.step(self.run.trainer.done + 1)

    def turn(self) -> tuple[float, float]:
        """Return the CPU seconds of a step, and those of them in the observer."""
        began, before = time.process_time(), self.spent()
        self.go(self.steps)
        return (time.process_time() - began) / self.steps, (self.spent() - before) / self.steps

    def spent(self) -> float:
        """Return the observer's seconds so far; one that was switched off has none."""
        if failed := [guard.facts["error"] for guard in self.guards if guard.facts["error"]]:
            raise SystemExit(failed[0])
        return sum(guard.spent for guard in self.guards)


def timed(observed: Observed) -> Timed:
    """Build an observer behind a guard that counts."""
    return Timed(observed.plugin.origin, observed.plugin.spec(**observed.options))


def main() -> None:
    """Measure every way, and write."""
    asked = arguments()
    torch.set_num_threads(1)
    settings = {"data.dir": "shapes", "data.size": asked.size, "train.steps": 100_000}
    facts = environment("cpu", 1)
    facts["packages"] |= {name: version(name) for name in ("matplotlib", "tensorboard")}
    report: dict[str, Any] = {
        "schema": 1,
        "what": "observers",
        "plugins": PLUGINS,
        "settings": settings,
        "environment": facts,
    }
    with tempfile.TemporaryDirectory() as folder:
        report["rows"] = measured(settings, asked.steps, asked.rounds, Path(folder))
    asked.out.parent.mkdir(parents=True, exist_ok=True)
    asked.out.write_text(json.dumps(report, indent=1) + "\n", "utf-8")
    for row in report["rows"]:
        print(row["way"], row["seconds"]["median"], row["times"]["median"], row["own_ms"]["median"])


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=64)
    parser.add_argument("--steps", type=int, default=25, help="of a turn")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "observers.json")
    return parser.parse_args()


def measured(settings: dict[str, Any], steps: int, rounds: int, folder: Path) -> list[dict[str, Any]]:
    """Return a row for each way."""
    ways = {name: Way(name, settings, steps, folder) for name in WAYS}
    turns: dict[str, list[tuple[float, float]]] = {name: [] for name in ways}
    for number in range(rounds):
        for name in list(ways)[:: 1 if number % 2 else -1]:
            turns[name].append(ways[name].turn())
    bare = [seconds for seconds, _ in turns[NONE]]
    return [
        {
            "way": name,
            "steps": ways[name].steps,
            "options": ways[name].run.config.observed[0].options if name != NONE else {},
            "seconds": spread([seconds for seconds, _ in some]),
            "times": spread([seconds / without for (seconds, _), without in zip(some, bare, strict=True)]),
            "own_ms": spread([1e3 * own for _, own in some]),
        }
        for name, some in turns.items()
    ]


def spread(values: Sequence[float]) -> dict[str, Any]:
    """Median and quartiles."""
    low, middle, high = (round(float(q), 4) for q in np.percentile(values, (25, 50, 75)))
    return {"median": middle, "quartiles": [low, high], "n": len(values)}


if __name__ == "__main__":
    main()
