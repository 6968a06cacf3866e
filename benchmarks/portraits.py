"""Pictures of the docs, drawn from the committed results.

Of the report of a bench the same images by every combination, and every seed as a dot; of one of them also the first
picture of the README. Of any other result whatever it keeps under ``shown``: curves, samples, gradients, pushes.

Each picture holds the hash of what it was drawn from, so that a test knows when it lags.
"""

from __future__ import annotations

import base64
import hashlib
import json
import statistics
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lossbench_plugins.observers import gradients, heatmaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from torch import Tensor

from lossbench.pictures import loss_curves, sample_grid
from lossbench.report.words import title

ROOT = Path(__file__).parent.parent
RESULTS = ROOT / "benchmarks" / "results"
IMAGES = ROOT / "docs" / "images"
SHOWN = ("shapes", "shapes-same", "shapes-squash", "emoji")
FIRST, ITS = IMAGES / "translations.png", ("shapes", "cycle+idt+circularity")  # its bench and combination
MOST = 5  # images of a direction
COLOURS = {"improved": "#1a7f37", "regressed": "#b35900"}


def drawn() -> Iterator[tuple[Path, str, Callable[[Path], object]]]:
    """Yield each picture's place, the hash of what it shows, and how to draw it."""
    for name in SHOWN:
        path = RESULTS / f"bench-{name}.json"
        if path.exists():
            sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
            yield IMAGES / f"bench-{name}.png", sha256, partial(_report, path)
            if name == ITS[0]:
                yield FIRST, sha256, _first
    for path in sorted(RESULTS.glob("*.json")):
        for name, data in json.loads(path.read_text("utf-8")).get("shown", {}).items():
            sha256 = hashlib.sha256(json.dumps(data).encode()).hexdigest()
            yield IMAGES / f"{name}.png", sha256, partial(KINDS[data["kind"]], data)


def lags(picture: Path, sha256: str) -> bool:
    """Return whether a picture is not there, or one of another result."""
    if not picture.exists():
        return True
    with Image.open(picture) as found:
        return getattr(found, "text", {}).get("report") != sha256


def draw(picture: Path, sha256: str, write: Callable[[Path], object]) -> None:
    """Write a picture, and into it what it shows."""
    write(picture)
    with Image.open(picture) as drawn:
        drawn.load()
    told = PngInfo()
    told.add_text("report", sha256)
    drawn.save(picture, pnginfo=told, optimize=True)


def _first(picture: Path) -> None:
    """Draw test images of both directions: what came in, what came out, what is right."""
    name, combination = ITS
    report = json.loads((RESULTS / f"bench-{name}.json").read_text("utf-8"))
    figure = Figure(figsize=(11, 3.3), dpi=120, layout="constrained")
    for axis, (way, grid) in zip(figure.subplots(1, 2), report["pictures"].items(), strict=True):
        made = grid["columns"][combination]["images"]
        _images(axis, {"input": grid["input"], "translation": made, "truth": grid["truth"]})
        axis.set_title(f"{way.replace('2', ' to ')}, by {combination}", fontsize=9, loc="left")
    figure.savefig(picture)


def _report(path: Path, picture: Path) -> None:
    """Draw a report: left the images of its first direction, right every seed of its first primary metric."""
    report = json.loads(path.read_text("utf-8"))
    name = report["primary"][0]
    grid = report["pictures"][name.partition("/")[0]]
    columns = {key: grid[key] for key in ("input", "truth") if grid[key]}
    columns |= {label: column["images"] for label, column in grid["columns"].items()}
    rows = len(report["metrics"][name]["rows"])
    figure = Figure(figsize=(11, 0.62 * len(columns) + 0.9), dpi=120, layout="constrained")
    left, right = figure.subplots(1, 2, width_ratios=(1, 1.35))
    _images(left, columns)
    left.set_title("the same test images, the seed in the middle", fontsize=9, loc="left")
    _seeds(right, name, report["metrics"][name], len(columns) - rows)
    figure.savefig(picture)


