"""How true and how dear the circularity loss is.

    python benchmarks/circularity.py --out benchmarks/results/circularity.json

Every shape has an analytic truth. Three estimators read the same picture: the loss; OpenCV, 4 pi A / P^2 of
``contourArea`` and ``arcLength``; scikit-image, the same of sub-pixel ``find_contours``. The last two see the distance
of grey levels to the border's, above Otsu's threshold. The cost is process CPU time on one thread, interleaved with a
forward pass of CycleGAN's generator.
"""

from __future__ import annotations

import argparse
import itertools
import json
import math
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
import torch
from lossbench_plugins.circularity import circularity
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table
from scipy.special import ellipe
from scipy.stats import spearmanr
from skimage.filters import threshold_otsu
from skimage.measure import find_contours, label
from skimage.segmentation import expand_labels

from lossbench.networks import resnet
from lossbench.record import environment

Array = NDArray[np.float64]
Inside = Callable[[Array, Array], Any]  # pixels from the middle of the image -> whether the point is in the shape

ESTIMATORS = ("loss", "cv2", "skimage")


class Shape(NamedTuple):
    """A shape whose circularity is known."""

    group: str
    name: str
    inside: Inside
    truth: float
    size: int = 128


class Case(NamedTuple):
    """A picture [3, H, W] in about [-1, 1], and what its circularity should read."""

    group: str
    name: str
    image: Array
    truth: float


# --- shapes and their truth -------------------------------------------------------------------------------------------


def ellipse(a: float, b: float, cx: float = 0.3, cy: float = -0.2, turn: float = 0.3) -> Inside:
    """Half axes a, b. The centre lies off the grid by itself."""
    c, s = math.cos(turn), math.sin(turn)
    return lambda x, y: (((x - cx) * c + (y - cy) * s) / a) ** 2 + (((y - cy) * c - (x - cx) * s) / b) ** 2 <= 1


def disc(r: float, cx: float = 0.3, cy: float = -0.2) -> Inside:
    """Radius r."""
    return ellipse(r, r, cx, cy)


def star(n: int, outer: float, inner: float, turn: float = 0.0) -> Inside:
    """A star of n points; with inner = outer cos(pi / n), the regular n-gon."""
    ix, iy, wedge = inner * math.cos(math.pi / n), inner * math.sin(math.pi / n), 2 * math.pi / n

    def inside(x: Array, y: Array) -> Any:
        angle = abs((np.arctan2(y, x) - turn + wedge / 2) % wedge - wedge / 2)
        r = np.hypot(x, y)
        return (outer - r * np.cos(angle)) * iy >= (outer - ix) * r * np.sin(angle)

    return inside


def union(*shapes: Inside) -> Inside:
    """All of them."""
    return lambda x, y: np.any([shape(x, y) for shape in shapes], axis=0)


def annulus(outer: float, inner: float) -> Inside:
    """A disc with a hole."""
    return lambda x, y: disc(outer)(x, y) & ~disc(inner)(x, y)


def ellipse_truth(aspect: float) -> float:
    """4 pi (pi a b) / (4 a E)^2, E the complete elliptic integral."""
    return float(math.pi**2 / (4 * aspect * ellipe(1 - aspect**-2) ** 2))


def star_truth(n: int, outer: float, inner: float) -> float:
    """Area n R r sin(pi / n), perimeter 2 n edges."""
    edge2 = outer**2 + inner**2 - 2 * outer * inner * math.cos(math.pi / n)
    return math.pi * outer * inner * math.sin(math.pi / n) / (n * edge2)


