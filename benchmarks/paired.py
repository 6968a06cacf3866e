"""pix2pix on facades, its rows of losses, judged as its paper does: colours and sharpness of photos, classes of labels.

    python benchmarks/paired.py FACADES                        # into benchmarks/results/facades.json
    python benchmarks/paired.py FACADES --steps 20 --out try.json

FACADES holds ``train`` and ``val`` with photo left, label map right. Every number is over the images of ``val``, with
a 95 % interval by bootstrap over them; of one training seed. Rows that are in the file are not trained again. Six
translations of each are kept with the numbers, for the pictures of the docs.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from portraits import packed  # type: ignore[import-not-found]  # the script's own folder
from skimage.color import rgb2gray, rgb2lab
from torch import Tensor

import lossbench
from lossbench.files import write_json
from lossbench.record import environment
from lossbench.translation import apply

Floats = NDArray[np.float64]
Measured = Mapping[str, Floats]  # of each image: what a metric adds up

ROWS: dict[str, dict[str, Any]] = {
    "L1": {"gan.weight": 0},
    "L2": {"gan.weight": 0, "l1.power": 2},
    "L1+cGAN": {},
    "L1+GAN": {"train.conditional": False},
    "cGAN": {"l1.weight": 0},
    "GAN": {"l1.weight": 0, "train.conditional": False},
}
TO_PHOTO = ("L1", "L2", "L1+cGAN")
TO_LABEL = ("L1", "L1+cGAN")
RISE = (0, 0, 0, 0, 0, 85, 170, 255, 255, 255, 255, 170)  # red of the 12 classes; of blue from behind
GREEN = (0, 0, 85, 170, 255, 255, 255, 255, 170, 85, 0, 0)
PALETTE = np.array([RISE, GREEN, RISE[::-1]], np.uint8).T  # the facade database's: MATLAB's jet(12)
DRAWS = 1000
SHOWN = 6
PICTURES = {"B2A": "facades-photos", "A2B": "facades-labels"}


def main() -> None:
    """Train what is missing, one row after the other."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("facades", type=Path)
    parser.add_argument("--size", type=int, default=64)
    parser.add_argument("--ngf", type=int, default=32)
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--steps", type=int, default=8000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--direction", choices=("B2A", "A2B", "both"), default="both")
    parser.add_argument("--runs", type=Path, default=Path("runs/facades"))
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "facades.json")
    asked = parser.parse_args()
    settings = {
        "data.test": "val", "data.size": asked.size, "model.ngf": asked.ngf, "model.ndf": asked.ngf,
        "train.batch": asked.batch, "train.steps": asked.steps, "train.seed": asked.seed, "train.device": asked.device,
        "train.every": asked.steps, "train.keep": 1,
    }  # fmt: skip
    report: dict[str, Any] = {"schema": 1, "what": "facades", "rows": {}, "shown": {}}
    if asked.out.exists():
        report = json.loads(asked.out.read_text("utf-8"))
    rows = report["rows"]
    for direction, names in (("B2A", TO_PHOTO), ("A2B", TO_LABEL)):
        for name in names if asked.direction in (direction, "both") else ():
            key = f"{direction} {name}"
            folder = asked.runs / key.replace(" ", "-")
            if key not in rows:
                run = trained(folder, asked.facades, settings | ROWS[name] | {"data.direction": direction})
                fake, truth = translated(run, direction), run.dataset.test[direction[-1]]
                rows[key] = row(run, judged(direction, run, fake, truth))
                rows |= baselines(direction, run, truth)
                picture = report["shown"].setdefault(PICTURES[direction], {"kind": "samples", "rows": {}})
                picture["rows"][name] = some(fake)
                write_json(asked.out, report)
                print(key, {metric: round(value["value"], 4) for metric, value in rows[key]["metrics"].items()})


