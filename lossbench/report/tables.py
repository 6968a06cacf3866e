"""What the page's tables say: verdicts, the heat map, images. Pure functions of a report, text and numbers out."""

from __future__ import annotations

import math
import shlex
import statistics
from base64 import b64decode
from collections.abc import Iterator, Mapping, Sequence
from io import BytesIO
from itertools import chain
from typing import Any

from PIL import Image

from lossbench.report.questions import UNFAIR, Report, Row
from lossbench.report.words import apart, error, listed, mean, more_seeds, number, percent, told
from lossbench.screen import unit_of

SYMBOLS = {
    "improved": "▲", "regressed": "▼", "ok": "✓", "inconclusive": "?", "failed": "✕", "diverged": "✕", "missing": "○",
    "incomparable": "≠", "differs": "≠", "new": "+", "passed": "✓", "unchanged": "=", "incomplete": "!", "outdone": "!",
}  # fmt: skip
SPREADS = (1, 2, 4)  # from where on a cell is shaded light, more, most
MOST = 64  # combinations whose images and curves are shown: a file that an e-mail carries
LARGEST = 128  # px an image is wide on the page
ACROSS = 1080  # px for all columns of images, where whole multiples of their size allow
GAP = 8  # px


def verdicts(report: Report, rows: Sequence[Row]) -> list[dict[str, Any]]:
    """Return what a table of verdicts says of each comparison."""
    return [_verdict(report["metrics"].get(row["metric"]), row) for row in rows]


def _verdict(metric: Mapping[str, Any] | None, row: Row) -> dict[str, Any]:
    said, _, between = _said(row).replace(" %", "\u00a0%").partition(" (")
    own = {
        "combination": row["combination"], "metric": row["metric"], "verdict": row["verdict"], "told": told(row),
        "accepted": row["accepted"], "reason": _why(row), "apart": said, "between": between.removesuffix(")"),
    }  # fmt: skip
    if metric is None or "values" not in row:
        return own
    return own | {
        "unit": ", ".join(filter(None, (unit_of(metric), f"{metric['better']} is better"))),
        "mean": mean(row["values"], metric), "error": error(row["values"], metric), "n": len(row["values"]),
        "than": number(row["baseline"], metric), "than_n": len(row["before"]),
    }  # fmt: skip


def _said(row: Row) -> str:
    if "apart" in row:
        return f"{percent(row['apart'])} apart" if row["apart"] else "the same"
    if row["verdict"] in UNFAIR:
        return ""
    return "the same" if row["identical"] else apart(row)


def _why(row: Row) -> str:
    if row["accepted"]:
        return f"accepted: {row['accepted']}"
    return row["reason"] or (more_seeds(row) if row["verdict"] == "inconclusive" else "")


def heat(report: Report) -> dict[str, Any]:
    """Return the heat map: combinations by metrics, costs last, and beneath them what they are seen beside."""
    names = sorted(report["metrics"], key=lambda name: name.startswith("cost/"))
    metrics = [report["metrics"][name] for name in names]
    spreads = [spread([row["values"] for row in metric["rows"]]) for metric in metrics]
    combinations = [row["combination"] for row in metrics[0]["rows"]] if metrics else []
    pairs = list(zip(metrics, spreads, strict=True))
    rows = [
        {
            "label": name, "n": _seeds([metric["rows"][place] for metric in metrics]),
            "cells": [_cell(metric, metric["rows"][place], wide) for metric, wide in pairs],
        }
        for place, name in enumerate(combinations)
    ]  # fmt: skip
    beneath = [
        {"label": what, "cells": [number(metric["beside"][what], metric) for metric in metrics]}
        for what in ("copy", "floor")
        if any(metric["beside"][what] is not None for metric in metrics)
    ]
    again = [_cell(metric, metric["again"], wide) for metric, wide in pairs]
    told = {name: metric["reason"] for name, metric in zip(names, metrics, strict=True) if metric["reason"]}
    return {
        "columns": [_column(report, name) for name in names], "rows": rows, "beneath": beneath, "reasons": told,
        "again": again if any(cell["value"] is not None for cell in again) else [],
        "again_n": _seeds([metric["again"] for metric in metrics]),
    }  # fmt: skip


def _seeds(rows: Sequence[Mapping[str, Any]]) -> str:
    """Return of how many seeds the values of a row are."""
    return _range([len(row["values"]) for row in rows])


def _range(counts: Sequence[int]) -> str:
    return " to ".join(dict.fromkeys((str(min(counts)), str(max(counts))))) if counts else "0"


def _column(report: Report, name: str) -> dict[str, Any]:
    metric = report["metrics"][name]
    counts = [count for row in metric["rows"] for count in row["images"] or ()]
    return {
        "name": name, "unit": unit_of(metric), "better": metric["better"], "n": _range(counts),
        "primary": name in report["primary"],
    }  # fmt: skip