def _images(axis: Axes, columns: Mapping[str, list[str]]) -> None:
    """Draw a row of images for each combination, as the dots beside it are."""
    tiles = [[_pixels(uri) for uri in uris[:MOST]] for uris in columns.values()]
    gap = max(1, tiles[0][0].shape[0] // 16)
    padded = [
        np.hstack([np.pad(tile, ((0, gap), (0, gap), (0, 0)), constant_values=255) for tile in row]) for row in tiles
    ]
    axis.imshow(np.vstack(padded), interpolation="nearest", aspect="auto")
    height = padded[0].shape[0]
    axis.set_yticks([height * (row + 0.5) for row in range(len(columns))], list(columns), fontsize=8)
    axis.set_xticks([])
    axis.tick_params(length=0)
    axis.set_frame_on(False)


def _pixels(uri: str) -> Any:
    with Image.open(BytesIO(base64.b64decode(uri.partition(",")[2]))) as image:
        return np.asarray(image.convert("RGB"))


def _seeds(axis: Axes, name: str, metric: Mapping[str, Any], above: int) -> None:
    """Draw every seed as a dot and the mean as a stroke, ``above`` rows further down."""
    for place, row in enumerate(metric["rows"], above):
        values = [value * metric["shown"] for value in row["values"]]
        verdict = row.get("verdict") or "baseline"
        colour = COLOURS.get(verdict, "#57606a")
        axis.plot(values, [place] * len(values), "o", color=colour, alpha=0.6, markersize=5, markeredgewidth=0)
        if values:
            axis.plot([statistics.fmean(values)] * 2, [place - 0.3, place + 0.3], color=colour, linewidth=2)
        axis.annotate(verdict, (1.01, place), xycoords=("axes fraction", "data"), va="center", fontsize=8)
    axis.set_ylim(above + len(metric["rows"]) - 0.5, -0.5)
    axis.set_yticks([])
    axis.grid(axis="x", alpha=0.3)
    axis.spines[["top", "right", "left"]].set_visible(False)
    axis.set_title(f"{title(name, metric)}: a dot is a seed, the stroke the mean", fontsize=9, loc="left")
    axis.tick_params(labelsize=8)


def packed(images: NDArray[np.uint8]) -> str:
    """Return images [N, H, W, 3] side by side, as a data URI."""
    buffer = BytesIO()
    Image.fromarray(np.hstack(list(images))).save(buffer, "PNG", optimize=True)
    return f"data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode()}"


def packed_push(push: Tensor) -> dict[str, Any]:
    """Return gradients [N, 3, H, W] as halves of their largest."""
    largest = float(push.abs().max()) or 1.0
    halves = (push / largest).numpy().astype("<f2")
    return {"largest": largest, "shape": list(push.shape), "halves": base64.b64encode(halves.tobytes()).decode()}


def _unpacked(uri: str) -> Tensor:
    """Return square images that lie side by side, uint8 [N, 3, H, H]."""
    pixels = _pixels(uri)
    return torch.from_numpy(np.stack(np.hsplit(pixels, pixels.shape[1] // pixels.shape[0]))).permute(0, 3, 1, 2)


def _unpacked_push(push: Mapping[str, Any]) -> Tensor:
    halves = np.frombuffer(base64.b64decode(push["halves"]), "<f2").astype(np.float32)
    return torch.from_numpy(halves.reshape(push["shape"])) * float(push["largest"])


def _losses(data: Mapping[str, Any], picture: Path) -> None:
    """Draw a run's curves as the run itself does."""
    terms = data["terms"]
    lines = zip(data["steps"], zip(*terms.values(), strict=True), strict=True)
    loss_curves(picture, [{"step": step, "weighted": dict(zip(terms, some, strict=True))} for step, some in lines])


def _samples(data: Mapping[str, Any], picture: Path) -> None:
    """Draw rows of images as a run's samples are."""
    sample_grid(picture, {name: _unpacked(uri) for name, uri in data["rows"].items()})


def _image(data: Mapping[str, Any], picture: Path) -> None:
    """Write an image as it is."""
    Image.fromarray(_pixels(data["image"])).save(picture)


def _pushes(data: Mapping[str, Any], picture: Path) -> None:
    """Draw where losses push; one alone has no share of anything."""
    image = _unpacked(data["image"]).float() / 127.5 - 1
    figure = heatmaps.draw(data["name"], image, {name: _unpacked_push(push) for name, push in data["pushes"].items()})
    if len(data["pushes"]) == 1:
        figure.axes[1].set_title(next(iter(data["pushes"])), fontsize=8)
    figure.savefig(picture, dpi=70 if len(data["pushes"]) == 1 else 110, bbox_inches="tight")


def _gradients(data: Mapping[str, Any], picture: Path) -> None:
    """Draw norms over steps, or mean cosines, as the observer does."""
    figure = {"norms": gradients.draw_norms, "cosines": gradients.draw_cosines}[data["what"]]
    figure(gradients.by_image(data["lines"])).savefig(picture)


def _growth(data: Mapping[str, Any], picture: Path) -> None:
    """Draw seconds over sizes, both as logarithms, and beside them what growth in proportion would be."""
    rows = data["rows"]
    figure = Figure(figsize=(9.5, 5.4), dpi=110, layout="constrained")
    for axis, row in zip(figure.subplots(2, len(rows) // 2).flat, rows, strict=True):
        sizes, seconds = np.array(row["sizes"]), np.array(row["seconds"])
        axis.loglog(sizes, seconds[-1] * sizes / sizes[-1], color="#57606a", linewidth=1, linestyle=":")
        axis.loglog(sizes, seconds, "o-", color="C0", linewidth=1.3, markersize=4)
        axis.set_title(f"{row['name']}: slope {row['slope']:.2f}", fontsize=9)
        axis.set_xlabel(row["unit"], fontsize=8)
        axis.minorticks_off()
        axis.set_yticks([min(seconds), max(seconds)], [f"{min(seconds):.2g}", f"{max(seconds):.2g}"])
        axis.tick_params(labelsize=7)
        axis.spines[["top", "right"]].set_visible(False)
        axis.grid(alpha=0.25)
        axis.set_ylabel("CPU seconds", fontsize=8)
    figure.savefig(picture)


KINDS: dict[str, Callable[[Mapping[str, Any], Path], None]] = {
    "losses": _losses,
    "samples": _samples,
    "image": _image,
    "pushes": _pushes,
    "gradients": _gradients,
    "growth": _growth,
}