def shapes() -> Iterator[Shape]:
    """The clean shapes."""
    for size, r in itertools.product((64, 128, 256), (6, 10, 16, 24, 40, 60, 100)):
        if r < size / 2 - 4:
            yield Shape("disc", f"r {r} in {size}", disc(r), 1.0, size)
    for k in (1.25, 1.5, 2, 3, 4):
        yield Shape("ellipse", f"{k}:1 in 128", ellipse(15 * k, 15), ellipse_truth(k))
        yield Shape("ellipse", f"{k}:1 in 256", ellipse(30 * k, 30), ellipse_truth(k), 256)
    for turn in (0, 0.2, math.pi / 4):
        side = 60 / math.sqrt(2)
        yield Shape("square", f"60 px turned {turn:.1f}", star(4, side, side / math.sqrt(2), turn), math.pi / 4)
    for turn in (0.0, 0.3):
        six = math.cos(math.pi / 6)
        yield Shape("hexagon", f"R 50 turned {turn}", star(6, 50, 50 * six, turn), star_truth(6, 1, six))
        yield Shape("star", f"R 60, 30 turned {turn}", star(5, 60, 30, turn), star_truth(5, 2, 1), 160)
        yield Shape("star", f"R 24, 12 turned {turn}", star(5, 24, 12, turn), star_truth(5, 2, 1), 64)
    for outer, inner, size in ((60, 30, 256), (80, 20, 256), (25, 12, 64), (50, 40, 128)):
        yield Shape(
            "annulus", f"{outer}, {inner} in {size}", annulus(outer, inner), (outer - inner) / (outer + inner), size
        )
    three = (-0.26, -0.26), (0.2, -0.16), (-0.08, 0.24)
    for r, size in ((8, 64), (14, 128), (30, 256)):
        discs = union(*(disc(r, x * size, y * size) for x, y in three))
        yield Shape("n discs", f"3, r {r} in {size}", discs, 1.0, size)
    six_discs = union(*(disc(20, x, y) for x in (-80, 0, 80) for y in (-60, 50)))
    yield Shape("n discs", "6, r 20 in 256", six_discs, 1.0, 256)
    for r, size in ((16, 64), (40, 128), (60, 256)):
        half, quarter = disc(r, -size / 2, -0.2), disc(r, -size / 2, -size / 2)
        yield Shape("cut by the frame", f"half disc, r {r} in {size}", half, 2 * (math.pi / (math.pi + 2)) ** 2, size)
        yield Shape("cut by the frame", f"quarter, r {r} in {size}", quarter, (math.pi / (math.pi / 2 + 2)) ** 2, size)


def drawn(inside: Inside, size: int, fine: int = 8) -> Array:
    """Coverage [size, size] in [0, 1]: the share of fine x fine samples of a pixel inside the shape."""
    along = (np.arange(size * fine) + 0.5) / fine - size / 2
    hits = np.broadcast_to(inside(along[None, :], along[:, None]), (size * fine,) * 2)
    coverage: Array = hits.reshape(size, fine, size, fine).mean(axis=(1, 3))
    return coverage


# --- pictures ---------------------------------------------------------------------------------------------------------


def picture(mask: Array, low: float = -1.0, high: float = 1.0) -> Array:
    """Coverage -> grey picture [3, H, W]."""
    return np.repeat((low + (high - low) * mask)[None], 3, axis=0)


def checkered(mask: Array, cell: int) -> Array:
    """With a checkerboard of +-0.2 on top."""
    i, j = np.indices(mask.shape) // cell
    return picture(mask, -0.7, 0.7) + 0.2 * (1 - 2 * ((i + j) % 2))


def isoluminant(mask: Array) -> Array:
    """Two colours of the same luma, 0.299 R + 0.587 G + 0.114 B, and of the same mean."""
    colour: Array = np.array([0.473, -0.185, -0.288])
    return colour[:, None, None] * (2 * mask - 1)


def cases(rng: np.random.Generator) -> Iterator[Case]:
    """Clean, degraded, empty, and 80 random noisy blobs."""
    degraded: dict[str, Callable[[Array], Array]] = {
        "noise sd 0.3": lambda m: picture(m) + rng.normal(0, 0.3, (3, *m.shape)),
        "noise sd 0.3, half contrast": lambda m: picture(m, -0.5, 0.5) + rng.normal(0, 0.3, (3, *m.shape)),
        "checkerboard 1 px": lambda m: checkered(m, 1),
        "checkerboard 4 px": lambda m: checkered(m, 4),
        "contrast 0.1": lambda m: picture(m, -0.1, 0.1),
        "isoluminant": isoluminant,
        "inverted": lambda m: -picture(m),
    }
    masks = [(shape, drawn(shape.inside, shape.size)) for shape in shapes()]
    for shape, mask in masks:
        yield Case(shape.group, shape.name, picture(mask), shape.truth)
    for group, degrade in degraded.items():
        for shape, mask in masks:
            yield Case(group, f"{shape.group}, {shape.name}", degrade(mask), shape.truth)
    for size in (32, 64, 128, 256):
        yield Case("blank", f"grey {size}", picture(np.full((size, size), 0.5)), 0.0)
        yield Case("pure noise", f"normal {size}", np.clip(rng.normal(0, 1, (3, size, size)), -1, 1), 0.0)
        yield Case("pure noise", f"faint {size}", rng.normal(0, 0.1, (3, size, size)), 0.0)
    for number in range(80):
        inside, truth = blob(rng)
        noisy = picture(drawn(inside, 128)) + rng.normal(0, rng.uniform(0.1, 0.3), (3, 128, 128))
        yield Case("blobs", f"blob {number}", noisy, truth)