def some(images: Tensor) -> str:
    """Return some of the images, packed."""
    return str(packed(images[:: len(images) // SHOWN][:SHOWN].permute(0, 2, 3, 1).numpy()))


def trained(folder: Path, facades: Path, settings: Mapping[str, Any]) -> lossbench.Run:
    """Train a row, or go on with it."""
    if (folder / "run.json").exists():
        return lossbench.train(resume=folder)
    return lossbench.train(data=facades, recipe="pix2pix", settings=settings, out=folder)


def translated(run: lossbench.Run, direction: str) -> Tensor:
    """Return the translations of all test images, uint8 [N, 3, H, W]."""
    return apply(run.networks.G[direction], run.dataset.test[direction[0]], noise=True, seed=run.config.train.seed)


def row(run: lossbench.Run, metrics: Mapping[str, Any]) -> dict[str, Any]:
    """Return what is kept of a run."""
    record = run.record
    kept = {key: record[key] for key in ("run_id", "config", "objective", "speed", "environment")}
    kept["config"] = {**kept["config"], "data.dir": record["dataset"]["name"]}
    return {"status": record["status"], "metrics": metrics, **kept}


def judged(direction: str, run: lossbench.Run, fake: Tensor, truth: Tensor) -> dict[str, Any]:
    """Measure translations as photos or as labels."""
    measured: dict[str, tuple[Callable[[Measured], float], Measured]] = {"l1": (mean, {"of": l1(fake, truth)})}
    if direction == "B2A":
        energies = {"fake": gradient_energy(fake), "truth": gradient_energy(truth)}
        measured["sharpness"] = (lambda of: float(of["fake"].sum() / of["truth"].sum()), energies)
        for channel, name in enumerate("Lab"):
            counts = {who: histograms(images, channel) for who, images in (("fake", fake), ("truth", truth))}
            measured[f"histogram_{name}"] = (histogram_distance, counts)
    else:
        confusion = {"of": confusions(fake, truth)}
        measured["pixel_accuracy"] = (lambda of: float(np.trace(of["of"].sum(0)) / of["of"].sum()), confusion)
        measured["class_iou"] = (class_iou, confusion)
    return {name: bootstrapped(statistic, of) for name, (statistic, of) in measured.items()}


def baselines(direction: str, run: lossbench.Run, truth: Tensor) -> dict[str, Any]:
    """Return rows of what needs no network: the mean image; of photos, the mean colour of each label."""
    source, target = direction.split("2")
    train, count = run.dataset.train, len(truth)
    side = truth.shape[-1]
    middle = (train[target].shape[-1] - side) // 2
    average = train[target].float().mean(0)[:, middle : middle + side, middle : middle + side].round().byte()
    found = {"mean image": average.expand(count, -1, -1, -1)}
    if direction == "B2A":
        labels, photos = classes(train["B"]), train["A"].permute(0, 2, 3, 1).numpy()
        means = np.stack([photos[labels == label].mean(0) for label in range(len(PALETTE))]).round().astype(np.uint8)
        painted = means[classes(run.dataset.test[source])]
        found["mean colour of each label"] = torch.from_numpy(painted).permute(0, 3, 1, 2)
    who = {"environment": environment("cpu", torch.get_num_threads())}
    return {
        f"{direction} {name}": {"status": "ok", "metrics": judged(direction, run, fake, truth), **who}
        for name, fake in found.items()
    }


def l1(fake: Tensor, truth: Tensor) -> Floats:
    """Return mean |fake - truth| of each image, in units of [-1, 1]."""
    each: Floats = (fake.double() - truth.double()).abs().flatten(1).mean(1).div(127.5).numpy()
    return each


def gradient_energy(images: Tensor) -> Floats:
    """Return the mean squared gradient of each image's luma."""
    luma = rgb2gray(images.permute(0, 2, 3, 1).numpy())
    across, down = np.diff(luma, axis=2) ** 2, np.diff(luma, axis=1) ** 2
    return np.asarray(across.mean((1, 2)) + down.mean((1, 2)), np.float64)


def histograms(images: Tensor, channel: int) -> Floats:
    """Return counts of a CIELAB channel, in bins of 2 units, of each image."""
    lab = rgb2lab(images.permute(0, 2, 3, 1).numpy())[..., channel]
    return np.stack([np.histogram(image, np.arange(-110, 111, 2))[0] for image in lab]).astype(np.float64)


def histogram_distance(counts: Measured) -> float:
    """Return 1 - the intersection of both sets' histograms, as of all pixels together: 0 alike, 1 disjoint."""
    fake, truth = (counts[who].sum(0) / counts[who].sum() for who in ("fake", "truth"))
    return float(1 - np.minimum(fake, truth).sum())


def classes(images: Tensor) -> NDArray[np.int64]:
    """Return the index of the nearest colour of the palette of each pixel, [N, H, W]."""
    pixels = images.permute(0, 2, 3, 1).float()
    nearest: NDArray[np.int64] = torch.cdist(pixels.flatten(0, 2), torch.from_numpy(PALETTE).float()).argmin(1).numpy()
    return nearest.reshape(pixels.shape[:3])


def confusions(fake: Tensor, truth: Tensor) -> Floats:
    """Return how many pixels of each true class were given each class, of each image [N, truth, fake]."""
    count = len(PALETTE)
    both = classes(truth) * count + classes(fake)
    return np.stack([np.bincount(image.ravel(), minlength=count**2).reshape(count, count) for image in both]).astype(
        np.float64
    )


def class_iou(of: Measured) -> float:
    """Return intersection over union of each class, over all pixels, and their mean."""
    confusion = of["of"].sum(0)
    hit = np.diag(confusion)
    union = confusion.sum(0) + confusion.sum(1) - hit
    return float((hit[union > 0] / union[union > 0]).mean())


def mean(of: Measured) -> float:
    """Return the mean over images."""
    return float(of["of"].mean())


def bootstrapped(statistic: Callable[[Measured], float], of: Measured) -> dict[str, Any]:
    """Return a value over all images, and the interval that 95 % of draws of as many images fall in."""
    count = len(next(iter(of.values())))
    draw = np.random.default_rng(0)
    picks = [draw.integers(count, size=count) for _ in range(DRAWS)]
    values = [statistic({name: each[pick] for name, each in of.items()}) for pick in picks]
    low, high = np.quantile(values, (0.025, 0.975))
    return {"value": statistic(of), "low": float(low), "high": float(high), "n": count}


if __name__ == "__main__":
    main()
