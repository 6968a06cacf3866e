"""Does circularity help on the built-in set? Every seed of every combination, and nothing chosen afterwards.

    python benchmarks/seeds.py                     # all of it, into benchmarks/results/seeds.json
    python benchmarks/seeds.py --seeds 1 --steps 2 --out try.json

Each run is a process of its own with one thread; finished runs are kept in the file and not run again. Translation
A2B is judged on the 64 test pairs by another estimator of shape than the loss. The comparison is fixed beforehand:
with circularity against without, the same seeds, Welch's interval of the difference of means.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from itertools import product
from pathlib import Path
from typing import Any

SETS = ("shapes", "shapes-squash", "shapes-same")
COMBINATIONS = ("cycle,idt", "cycle,idt,circularity")


def main() -> None:
    """Run what is missing, two at a time."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--steps", type=int, help="default: the data set's own")
    parser.add_argument("--sets", default=",".join(SETS))
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "seeds.json")
    asked = parser.parse_args()
    cells = list(product(asked.sets.split(","), range(asked.seeds), COMBINATIONS))
    done = json.loads(asked.out.read_text("utf-8"))["runs"] if asked.out.exists() else []
    known = {(run["set"], run["seed"], run["plugins"]) for run in done}
    with ThreadPoolExecutor(asked.workers) as pool:
        missing = [cell for cell in cells if cell not in known]
        for run in pool.map(lambda cell: train(cell[0], cell[1], cell[2], asked.steps), missing):
            done.append(run)
            asked.out.parent.mkdir(parents=True, exist_ok=True)
            asked.out.write_text(json.dumps({"schema": 1, "what": "seeds", "runs": done}, indent=1) + "\n", "utf-8")
            print(run["set"], run["seed"], run["plugins"], run["status"], run["metrics"].get("l1"), flush=True)


def train(data: str, seed: int, plugins: str, steps: int | None) -> dict[str, Any]:
    """Train one cell and return what its record says."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-c", "from lossbench.cli import main; main()", "run", "--plugins", plugins]
        command += ["--data", data, "--seed", str(seed), "--out", f"{folder}/run"]
        command += ["--steps", str(steps)] if steps else []
        subprocess.run(command, env=os.environ | {"OMP_NUM_THREADS": "1"}, stdout=subprocess.DEVNULL, check=False)
        record = json.loads(Path(folder, "run", "run.json").read_text("utf-8"))
    translation = record.get("metrics", {}).get("A2B", {}).get("translation", {})
    copy = record.get("metrics", {}).get("A2B", {}).get("copy", {})
    return {
        "set": data,
        "seed": seed,
        "plugins": plugins,
        "status": record["status"],
        "error": record["error"],
        "steps": record["steps_done"],
        "run_id": record["run_id"],
        "fingerprint": record["dataset"]["fingerprint"],
        "metrics": {name: metric["value"] for name, metric in translation.items()},
        "copy": {name: metric["value"] for name, metric in copy.items()},
        "n": translation.get("l1", {}).get("n"),
        "speed": record.get("speed"),
        "environment": record["environment"],
    }


if __name__ == "__main__":
    main()