def blob(rng: np.random.Generator) -> tuple[Inside, float]:
    """r(t) = R (1 + sum a_k cos(k t + p_k)), k = 2..6; its truth by quadrature of r^2 / 2 and sqrt(r^2 + r'^2)."""
    radius, k = 128 * rng.uniform(0.15, 0.3), np.arange(2, 7)
    a, p = rng.normal(size=5) * rng.uniform(0, 0.25) / (k**0.7), rng.uniform(0, 2 * math.pi, 5)
    t = np.linspace(0, 2 * math.pi, 4096, endpoint=False)[:, None]
    r = 1 + (a * np.cos(k * t + p)).sum(1)
    slope = -(a * k * np.sin(k * t + p)).sum(1)
    truth = 4 * math.pi * (r**2 / 2).mean() / (2 * math.pi * np.sqrt(r**2 + slope**2).mean() ** 2)

    def inside(x: Array, y: Array) -> Any:
        angle = np.arctan2(y, x)
        return np.hypot(x, y) <= radius * (1 + sum(a[i] * np.cos(k[i] * angle + p[i]) for i in range(5)))

    return inside, float(truth)


# --- estimators -------------------------------------------------------------------------------------------------------


def by_loss(image: Array) -> float:
    """The number that training sees."""
    return float(circularity(torch.from_numpy(image)[None].float()))


def by_contours(image: Array) -> dict[str, float | None]:
    """OpenCV and scikit-image, each object by itself, then the mean by area; None where there is no object."""
    grey = 0.299 * image[0] + 0.587 * image[1] + 0.114 * image[2]
    border = np.concatenate([grey[:2].ravel(), grey[-2:].ravel(), grey[:, :2].ravel(), grey[:, -2:].ravel()])
    field = np.pad(abs(grey - np.median(border)), 2)
    if np.ptp(field) < 1e-6:
        return {"cv2": None, "skimage": None}
    level = threshold_otsu(field)
    parts = label(field > level)
    near = expand_labels(parts, 2)
    seen = 1 + np.flatnonzero(np.bincount(parts.ravel())[1:] > 0.001 * grey.size)
    return {
        "cv2": mean_by_area([outline_cv2(parts == part) for part in seen]),
        "skimage": mean_by_area([outline_skimage(np.where(near == part, field, 0), level) for part in seen]),
    }


