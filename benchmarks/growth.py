"""How cost grows: with the side of images, the batch, the losses, the images of a set, the runs of a report.

    python benchmarks/growth.py                      # into benchmarks/results/growth.json; ten minutes on one core
    python benchmarks/growth.py --rounds 2 --most 64 --out try.json

Process CPU time on one thread, of each size in turn, medians. Slopes are those of the logarithms, of all sizes and, the
steepest, between two neighbours: 1 is in proportion to the work, in pixels, images, losses or runs.
``python benchmarks/tables.py`` draws it.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lossbench import train
from lossbench.bench.bench import Bench, bench, judged
from lossbench.data import Batches, write_image
from lossbench.data.cache import decoded
from lossbench.data.images import look
from lossbench.files import cached, write_json
from lossbench.prepare import prepare
from lossbench.record import environment
from lossbench.report.answer import answered
from lossbench.report.page import page

Work = Callable[[], object]
SIDE = 64  # px, of all that does not grow
NETWORKS = {"model.generator": "resnet_6blocks", "model.ngf": 16, "model.ndf": 16, "train.compile": "off"}


def main() -> None:
    """Measure everything that grows."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--most", type=int, default=256, help="px of the largest images")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "growth.json")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    rows = []
    with tempfile.TemporaryDirectory() as place:
        os.environ["LOSSBENCH_CACHE"] = f"{place}/cache"
        for name, unit, made in (
            ("a step, by pixels", "px of an image", sides(asked.most)),
            ("a step, by the batch", "images", batches()),
            ("a step, by its losses", "losses besides gan and cycle", losses()),
            ("ten batches, by the images of the set", "images", sets()),
            ("decoding a set", "images", files(Path(place) / "images")),
            ("judging a bench", "runs", benches(Path(place))),
        ):
            rows.append(row(name, unit, list(made), asked.rounds))
            print(name, rows[-1]["seconds"], f"slope {rows[-1]['slope']:.2f}", flush=True)
    facts = {"schema": 1, "what": "growth", "environment": environment("cpu", 1)}
    write_json(asked.out, facts | {"shown": {"growth": {"kind": "growth", "rows": rows}}})


def row(name: str, unit: str, sized: Sequence[tuple[int, Work]], rounds: int) -> dict[str, Any]:
    """Measure work of several sizes, in turn; return medians and the slope of their logarithms."""
    seconds: dict[int, list[float]] = {size: [] for size, _ in sized}
    for number in range(rounds + 1):
        for size, work in sized[:: 1 if number % 2 else -1]:
            began = time.process_time()
            work()
            seconds[size].append(time.process_time() - began)
    middle = [statistics.median(some[1:]) for some in seconds.values()]  # the first warms up
    x, y = np.log([*seconds]), np.log(middle)
    slopes = {"slope": float(np.polyfit(x, y, 1)[0]), "steepest": float((np.diff(y) / np.diff(x)).max())}
    return {"name": name, "unit": unit, "sizes": [*seconds], "seconds": middle, **slopes, "n": rounds}


def step(batch: int = 1, side: int = SIDE, extra: int = 0) -> Work:
    """Return the next step of a run."""
    settings = {"data.size": side, "data.load_size": side, "train.batch": batch, "train.steps": 10_000, **NETWORKS}
    more: Any = {f"loss{number}": (near, 0.1) for number in range(extra)}
    trainer = prepare("cycle", losses=more, settings=settings).trainer
    return lambda: trainer.step(trainer.done + 1)


def near(fake: Tensor, real: Tensor) -> Tensor:
    """Return a loss like many, that no other shares anything with but the translation."""
    return (fake - real).abs().mean() + fake.diff(dim=-1).square().mean()


def sides(most: int) -> Iterator[tuple[int, Work]]:
    """Yield steps of larger and larger images."""
    side = 32
    while side <= most:
        yield side * side, step(side=side)
        side *= 2


def batches() -> Iterator[tuple[int, Work]]:
    """Yield steps of more and more images."""
    return ((batch, step(batch)) for batch in (1, 2, 4, 8, 16))


def losses() -> Iterator[tuple[int, Work]]:
    """Yield steps of more and more losses."""
    return ((extra, step(extra=extra)) for extra in (1, 4, 16, 64))


def sets() -> Iterator[tuple[int, Work]]:
    """Yield batches of more and more images to choose from."""
    for count in (100, 1000, 10_000):
        images = {domain: torch.zeros(count, 3, SIDE, SIDE, dtype=torch.uint8) for domain in "AB"}
        cut = Batches(images, batch=8, size=SIDE, flip=True, paired=False, seed=0)
        steps = iter(range(10_000))

        def work(cut: Batches = cut, steps: Iterator[int] = steps) -> None:
            for _ in range(10):
                cut[next(steps)]

        yield count, work


def files(place: Path) -> Iterator[tuple[int, Work]]:
    """Yield the decoding of more and more files, of which none is in the cache."""
    draw = np.random.default_rng(0)
    for count in (50, 200, 800):
        folder = place / str(count)
        folder.mkdir(parents=True)
        for number in range(count):
            write_image(folder / f"{number:04}.jpg", draw.integers(0, 256, (SIDE, SIDE, 3), np.uint8))

        def work(folder: Path = folder) -> None:
            shutil.rmtree(cached("images"), ignore_errors=True)
            decoded(look(sorted(folder.iterdir()))[0], SIDE, "growth")

        yield count, work


def benches(place: Path) -> Iterator[tuple[int, Work]]:
    """Yield the judging of more and more runs: the record of a real one, with values that differ a little."""
    run = train("cycle", settings={"train.steps": 2, "train.keep": 0, **NETWORKS}, out=place / "run")
    draw = np.random.default_rng(0)
    for seeds in (5, 20, 80):
        out, settings = place / f"bench-{seeds}", {"bench.seeds": seeds, "bench.always": "cycle"}
        planned = bench("cycle,idt,circularity", settings=settings, out=out)
        for cell in planned.cells:
            record = json.loads(json.dumps(run.record)) | {"run_id": cell.run_id}
            for values in record["metrics"].values():
                for value in values["translation"].values():
                    value["value"] *= draw.normal(1, 0.05)
            cell.directory.mkdir(parents=True)
            write_json(cell.directory / "run.json", record)

        def work(planned: Bench = planned) -> None:
            page(answered(judged(planned)))

        yield len(planned.cells), work


if __name__ == "__main__":
    main()
