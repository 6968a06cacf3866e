"""A run's directory: run.json, config.toml, metrics.jsonl. Files are written aside and renamed."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lossbench.errors import RunError
from lossbench.hookspecs import hookimpl

if TYPE_CHECKING:
    import torch

SCHEMA = 1
PACKAGES = ("lossbench", "torch", "kornia", "opencv-python", "scikit-image", "scipy", "numpy", "pluggy")


def create(directory: Path) -> None:
    """Make a run's directory; one that holds anything is refused."""
    try:
        directory.mkdir(parents=True, exist_ok=True)
        taken = next(directory.iterdir(), None)
    except OSError as error:
        raise RunError(f"--out {directory}: {error.strerror}. Choose a folder that can be written.") from None
    if taken:
        raise RunError(f"--out {directory} is not empty. Choose another folder, or remove it.")


def free_directory(base: Path) -> Path:
    """Return ``base``, or ``base-2``, ``base-3``, ... : the first that does not exist."""
    return next(path for n in range(1, sys.maxsize) if not (path := base if n == 1 else Path(f"{base}-{n}")).exists())


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file whole or not at all."""
    aside = path.with_name(f".{path.name}.part")
    with aside.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    aside.replace(path)


def write_json(path: Path, data: Mapping[str, Any]) -> None:
    """Write JSON whole or not at all; a number that is not finite is a mistake."""
    write_bytes(path, (json.dumps(data, indent=2, allow_nan=False) + "\n").encode())


def read_record(directory: Path) -> dict[str, Any]:
    """Return a run's run.json.

    Raises:
        RunError: no run there, or not one that this version can read.
    """
    try:
        record: dict[str, Any] = json.loads((directory / "run.json").read_text("utf-8"))
    except FileNotFoundError:
        raise RunError(f"{directory} holds no run: run.json is missing.") from None
    except (OSError, ValueError) as error:
        raise RunError(f"{directory / 'run.json'} cannot be read: {error}.") from None
    if not isinstance(record, dict) or record.get("schema") != SCHEMA:
        raise RunError(f"{directory / 'run.json'} is not a record of schema {SCHEMA}. Run again with this version.")
    return record


class Log:
    """An observer that writes metrics.jsonl: one line a step, each term raw and weighted.

    No times in it: equal runs, equal bytes.
    """

    def __init__(self, path: Path) -> None:
        self.file = path.open("w", encoding="utf-8", buffering=1)

    @hookimpl
    def lossbench_step(self, step: int, values: Mapping[str, float], weights: Mapping[str, float]) -> None:
        """Append a step."""
        weighted = {label: value * weights[label] for label, value in values.items()}
        self.file.write(json.dumps({"step": step, "raw": dict(values), "weighted": weighted}) + "\n")

    def close(self) -> None:
        """Finish the file."""
        self.file.close()


def read_log(path: Path) -> list[dict[str, Any]]:
    """Return the lines of a metrics.jsonl."""
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def environment(device: str, threads: int) -> dict[str, Any]:
    """Return what a number may depend on: code, versions, machine."""
    return {
        "python": platform.python_version(),
        "platform": f"{platform.system()} {platform.machine()}",
        "cpu": _cpu(),
        "cores": os.cpu_count(),
        "threads": threads,
        "device": device,
        "packages": {name: _version(name) for name in PACKAGES},
        **commit(),
    }


def peak_memory(device: torch.device) -> float | None:
    """Return the most memory used so far in MB: of the device if it is CUDA, otherwise of the process."""
    if device.type == "cuda":
        import torch

        return torch.cuda.max_memory_allocated(device) / 1e6
    try:
        import resource
    except ImportError:  # Windows
        return None
    used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return used / 1e6 if sys.platform == "darwin" else used * 1024 / 1e6


def commit() -> dict[str, Any]:
    """Return the commit of lossbench's own checkout and whether it was changed since; None when installed."""
    here = Path(__file__).resolve().parent.parent
    if not (here / ".git").exists():
        return {"commit": None, "dirty": None}
    try:
        head = _git(here, "rev-parse", "HEAD")
        return {"commit": head, "dirty": bool(_git(here, "status", "--porcelain", "--untracked-files=no"))}
    except (OSError, subprocess.CalledProcessError):
        return {"commit": None, "dirty": None}


def _git(here: Path, *arguments: str) -> str:
    return subprocess.run(["git", *arguments], cwd=here, check=True, capture_output=True, text=True).stdout.strip()


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
    except OSError:
        return platform.processor()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())
