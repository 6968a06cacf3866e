"""Is a run that was killed and resumed the run that was never killed? SIGKILL at random moments, bytes compared.

    python benchmarks/kills.py                     # 50 kills, into benchmarks/results/kills.json
    python benchmarks/kills.py --kills 3 --out try.json

The run has what could be lost: pools that overflow, dropout, a loss that is a module with lazy parameters and a buffer
that counts, a weight that is a schedule. Each kill falls anywhere between the first line of the command and its end.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import random
import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lossbench.cli import main as lossbench
from lossbench.record import environment

PLUGIN = '''
"""Head: a loss with a memory, to be lost."""
import torch
from torch import Tensor, nn
from lossbench import LossSpec, hookimpl


class Head(nn.Module):
    def __init__(self):
        super().__init__()
        self.head = nn.LazyLinear(4)
        self.register_buffer("mean", torch.zeros(4))

    def forward(self, fake: Tensor, rng: torch.Generator):
        features = self.head(fake.flatten(1) + torch.randn(1, generator=rng))
        if self.training:
            self.mean.lerp_(features.detach().mean(0), 0.1)
        return (features - self.mean).square().mean()


@hookimpl
def lossbench_loss() -> LossSpec:
    return LossSpec(lambda: Head(), weight=lambda progress: 0.1 * (1 - progress))
'''
STEPS, EVERY = 40, 7
SMALL = {
    "data.size": 16, "data.load_size": 18, "train.steps": STEPS, "train.every": EVERY, "train.lr": 2e-4,
    "model.generator": "resnet_1blocks", "model.ngf": 4, "model.ndf": 4, "model.n_layers": 1, "model.dropout": 0.5,
    "pool.size": 5,
}  # fmt: skip


def main() -> None:
    """Kill as often as asked, and write what came of it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "kills.json")
    asked = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = "1"  # before torch is imported
    with tempfile.TemporaryDirectory() as folder:
        result = kill(Path(folder), asked.kills, asked.seed)
    asked.out.parent.mkdir(parents=True, exist_ok=True)
    asked.out.write_text(json.dumps(result, indent=1) + "\n", "utf-8")
    print(f"{len(result['kills'])} kills of {result['runs']} runs, {result['identical']} runs identical")
    sys.exit(result["identical"] != result["runs"])


def kill(folder: Path, kills: int, seed: int) -> dict[str, Any]:
    """Kill runs and resume them, each until it ends by itself; compare each with one that was left alone."""
    importlib.import_module("lossbench.run")  # so that kills fall on the run, not on imports
    plugin = folder / "head.py"
    plugin.write_text(PLUGIN, "utf-8")
    new = ["run", "--plugins", f"cycle,idt,{plugin}"]
    new += [word for key, value in SMALL.items() for word in ("--set", f"{key}={value}")]
    began = time.monotonic()
    assert _command([*new, "--out", str(folder / "whole")]) == 0
    length, whole = time.monotonic() - began, contents(folder / "whole")
    draw, moments, runs, identical = random.Random(seed), list[dict[str, Any]](), 0, 0
    while len(moments) < kills:
        runs += 1
        victim = folder / f"run{runs}"
        while True:
            resumed = (victim / "run.json").exists()
            after = draw.uniform(0, length) if len(moments) < kills else None
            code = _command(["run", "--resume", str(victim)] if resumed else [*new, "--out", str(victim)], after)
            if code != -signal.SIGKILL:
                break
            log = victim / "metrics.jsonl"
            steps = log.read_bytes().count(b"\n") if log.exists() else 0
            moments.append({"run": runs, "seconds": after, "resumed": resumed, "steps_logged": steps})
        identical += code == 0 and contents(victim) == whole
    facts = environment("cpu", 1)
    return {"schema": 1, "what": "kills", "runs": runs, "identical": identical, "steps": STEPS, "kills": moments,
            "environment": facts}  # fmt: skip


def contents(run: Path) -> dict[str, bytes]:
    """Return the bytes that have to be the same: weights, log and samples."""
    paths = [run / "metrics.jsonl", *run.glob("weights/*"), *run.glob("samples/*")]
    return {path.relative_to(run).as_posix(): path.read_bytes() for path in paths}


def _command(words: Sequence[str], kill_after: float | None = None) -> int:
    """Run a command in a child that is killed after so many seconds; return its exit code, or minus the signal."""
    child = os.fork()
    if child == 0:
        sys.argv = ["lossbench", *words]
        with open(os.devnull, "w") as nowhere:
            os.dup2(nowhere.fileno(), 1)
            try:
                lossbench()
            except SystemExit as end:
                os._exit(int(end.code or 0))
            os._exit(99)
    if kill_after is not None:
        time.sleep(kill_after)
        os.kill(child, signal.SIGKILL)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


if __name__ == "__main__":
    main()
