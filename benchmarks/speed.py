"""All that is measured about speed, by one command, and one table of it.

    python benchmarks/speed.py                       # on this CPU, into benchmarks/results; two hours
    python benchmarks/speed.py --device cuda         # on a GPU: steps and losses; ten minutes
    python benchmarks/speed.py --toy --out DIR       # the same at toy size, some minutes

steps.py: a step beside the plain one. costs.py: what each loss costs. growth.py: how cost grows. sweeps.py: a sweep
beside single runs. data.py: cached batches beside decoding. metrics.py: evaluation beside other tools.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

HERE = Path(__file__).parent
TOY = {
    "steps": ["toy", "--pairs", "5", "--processes", "1"],
    "costs": ["--rounds", "2"],
    "growth": ["--rounds", "2", "--most", "64"],
    "sweeps": ["--steps", "5", "--seeds", "1", "--rounds", "1"],
    "data": ["--pairs", "3"],
    "metrics": ["--count", "8", "--rounds", "1"],
}
FILES = {"steps": "speed"}  # whose results have another name
ON_CUDA = ("steps", "costs")


def main() -> None:
    """Measure, part by part, and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", choices=[*TOY, []])
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--toy", action="store_true")
    parser.add_argument("--out", type=Path, default=HERE / "results")
    asked = parser.parse_args()
    cuda = asked.device != "cpu"
    asked.out.mkdir(parents=True, exist_ok=True)
    table = Table("measured", "what", "ratio or share", "quartiles")
    for part in asked.parts or (ON_CUDA if cuda else TOY):
        out = asked.out / f"{FILES.get(part, part)}{'-cuda' if cuda else ''}.json"
        words = [*(TOY[part] if asked.toy else []), *(["--device", asked.device] if cuda else []), "--out", str(out)]
        subprocess.run([sys.executable, HERE / f"{part}.py", *words], check=True)
        for what, ratio, between in told(part, json.loads(out.read_text("utf-8"))):
            table.add_row(part, what, ratio, between)
    Console(width=110).print(table)


def told(part: str, found: dict[str, Any]) -> Iterator[tuple[str, str, str]]:
    """Yield what a part came to: what, its number, its quartiles."""
    for row in found.get("rows", ()):
        if part == "steps":
            name = f"{row['shape']} px, {row['precision']}"
            alone = {"generator alone, compiled": row["generator"]["faster"]} if row["generator"] else {}
            for way, each in (row["faster"] | alone).items():
                less = f", memory {row['less_memory'][way]:.2f} times less" if way in row["less_memory"] else ""
                yield f"{name}: {way}{less}", f"{each['median']:.3f} times as fast", _between(each)
        elif part == "costs":
            for loss in row["losses"]:
                share = {key: value for key, value in loss["share"].items() if key != "n"}
                yield (
                    f"{row['config']['recipe']} {row['plugins']}: {loss['name']}",
                    f"{share['median']:.1%}",
                    (" to ".join(f"{each:.1%}" for each in share["quartiles"])),
                )
        elif part == "data":
            name = f"{row['images']}, {row['size']} px, batch {row['batch']}"
            yield name, f"{row['faster']['median']:.1f} times as fast", _between(row["faster"])
        elif part == "metrics":
            for when, ratio in row["faster"].items():
                yield f"FID and KID of {row['images']}, n {row['n']}, {when}", f"{ratio:.2f} times as fast", ""
    if part == "growth":
        for row in found["shown"]["growth"]["rows"]:
            yield row["name"], f"slope {row['slope']:.2f}", f"steepest {row['steepest']:.2f}"
    if part == "sweeps":
        yield f"{found['runs']} runs", f"{found['faster']['median']:.2f} times as fast", _between(found["faster"])


def _between(spread: dict[str, Any]) -> str:
    return " to ".join(f"{each:.3f}" for each in spread["quartiles"])


if __name__ == "__main__":
    main()