def outline_cv2(part: NDArray[np.bool_]) -> tuple[float, float]:
    """Area without holes, and perimeter with those of holes."""
    lines, kinship = cv2.findContours(part.astype(np.uint8), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    signs = [1 if parent < 0 else -1 for *_, parent in kinship[0]]
    area = sum(sign * cv2.contourArea(line) for sign, line in zip(signs, lines, strict=True))
    return area, sum(cv2.arcLength(line, True) for line in lines)


def outline_skimage(field: Array, level: float) -> tuple[float, float]:
    """The same of sub-pixel contours; holes run the other way round, so their area counts negative by itself."""
    area = perimeter = 0.0
    for line in find_contours(field, level):
        here, step = line[:-1], np.diff(line, axis=0)
        area += float((here[:, 0] * step[:, 1] - here[:, 1] * step[:, 0]).sum()) / 2
        perimeter += float(np.hypot(step[:, 0], step[:, 1]).sum())
    return abs(area), perimeter


def mean_by_area(objects: list[tuple[float, float]]) -> float | None:
    """Mean of 4 pi A / P^2."""
    total = sum(area for area, _ in objects)
    return sum(area * 4 * math.pi * area / perimeter**2 for area, perimeter in objects) / total if total else None


def accuracy(seed: int) -> list[dict[str, Any]]:
    """One row per picture."""
    rows = []
    for case in cases(np.random.default_rng(seed)):
        read = {"loss": by_loss(case.image), **by_contours(case.image)}
        rounded = {name: None if value is None else round(float(value), 5) for name, value in read.items()}
        rows.append({"group": case.group, "shape": case.name, "truth": round(case.truth, 5), **rounded})
    return rows


def summary(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Errors by group, ranks over the blobs."""
    groups = []
    for group in dict.fromkeys(row["group"] for row in rows):
        members = [row for row in rows if row["group"] == group]
        one: dict[str, Any] = {"group": group, "n": len(members)}
        for name in ESTIMATORS:
            errors = [abs(row[name] - row["truth"]) for row in members if row[name] is not None]
            mean, worst = (round(float(f(errors)), 5) if errors else None for f in (np.mean, np.max))
            one[name] = {"mae": mean, "max": worst, "unread": len(members) - len(errors)}
        groups.append(one)
    blobs = {name: [row[name] for row in rows if row["group"] == "blobs"] for name in (*ESTIMATORS, "truth")}
    ranks = {
        f"{a}, {b}": round(float(spearmanr(blobs[a], blobs[b]).statistic), 4)
        for a, b in itertools.combinations(blobs, 2)
    }
    return {"groups": groups, "spearman_over_blobs": ranks, "blobs": len(blobs["truth"])}


# --- cost -------------------------------------------------------------------------------------------------------------


def cost(rounds: int) -> list[dict[str, Any]]:
    """CPU milliseconds of the loss, forward and backward, beside the generator's forward pass; interleaved rounds."""
    generator = resnet(blocks=9, ngf=64).eval()
    photo = torch.zeros(1, 3, 256, 256)

    def forward() -> None:
        with torch.no_grad():
            generator(photo)

    def loss(images: torch.Tensor, objects: bool) -> Callable[[], None]:
        return lambda: circularity(images, objects=objects).sum().backward()

    work: dict[tuple[str, int, bool | None], Callable[[], None]] = {("generator forward", 256, None): forward}
    for size, objects in itertools.product((64, 128, 256), (True, False)):
        image = picture(drawn(ellipse(0.3 * size, 0.2 * size), size))
        noisy = image + np.random.default_rng(0).normal(0, 0.1, image.shape)
        work["loss", size, objects] = loss(torch.from_numpy(noisy)[None].float().requires_grad_(), objects)
    spent: dict[tuple[str, int, bool | None], list[float]] = {key: [] for key in work}
    for turn in range(3 + rounds):  # three to warm up
        for key, run in work.items():
            start = time.process_time()
            run()
            if turn >= 3:
                spent[key].append(1e3 * (time.process_time() - start))
    whole = float(np.median(spent["generator forward", 256, None]))
    rows = []
    for (what, size, with_objects), times in spent.items():
        low, middle, high = (round(float(q), 3) for q in np.percentile(times, (25, 50, 75)))
        one = {"what": what, "size": size, "objects": with_objects, "batch": 1, "n": rounds, "cpu_ms": middle}
        rows.append({**one, "cpu_ms_quartiles": [low, high], "share_of_generator_forward": round(middle / whole, 5)})
    return rows


# --- report -----------------------------------------------------------------------------------------------------------


def shown(value: float | None) -> str:
    """Three digits."""
    return "-" if value is None else f"{value:.3f}"


def show(report: dict[str, Any], console: Console) -> None:
    """Print the tables."""
    every = Table("group", "shape", "truth", *ESTIMATORS, title="Circularity, read by three estimators")
    for row in report["accuracy"]:
        if row["group"] != "blobs":
            every.add_row(row["group"], row["shape"], *(shown(row[name]) for name in ("truth", *ESTIMATORS)))
    console.print(every)
    errors = Table("group", "n", *ESTIMATORS, title="Mean absolute error (worst), and pictures without a reading")
    for one in report["summary"]["groups"]:
        each = [one[name] for name in ESTIMATORS]
        cells = [f"{shown(e['mae'])} ({shown(e['max'])})" + f", {e['unread']} unread" * (e["unread"] > 0) for e in each]
        errors.add_row(one["group"], str(one["n"]), *cells)
    console.print(errors)
    ranks = Table("pair", "Spearman", title=f"Ranks of {report['summary']['blobs']} random noisy blobs")
    for pair, value in report["summary"]["spearman_over_blobs"].items():
        ranks.add_row(pair, shown(value))
    console.print(ranks)
    prices = Table(
        "what", "px", "objects", "CPU ms", "quartiles", "n", "of a generator forward", title="Cost, one thread"
    )
    for row in report["cost"]:
        objects = "" if row["objects"] is None else str(row["objects"])
        times = f"{row['cpu_ms']:.1f}", "{:.1f} to {:.1f}".format(*row["cpu_ms_quartiles"]), str(row["n"])
        share = f"{100 * row['share_of_generator_forward']:.1f} %"
        prices.add_row(row["what"], str(row["size"]), objects, *times, share)
    console.print(prices)


def main() -> None:
    """Measure, print, and write when asked to."""
    parser = argparse.ArgumentParser(description="Accuracy and cost of the circularity loss.")
    parser.add_argument("--out", type=Path, help="write the report here, as JSON")
    parser.add_argument("--rounds", type=int, default=15, help="timed rounds of the cost table")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    rows = accuracy(options.seed)
    report = {
        "schema": 1,
        "what": "circularity loss: accuracy against analytic truth, OpenCV and scikit-image; cost beside a generator",
        "environment": environment("cpu", torch.get_num_threads()),
        "seed": options.seed,
        "accuracy": rows,
        "summary": summary(rows),
        "cost": cost(options.rounds),
    }
    show(report, Console())
    if options.out:
        options.out.parent.mkdir(parents=True, exist_ok=True)
        options.out.write_text(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    main()
