"""Which loss earned its place? Every suite of benchmarks/suites, into benchmarks/results/bench-NAME.json.

    python benchmarks/combinations.py --emoji DIR                          # all of them, on the CPU: hours
    python benchmarks/combinations.py --device cuda --workers 6 --emoji DIR
    python benchmarks/combinations.py shapes --toy --out try               # minutes: few steps, tiny networks

What is finished under --runs does not run again. Without --emoji, a folder with trainA trainB testA testB, its suite is
left out. A report keeps the value of every seed, its verdicts, where it was computed, and what the middle runs made.
"""

from __future__ import annotations

import argparse
import tomllib
from pathlib import Path
from typing import Any

from lossbench.bench.bench import bench, executor, go
from lossbench.bench.board import Board
from lossbench.data import VARIANTS
from lossbench.files import write_json
from lossbench.report.answer import answered
from lossbench.report.evidence import evidence
from lossbench.report.terminal import show

HERE = Path(__file__).parent
TOY = {
    "bench.seeds": 2, "train.steps": 20, "train.every": 20, "model.ngf": 8, "model.ndf": 8,
    "model.generator": "resnet_1blocks", "data.size": 32, "data.load_size": 32,
}  # fmt: skip


def main() -> None:
    """Run suites one by one."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("suites", nargs="*", default=["shapes", "shapes-same", "shapes-squash", "emoji"])
    parser.add_argument("--emoji", type=Path)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--workers", type=int)
    parser.add_argument("--toy", action="store_true")
    parser.add_argument("--runs", type=Path, default=Path("runs"))
    parser.add_argument("--out", type=Path, default=HERE / "results")
    asked = parser.parse_args()
    for name in asked.suites:
        if name == "emoji" and not asked.emoji:
            print("emoji is left out: name its folder, --emoji DIR")
            continue
        settings: dict[str, Any] = {"train.device": asked.device, **(TOY if asked.toy else {})}
        settings |= {"data.dir": str(asked.emoji)} if name == "emoji" else {}
        planned = bench(settings=settings, config=HERE / "suites" / f"{name}.toml", out=asked.runs / f"bench-{name}")
        with Board(planned) as board:
            report = go(planned, executor(asked.device, asked.workers), board.tick)
        show(answered(report))
        asked.out.mkdir(parents=True, exist_ok=True)
        write_json(asked.out / f"bench-{name}.json", published(report | evidence(report, planned.out / "cells")))


def published(report: dict[str, Any]) -> dict[str, Any]:
    """Return a report without paths of this machine, and of images that are not ours without the images."""
    where, name = tomllib.loads(report["suite"])["data"]["dir"], report["dataset"]["name"]
    if where in VARIANTS:
        return report
    pictures = {way: grid | {"input": [], "truth": None} for way, grid in report["pictures"].items()}
    return report | {"suite": report["suite"].replace(where, name), "pictures": pictures}


if __name__ == "__main__":
    main()