def _cell(metric: Mapping[str, Any], row: Mapping[str, Any], wide: float) -> dict[str, Any]:
    value = statistics.fmean(row["values"]) if row["values"] else None
    known = row if not metric["reason"] else {}
    return {
        "value": value,
        "text": number(value, metric),
        "said": apart({**known, "low": None, "relative_low": None}),
        "shade": shade(known.get("worse"), wide),
    }


def spread(groups: Sequence[Sequence[float]]) -> float:
    """Return the standard deviation over seeds, pooled over combinations; 0 where none has two."""
    several = [values for values in groups if len(values) > 1]
    freedom = sum(len(values) - 1 for values in several)
    total = math.fsum(statistics.variance(values) * (len(values) - 1) for values in several)
    return math.sqrt(total / freedom) if freedom else 0.0


def shade(worse: float | None, wide: float) -> str:
    """Return ``worse2`` or ``better3``: how many spreads a mean is from the baseline's, in steps of ``SPREADS``."""
    if not worse or not wide:
        return ""
    step = sum(abs(worse) / wide >= least for least in SPREADS)
    return f"{'worse' if worse > 0 else 'better'}{step}" if step else ""


def images(report: Report) -> Iterator[dict[str, Any]]:
    """Yield the image grid of each direction: rows are test images, columns what they became."""
    primary = report["primary"][0] if report["primary"] else ""
    metric = report["metrics"].get(primary, {})
    values = {
        (cell["combination"], cell["seed"]): cell["values"].get(primary)
        for cell in report["cells"]
        if cell["status"] == "ok"
    }
    for way, found in report.get("pictures", {}).items():
        given = {name: found[name] for name in ("input", "truth") if found[name]}
        columns = [{"name": name, "images": some, "about": name} for name, some in given.items()]
        for name, column in list(found["columns"].items())[:MOST]:
            value = values.get((name, column["seed"]))
            said = f", {primary} {number(value, metric)}" if value is not None else ""
            about = f"by {name}, seed {column['seed']}{said}"
            own = {"seed": column["seed"], "value": number(value, metric) if said else "", "primary": primary}
            columns.append({"name": name, "images": column["images"], "about": about, **own})
        yield grid(way, columns, report["baseline"])


def grid(way: str, columns: Sequence[Mapping[str, Any]], against: str) -> dict[str, Any]:
    """Return columns of images with the size that they are shown at, and what they are flipped against."""
    size = _size(columns[0]["images"][0]) if columns[0]["images"] else LARGEST
    count = max(len(column["images"]) for column in columns)
    return {
        "way": way, "columns": columns, "count": count, "against": against, "px": _shown(size, len(columns)),
        "small": size < LARGEST,
    }  # fmt: skip


def _size(uri: str) -> int:
    with Image.open(BytesIO(b64decode(uri.partition(",")[2]))) as image:
        return image.width


def _shown(size: int, columns: int) -> int:
    """Return the width of an image on the page: the largest whole multiple of a small one's own that has room."""
    room = min(LARGEST, ACROSS // columns - GAP)
    return min(size * max(1, room // size), LARGEST)


def left_out(report: Report) -> int:
    """Return how many combinations the page shows no images and curves of."""
    shown = [
        *report.get("curves", {}),
        *(name for each in report.get("pictures", {}).values() for name in each["columns"]),
    ]
    return max(0, len(dict.fromkeys(shown)) - MOST)


def seeds(cells: Sequence[Mapping[str, Any]]) -> str:
    """Return ``0 to 4`` of consecutive seeds."""
    found = sorted({cell["seed"] for cell in cells})
    if len(found) > 2 and found == list(range(found[0], found[-1] + 1)):
        return f"{found[0]} to {found[-1]}"
    return listed(list(map(str, found)), most=12)


def commits(report: Report) -> str:
    """Return the commits that the runs are of."""
    found = {
        f"{str(each['commit'])[:10]}{', changed since' * bool(each.get('dirty'))}"
        if each.get("commit")
        else "installed"
        for each in report["environments"]
    }
    return listed(sorted(found)) or "unknown"


def commands(report: Report) -> Iterator[str]:
    """Yield the command of every run."""
    for cell in report["cells"]:
        words = ["--config", "suite.toml", "--plugins", ",".join(cell["plugins"]), "--seed", str(cell["seed"])]
        yield shlex.join(["lossbench", "run", *words])


def machines(report: Report) -> list[tuple[Mapping[str, Any], int]]:
    """Return each environment, and how many runs it computed."""
    places = [cell.get("environment") for cell in report["cells"]]
    return [(each, places.count(place)) for place, each in enumerate(report["environments"])]


def hashes(report: Report) -> dict[str, str]:
    """Return the weights that any metric used, by name."""
    return dict(chain.from_iterable(metric["weights"].items() for metric in report["metrics"].values()))
