"""Style transfer of photos: how much of a style they take on, how much of their content they keep.

    python benchmarks/style.py FACADES                     # into benchmarks/results/style.json
    python benchmarks/style.py FACADES --steps 20 --out try.json

FACADES holds ``train`` and ``val`` with photos left. The style is painted here, from a seed: brush strokes along a
current. Results are judged on the photos of ``val`` by the losses that trained them, which says whether training did
what it should, not whether the pictures are good: look at those of the docs, which are drawn from the same file.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from paired import bootstrapped, mean, some  # type: ignore[import-not-found]  # the script's own folder
from portraits import packed  # type: ignore[import-not-found]  # the same
from torch import Tensor

import lossbench
from lossbench.data import Folders, resized, to_tensor, write_image
from lossbench.files import write_json
from lossbench.prepare import prepare
from lossbench.run import go
from lossbench.translation import apply
from lossbench.views import Once

SIDE = 256  # px of the style
COLOURS = np.array([[20, 40, 120], [240, 200, 60], [60, 110, 180], [15, 20, 60], [230, 230, 210]])
STROKES = 1800


def main() -> None:
    """Paint, train, judge."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("facades", type=Path)
    parser.add_argument("--size", type=int, default=128)
    parser.add_argument("--steps", type=int, default=2000)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--run", type=Path, default=Path("runs/style"))
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "style.json")
    asked = parser.parse_args()
    style = asked.run.with_suffix(".png")
    style.parent.mkdir(parents=True, exist_ok=True)
    write_image(style, painted())
    settings = {
        "style.image": style, "data.size": asked.size, "data.load_size": asked.size, "train.batch": 1,
        "train.steps": asked.steps, "train.every": max(1, asked.steps // 4), "train.device": asked.device,
    }  # fmt: skip
    run = go(prepare(recipe="style", settings=settings, source=Folders(asked.facades, test="val")), asked.run)
    photos = run.dataset.test["A"]
    results = apply(run.networks.G["A2B"], photos, noise=False, seed=0)
    canvas = resized([painted()], asked.size).expand_as(photos)
    shown = {  # the photos are not ours to publish
        "style": {"kind": "samples", "rows": {"result": some(results)}},
        "style-source": {"kind": "image", "image": packed(painted()[None])},
    }
    of_style, of_content = lossbench.load_loss("style", image=style), lossbench.load_loss("content")
    losses = {
        "style of results": each(lambda real, fake, once: of_style(fake=fake, once=once), photos, results),
        "style of photos": each(lambda real, fake, once: of_style(fake=fake, once=once), photos, photos),
        "content of results": each(of_content, photos, results),
        "content of the style image": each(of_content, photos, canvas),
    }
    ratios = {
        "style of results to that of photos": ("style of results", "style of photos"),
        "content of results to that of the style image": ("content of results", "content of the style image"),
    }
    metrics = {name: bootstrapped(mean, {"of": of}) for name, of in losses.items()}
    metrics |= {name: bootstrapped(ratio, {"of": losses[a], "to": losses[b]}) for name, (a, b) in ratios.items()}
    record = {key: run.record[key] for key in ("run_id", "config", "speed", "environment")}
    record["config"] = {**record["config"], "style.image": "painted", "data.dir": run.record["dataset"]["name"]}
    write_json(asked.out, {"schema": 1, "what": "style", "metrics": metrics, **record, "shown": shown})
    for name, value in metrics.items():
        print(f"{name}: {value['value']:.4g} ({value['low']:.4g} to {value['high']:.4g})")


def each(term: Callable[..., Any], photos: Tensor, images: Tensor) -> NDArray[np.float64]:
    """Return a term's value, its layers added up, for each photo [N, 3, H, W] uint8 and what became of it."""
    with torch.no_grad():
        values = [
            term(real=to_tensor(real[None]), fake=to_tensor(fake[None]), once=Once())
            for real, fake in zip(photos, images, strict=True)
        ]
    return np.array([sum(float(layer) for layer in value.values()) for value in values])


def ratio(of: Any) -> float:
    """Return the sum of one over that of the other."""
    return float(of["of"].sum() / of["to"].sum())


def painted() -> NDArray[np.uint8]:
    """Return brush strokes along a current, [256, 256, 3]."""
    draw = np.random.default_rng(0)
    picture = np.full((SIDE, SIDE, 3), 230.0)
    y, x = np.mgrid[:SIDE, :SIDE]
    for _ in range(STROKES):
        at_x, at_y = draw.uniform(0, SIDE, 2)
        angle = 2.5 * math.sin(at_x / 40) + at_y / 60
        length, width = draw.uniform(6, 14), draw.uniform(1.5, 3)
        colour = COLOURS[draw.integers(len(COLOURS))] + draw.normal(0, 12, 3)
        along = (math.cos(angle) * (x - at_x) + math.sin(angle) * (y - at_y)) / length
        across = (math.cos(angle) * (y - at_y) - math.sin(angle) * (x - at_x)) / width
        cover = 0.9 * np.clip(1.5 - 1.5 * (along**2 + across**2), 0, 1)[..., None]
        picture = picture * (1 - cover) + colour * cover
    return picture.clip(0, 255).astype(np.uint8)


if __name__ == "__main__":
    main()
