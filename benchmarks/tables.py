"""Writes the tables of README and docs from the committed results.

    python benchmarks/tables.py            # write them
    python benchmarks/tables.py --check    # exit 1 if one lags behind its results

A table stands between ``<!-- table: NAME -->`` and ``<!-- end -->``; no number in it is typed by hand.
"""

from __future__ import annotations

import json
import math
import re
import statistics
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from scipy.stats import t as student

ROOT = Path(__file__).parent.parent
RESULTS = ROOT / "benchmarks" / "results"
PAGES = ("README.md", "docs/losses.md", "docs/results.md")
SHOWN = {"shape_error": "shape error", "contour_error": "contour error", "l1": "L1", "mask_iou": "mask IoU"}


def main() -> None:
    """Write or check every table."""
    stale = []
    for page in PAGES:
        path = ROOT / page
        text = path.read_text("utf-8")
        fresh = re.sub(r"(<!-- table: (\w+) -->\n).*?(<!-- end -->)", _filled, text, flags=re.DOTALL)
        if fresh != text:
            stale.append(page)
            if "--check" not in sys.argv:
                path.write_text(fresh, "utf-8")
    print("\n".join(f"{'stale' if '--check' in sys.argv else 'written'}: {page}" for page in stale) or "up to date")
    sys.exit(bool(stale) and "--check" in sys.argv)


def _filled(match: re.Match[str]) -> str:
    return f"{match[1]}{TABLES[match[2]]()}\n{match[3]}"


def seeds() -> str:
    """Mean over seeds with and without circularity, and Welch's interval of the difference."""
    runs = _load("seeds")["runs"]
    rows = [["set", "metric", "cycle,idt", "with circularity", "difference, 95 % interval", "ratio of means"]]
    for data in dict.fromkeys(run["set"] for run in runs):
        for metric, name in SHOWN.items():
            without, with_it = (
                [run["metrics"][metric] for run in runs if run["set"] == data and run["plugins"] == plugins]
                for plugins in ("cycle,idt", "cycle,idt,circularity")
            )
            low, high = welch(without, with_it)
            ratio = statistics.fmean(with_it) / statistics.fmean(without)
            rows.append([data, name, _mean(without), _mean(with_it), f"{low:+.4f} to {high:+.4f}", f"{ratio:.2f}"])
    failed = sum(run["status"] != "ok" for run in runs)
    return "\n\n".join(
        [_markdown(rows), f"Mean ± standard deviation over seeds. Runs that failed: {failed}. {_facts(runs)}"]
    )


def every_seed() -> str:
    """All runs, one row each."""
    runs = _load("seeds")["runs"]
    rows = [["set", "seed", "losses", "status", *SHOWN.values(), "not found"]]
    for run in sorted(runs, key=lambda run: (run["set"], run["seed"], run["plugins"])):
        values = [f"{run['metrics'][metric]:.4f}" for metric in SHOWN]
        rows.append(
            [run["set"], str(run["seed"]), run["plugins"], run["status"], *values, str(run["metrics"]["not_found"])]
        )
    return _markdown(rows)


def welch(one: Sequence[float], other: Sequence[float], level: float = 0.95) -> tuple[float, float]:
    """Return Welch's interval of mean(other) - mean(one)."""
    parts = [statistics.variance(some) / len(some) for some in (one, other)]
    freedom = sum(parts) ** 2 / sum(part**2 / (len(some) - 1) for part, some in zip(parts, (one, other), strict=True))
    half = float(student.ppf((1 + level) / 2, freedom)) * math.sqrt(sum(parts))
    difference = statistics.fmean(other) - statistics.fmean(one)
    return difference - half, difference + half


def _mean(values: Sequence[float]) -> str:
    return f"{statistics.fmean(values):.4f} ± {statistics.stdev(values):.4f}"


def _facts(runs: Sequence[dict[str, Any]]) -> str:
    """Where the numbers come from: n, machine, commit."""
    machine = runs[0]["environment"]
    commits = ", ".join(dict.fromkeys(f"{run['environment']['commit'] or 'none'}"[:10] for run in runs))
    count = len({run["seed"] for run in runs})
    return (
        f"{count} seeds a cell, {runs[0]['n']} test images, {runs[0]['steps']} steps; {machine['cpu']}, "
        f"{machine['threads']} thread, torch {machine['packages']['torch']}; commit {commits}."
    )


def _load(name: str) -> Any:
    return json.loads((RESULTS / f"{name}.json").read_text("utf-8"))


def _markdown(rows: Sequence[Sequence[str]]) -> str:
    head, *body = rows
    return "\n".join("| " + " | ".join(row) + " |" for row in (head, ["---"] * len(head), *body))


TABLES: dict[str, Callable[[], str]] = {"seeds": seeds, "every_seed": every_seed}

if __name__ == "__main__":
    main()
