"""Pictures of the docs from the reports of benches: the same images by every combination, and every seed as a dot.

And the first picture of the README: test images of both directions, by one combination.

Each picture holds the hash of the report that it was drawn from, so that a test knows when it lags.
"""

from __future__ import annotations

import base64
import hashlib
import json
import statistics
from collections.abc import Iterator, Mapping
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image

from lossbench.report.words import title

ROOT = Path(__file__).parent.parent
RESULTS = ROOT / "benchmarks" / "results"
IMAGES = ROOT / "docs" / "images"
SHOWN = ("shapes", "shapes-same", "shapes-squash", "emoji")
FIRST, ITS = IMAGES / "translations.png", ("shapes", "cycle+idt+circularity")  # its bench and combination
MOST = 5  # images of a direction
COLOURS = {"improved": "#1a7f37", "regressed": "#b35900"}


def drawn() -> Iterator[tuple[Path, str]]:
    """Yield each picture's place and the hash of what it shows."""
    for name in SHOWN:
        path = RESULTS / f"bench-{name}.json"
        if path.exists():
            sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
            yield IMAGES / f"bench-{name}.png", sha256
            if name == ITS[0]:
                yield FIRST, sha256


def lags(picture: Path, sha256: str) -> bool:
    """Return whether a picture is not there, or one of another report."""
    if not picture.exists():
        return True
    with Image.open(picture) as found:
        return getattr(found, "text", {}).get("report") != sha256


def draw(picture: Path, sha256: str) -> None:
    """Draw what a picture shows."""
    figure = _first() if picture == FIRST else _report(picture)
    figure.savefig(picture, metadata={"Software": None, "report": sha256})


def _first() -> Figure:
    """Draw test images of both directions: what came in, what came out, what is right."""
    name, combination = ITS
    report = json.loads((RESULTS / f"bench-{name}.json").read_text("utf-8"))
    figure = Figure(figsize=(11, 3.3), dpi=120, layout="constrained")
    for axis, (way, grid) in zip(figure.subplots(1, 2), report["pictures"].items(), strict=True):
        made = grid["columns"][combination]["images"]
        _images(axis, {"input": grid["input"], "translation": made, "truth": grid["truth"]})
        axis.set_title(f"{way.replace('2', ' to ')}, by {combination}", fontsize=9, loc="left")
    return figure


def _report(picture: Path) -> Figure:
    """Draw a report: left the images of its first direction, right every seed of its first primary metric."""
    report = json.loads((RESULTS / f"{picture.stem}.json").read_text("utf-8"))
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
    return figure


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
