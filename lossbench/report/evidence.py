"""What a bench's runs left to look at, small enough to travel: translations of the same images, and loss curves.

Of each combination one run stands for all: the one in the middle by the first primary metric, never the best.
"""

from __future__ import annotations

import base64
import json
import math
import statistics
from collections.abc import Iterator, Mapping, Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

from PIL import Image

from lossbench.record import LOG, own_samples, read_log
from lossbench.report.questions import groups

POINTS = 60  # of a curve
IMAGES = 640  # of all combinations together, about 3 kB each
DIGITS = 5
Grid = dict[str, list[Image.Image]]  # by row: input, translation, round trip, truth


def evidence(report: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """Return the pictures and curves of a report whose runs lie in ``folder``; of runs that are gone nothing."""
    runs = {name: (cell, folder / cell["directory"]) for name, cell in middle(report).items() if cell["directory"]}
    there = {name: (cell["seed"], place) for name, (cell, place) in runs.items() if place.is_dir()}
    curves = {name: curve(seed, read_log(place / LOG)) for name, (seed, place) in there.items()}
    return {"pictures": _pictures(there), "curves": {name: found for name, found in curves.items() if found}}


def middle(report: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """Return the run in the middle of each combination; without a primary value the first that is whole."""
    primary = report["primary"][0] if report["primary"] else ""
    found = {}
    for name, cells in groups(report).items():
        whole = [cell for cell in cells if cell["status"] == "ok"]
        valued = [cell for cell in whole if cell["values"].get(primary) is not None]
        if valued:
            value = statistics.median_low([cell["values"][primary] for cell in valued])
            found[name] = next(cell for cell in valued if cell["values"][primary] == value)
        elif whole:
            found[name] = whole[0]
    return found


def curve(seed: int, log: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return weighted terms as means over equal spans of steps; nothing of an empty log."""
    if not log:
        return {}
    span = math.ceil(len(log) / POINTS)
    spans = [log[start : start + span] for start in range(0, len(log), span)]
    labels = dict.fromkeys(label for line in log for label in line["weighted"])
    terms = {label: [_mean([line["weighted"].get(label) for line in some]) for some in spans] for label in labels}
    return {"seed": seed, "steps": [some[-1]["step"] for some in spans], "terms": terms}


def _mean(values: Sequence[float | None]) -> float | None:
    there = [value for value in values if value is not None and math.isfinite(value)]
    return float(f"{statistics.fmean(there):.{DIGITS}g}") if there else None


def _pictures(runs: Mapping[str, tuple[int, Path]]) -> dict[str, Any]:
    """Return by direction the test images and every combination's translations of them."""
    drawn = {name: dict(grids(place)) for name, (_, place) in runs.items()}
    found: dict[str, Any] = {}
    for way in dict.fromkeys(way for own in drawn.values() for way in own):
        columns = {name: own[way] for name, own in drawn.items() if way in own}
        most = max(1, IMAGES // (2 * len(columns) + 2))
        first = next(iter(columns.values()))
        found[way] = {
            "input": [uri(image) for image in first["input"][:most]],
            "truth": [uri(image) for image in first["truth"][:most]] if "truth" in first else None,
            "columns": {
                name: {"seed": runs[name][0], "images": [uri(image) for image in grid["translation"][:most]]}
                for name, grid in columns.items()
            },
        }
    return found


def grids(run: Path) -> Iterator[tuple[str, Grid]]:
    """Yield the last samples of each direction; a picture that does not say where its images are is left out."""
    samples = own_samples(run)
    last = max(samples.values(), default=0)
    for path in (path for path, step in samples.items() if step == last):
        try:
            with Image.open(path) as picture:
                grid = _cut(picture.convert("RGB"), json.loads(getattr(picture, "text", {})["layout"]))
        except (OSError, ValueError, LookupError, TypeError, ArithmeticError):
            continue
        if grid.keys() >= {"input", "translation"}:
            yield path.name.partition("_")[0], grid


def _cut(picture: Image.Image, layout: Mapping[str, Any]) -> Grid:
    """Return the images of a grid in their own size."""
    width, height, gap, factor = (layout[key] for key in ("width", "height", "gap", "enlarged"))

    def image(row: int, column: int) -> Image.Image:
        left, top = layout["left"] + column * (width + gap), row * (height + gap)
        shown = picture.crop((left, top, left + width, top + height))
        return shown.resize((width // factor, height // factor), Image.Resampling.NEAREST)

    columns = range(layout["count"])
    return {name: [image(row, column) for column in columns] for row, name in enumerate(layout["rows"])}


def uri(image: Image.Image) -> str:
    """Return an image as a page can hold it."""
    buffer = BytesIO()
    image.save(buffer, "WEBP", quality=90, method=4)
    return f"data:image/webp;base64,{base64.b64encode(buffer.getvalue()).decode()}"
