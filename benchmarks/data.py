"""What the cache saves: batches from decoded images against decoding at each step, as a trainer without a cache does.

    python benchmarks/data.py --images FOLDER      # into benchmarks/results/data.json; again for more folders
    python benchmarks/data.py --pairs 3 --out try.json   # the built-in images, written as JPEG

Process CPU time, in turn (A B, B A, ...) in one process, medians over pairs of batches; both give batches of both
domains, cropped, flipped, in [-1, 1].
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from lossbench.data import Batches, Shapes, image_paths, resized, write_image
from lossbench.data.cache import decoded
from lossbench.data.images import decode, look
from lossbench.record import environment

SIZES = ((64, 8), (128, 4), (256, 1))  # px, batch


def main() -> None:
    """Measure every folder at every size."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=Path, action="append", help="a folder of images; again for more")
    parser.add_argument("--pairs", type=int, default=50)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "data.json")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        folders = [(f"{path.parent.name}/{path.name}", path) for path in asked.images or ()]
        folders.append(("built-in, as JPEG of 256 px", built_in(Path(folder))))
        rows = [measure(name, path, *size, asked.pairs) for name, path in folders for size in SIZES]
    facts = environment("cpu", 1)
    asked.out.write_text(json.dumps({"schema": 1, "what": "data", "rows": rows, "environment": facts}, indent=1) + "\n")
    for row in rows:
        print(row["images"], row["size"], row["batch"], f"{row['faster']['median']:.1f}")


def built_in(folder: Path) -> Path:
    """Write the built-in images as JPEG."""
    for index, image in enumerate(Shapes("shapes", 0).dataset(64, 256).train["A"]):
        write_image(folder / f"{index:03}.jpg", image.permute(1, 2, 0).numpy())
    return folder


def measure(name: str, folder: Path, size: int, batch: int, pairs: int) -> dict[str, Any]:
    """Return the medians of both ways, and of their ratio."""
    paths, load_size = image_paths(folder), round(size * 286 / 256)
    images, _, _ = decoded(look(paths)[0], load_size, name)

    def batches(a: Tensor, b: Tensor) -> Batches:
        return Batches({"A": a, "B": b}, batch=batch, size=size, flip=True, paired=False, seed=0)

    cached = batches(images, images)

    def from_cache(step: int) -> object:
        return cached[step]

    def from_files(step: int) -> object:
        turn = [paths[index % len(paths)] for index in range(2 * step * batch, 2 * (step + 1) * batch)]
        return batches(*resized([decode(path) for path in turn], load_size).split(batch))[0]

    times: dict[str, list[float]] = {"cached": [], "decoded": []}
    for step in range(pairs + 3):
        both = [("cached", from_cache), ("decoded", from_files)]
        for way, make in both if step % 2 else both[::-1]:
            times[way].append(cpu(make, step))
    warm = {way: values[3:] for way, values in times.items()}
    ratios = [slow / fast for slow, fast in zip(warm["decoded"], warm["cached"], strict=True)]
    low, middle, high = statistics.quantiles(ratios, n=4)
    return {
        "images": name,
        "size": size,
        "batch": batch,
        "n": pairs,
        "milliseconds": {way: 1e3 * statistics.median(values) for way, values in warm.items()},
        "faster": {"median": middle, "quartiles": [low, high]},
    }


def cpu(make: Callable[[int], object], step: int) -> float:
    """Return the CPU seconds of one batch."""
    began = time.process_time()
    make(step)
    return time.process_time() - began


if __name__ == "__main__":
    main()
