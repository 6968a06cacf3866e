"""Keeps a run's record among the results, without the paths of the machine that it ran on.

python benchmarks/keep.py runs/NAME benchmarks/results/emoji.json
"""

from __future__ import annotations

import sys
from pathlib import Path

from lossbench.files import write_json
from lossbench.record import read_record


def main() -> None:
    """Copy run.json; the data's folder is called by its name."""
    run, out = map(Path, sys.argv[1:])
    record = read_record(run)
    where = record["config"]["data.dir"]
    record["config"]["data.dir"] = record["dataset"]["name"]
    record["command"] = record["command"].replace(where, record["dataset"]["name"]).replace(f" --out {run}", "")
    write_json(out, record)


if __name__ == "__main__":
    main()
