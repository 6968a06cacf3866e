"""Do the tests of each loss notice when its formula loses a part? Every part is dropped in turn.

    python benchmarks/mutants.py                      # every loss, into benchmarks/results/mutants.json
    python benchmarks/mutants.py tv gan --out try.json

A part is a factor, a divisor, an exponent, a sign, an absolute value, a root, a norm, a cut-off, or a mean that becomes
a sum and the other way round. The loss's own test file runs on a copy of the sources with that one change, and once
without any, which has to pass; a mutant that passes has to be in ``ALIKE`` with the reason why it computes the same.
"""

from __future__ import annotations

import argparse
import ast
import os
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import torch

from lossbench.files import write_json
from lossbench.record import environment
from lossbench.registry import listing

ROOT = Path(__file__).parent.parent
DROPPED = {"abs", "square", "pow", "sqrt", "log", "exp", "clamp", "relu", "normalize", "softplus"}
SWAPPED = {"mean": "sum", "sum": "mean"}
SECONDS = 300
ALIKE: dict[tuple[str, str], str] = {}  # (loss, mutant) -> why it is the same


def main() -> None:
    """Try every mutant, as many at a time as there are cores."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("losses", nargs="*")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "mutants.json")
    asked = parser.parse_args()
    ours = [
        name for name, entries in listing("losses").items() if entries[0].dist and entries[0].dist.name == "lossbench"
    ]
    names = asked.losses or ours
    cells = [(name, *mutant) for name in names for mutant in mutants(name)]
    found: list[dict[str, Any]] = []
    who = environment("cpu", torch.get_num_threads())  # of when the copies are made: others may commit meanwhile
    with tempfile.TemporaryDirectory() as folder:
        copies: SimpleQueue[Path] = SimpleQueue()
        for worker in range(asked.workers):
            copies.put(place := copied(Path(folder) / str(worker)))
        for name in names:
            if (code := tested(place, name, ast.unparse(tree(name)))) != 0:
                sys.exit(f"{name}: its tests do not pass as it is, {code}. Run: pytest tests/plugins/test_{name}.py")

        def one(cell: tuple[str, str, str]) -> dict[str, Any]:
            place = copies.get()
            try:
                return tried(place, *cell)
            finally:
                copies.put(place)

        with ThreadPoolExecutor(asked.workers) as pool:
            for result in pool.map(one, cells):
                found.append(result)
                write_json(asked.out, {"schema": 1, "what": "mutants", "mutants": found, "environment": who})
                if result["outcome"] != "caught":
                    print(result, flush=True)
    print(f"{sum(each['outcome'] == 'caught' for each in found)} of {len(found)} caught")


def mutants(name: str) -> Iterator[tuple[str, str]]:
    """Yield each mutant of a loss: what was changed, and the whole file with it."""
    before: Counter[str] = Counter()
    for index, node in enumerate(ast.walk(tree(name))):
        for changed in smaller(node):
            other = tree(name)
            target = next(each for at, each in enumerate(ast.walk(other)) if at == index)
            put(other, target, changed)
            line = getattr(node, "lineno", 0)
            what = f"{ast.unparse(node)} -> {ast.unparse(changed)}"
            before[what] += 1
            nth = f" ({before[what]})" if before[what] > 1 else ""
            yield f"line {line}: {what}{nth}", ast.unparse(other)


def tree(name: str) -> ast.Module:
    """Parse a loss."""
    return ast.parse((ROOT / "plugins" / f"{name}.py").read_text("utf-8"))


def smaller(node: ast.AST) -> Iterator[ast.expr]:
    """Yield what is left of an expression without a part of it."""
    match node:
        case ast.BinOp(left=left, op=ast.Mult(), right=right):
            yield from (left, right)
        case ast.BinOp(left=left, op=ast.Div() | ast.Pow()):
            yield left
        case ast.UnaryOp(op=ast.USub(), operand=operand) if not isinstance(operand, ast.Constant):
            yield operand
        case ast.Call(func=ast.Attribute(value=ast.Name(id="F" | "torch"), attr=attr), args=[first, *_]) if (
            attr in DROPPED
        ):
            yield first
        case ast.Call(func=ast.Attribute(value=value, attr=attr)) if attr in DROPPED:
            yield value
        case ast.Call(func=ast.Attribute(value=value, attr=attr), args=args, keywords=keywords) if attr in SWAPPED:
            yield ast.Call(ast.Attribute(value, SWAPPED[attr], ast.Load()), args, keywords)


def put(tree: ast.AST, target: ast.AST, changed: ast.expr) -> None:
    """Put an expression in the place of another."""
    for parent in ast.walk(tree):
        for field, value in ast.iter_fields(parent):
            if value is target:
                setattr(parent, field, changed)
            elif isinstance(value, list) and any(each is target for each in value):
                setattr(parent, field, [changed if each is target else each for each in value])


def copied(place: Path) -> Path:
    """Copy the sources and their tests, so that they can be changed."""
    for folder in ("lossbench", "plugins", "tests"):
        shutil.copytree(ROOT / folder, place / folder, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", place)
    (place / "lossbench_plugins").symlink_to("plugins")
    return place


def tried(place: Path, name: str, mutant: str, source: str) -> dict[str, Any]:
    """Say what a loss's tests make of a mutant of it."""
    code = tested(place, name, source)
    reason = ALIKE.get((name, mutant.partition(": ")[2]))
    known: dict[int | str, str] = {0: "alike" if reason else "passed", 1: "caught"}
    outcome = known.get(code, f"pytest ended with {code}")
    return {"loss": name, "mutant": mutant, "outcome": outcome, "reason": reason}


def tested(place: Path, name: str, source: str) -> int | str:
    """Run a loss's tests on another source of it, up to the first that fails: pytest's exit code."""
    file = place / "plugins" / f"{name}.py"
    before = file.read_text("utf-8")
    file.write_text(source, "utf-8")
    cache = ["-o", f"cache_dir={ROOT / '.pytest_cache'}"]  # pretrained weights are kept there
    command = [sys.executable, "-m", "pytest", "-q", "-x", "--no-header", *cache, f"tests/plugins/test_{name}.py"]
    names = os.environ | {"PYTHONPATH": str(place), "OMP_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1"}
    try:
        return subprocess.run(command, cwd=place, env=names, capture_output=True, timeout=SECONDS).returncode
    except subprocess.TimeoutExpired:
        return f"nothing in {SECONDS} s"
    finally:
        file.write_text(before, "utf-8")


if __name__ == "__main__":
    main()
