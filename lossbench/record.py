"""What a run says of itself: run.json, metrics.jsonl, and what its numbers depend on."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import re
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, Field, ValidationError

from lossbench.errors import RunError
from lossbench.hookspecs import hookimpl

if TYPE_CHECKING:
    import torch

SCHEMA = 2
LOG = "metrics.jsonl"
OWN = Path(__file__).resolve().parent.parent
TAIL = 1 << 16  # bytes that hold a line of any log
SAMPLE = re.compile(r"[A-Z]2[A-Z]_(\d{6,})\.png")
PACKAGES = (
    "lossbench",
    "torch",
    "kornia",
    "opencv-python",
    "pillow",
    "scikit-image",
    "scipy",
    "numpy",
    "pluggy",
    "torchvision",
    "torch-fidelity",
)


def read_record(directory: Path) -> dict[str, Any]:
    """Return a run's run.json.

    Raises:
        RunError: no run there, or not one that this version can read.
    """
    try:
        record: dict[str, Any] = json.loads((directory / "run.json").read_text("utf-8"))
    except FileNotFoundError:
        raise RunError(f"{directory} holds no run: run.json is missing.{_again(directory)}") from None
    except (OSError, ValueError) as error:
        raise RunError(f"{directory / 'run.json'} cannot be read: {error}.{_again(directory)}") from None
    if not isinstance(record, dict) or record.get("schema") != SCHEMA:
        raise RunError(f"{directory / 'run.json'} is not a record of schema {SCHEMA}. Run again with this version.")
    try:
        Record.model_validate(record)
    except ValidationError as error:
        raise RunError(f"{directory / 'run.json'} is damaged: {damage(error)}.") from None
    return record


def damage(error: ValidationError) -> str:
    """Say what is first wrong in a file, and where."""
    first = error.errors()[0]
    return ": ".join(filter(None, (".".join(map(str, first["loc"])), first["msg"].lower())))


def _again(directory: Path) -> str:
    config = directory / "config.toml"
    return f" Start it again with: lossbench run --config {config}" if config.is_file() else ""


class TermFacts(BaseModel):
    """A term in a record."""

    term: str
    weight: float | str
    options: dict[str, Any]
    asks: list[str]
    source: str
    distribution: str
    version: str
    sha256: str


class ConfigFacts(BaseModel):
    """What every reader needs of a run's settings."""

    recipe: str
    size: int = Field(alias="data.size")
    seed: int = Field(alias="train.seed")


class DatasetFacts(BaseModel):
    """Which images, and how many of each side."""

    name: str
    fingerprint: str
    n: dict[Literal["trainA", "trainB", "testA", "testB"], int] = Field(min_length=2)
    paired_test: bool


class EnvironmentFacts(BaseModel):
    """What the last bits depend on."""

    cpu: str
    threads: int
    device: str
    packages: dict[str, str | None]


class ValueFacts(BaseModel):
    """A measured value, never without its n; ``reason``: why there is none."""

    value: float | None
    n: int
    unit: str
    better: Literal["lower", "higher"]
    shown: float
    protocol: str
    weights: dict[str, str]
    reason: str = ""


class SpeedFacts(BaseModel):
    """Seconds per step, and the share of all steps' time that went into waiting for images."""

    median: float
    quartiles: tuple[float, float]
    n: int
    waiting: float | None = None


class ObserverFacts(BaseModel):
    """An observer that was asked for; ``failed``: it was switched off, and the run went on."""

    observer: str
    source: str
    distribution: str
    version: str
    status: Literal["ok", "failed"]
    error: str | None


class Record(BaseModel):
    """What a reader of run.json may rely on; there is more in it."""

    status: Literal["ok", "failed", "diverged"]
    error: str | None
    command: str
    objective: list[TermFacts]
    config: ConfigFacts
    dataset: DatasetFacts
    environment: EnvironmentFacts
    metrics: dict[str, dict[str, dict[str, ValueFacts]]] = {}
    speed: SpeedFacts | None = None
    peak_memory_mb: float | None = None
    compiled: list[str] = []
    artifacts: dict[str, str] = {}
    observers: list[ObserverFacts] = []
    resumed: list[dict[str, Any]] = []


class Log:
    """An observer that writes metrics.jsonl: one line a step, each term raw and weighted.

    No times in it: equal runs, equal bytes.
    """

    def __init__(self, path: Path) -> None:
        self.file = path.open("a", encoding="utf-8", buffering=1)

    @hookimpl
    def lossbench_step(self, step: int, values: Mapping[str, float], weights: Mapping[str, float]) -> None:
        """Append a step."""
        weighted = {label: value * weights[label] for label, value in values.items()}
        self.file.write(json.dumps({"step": step, "raw": dict(values), "weighted": weighted}) + "\n")

    def sync(self) -> None:
        """Let every line so far reach the disk."""
        self.file.flush()
        os.fsync(self.file.fileno())

    def close(self) -> None:
        """Finish the file."""
        with suppress(OSError):  # a line that the disk refused was reported when it was written
            self.file.close()


def whole_lines(path: Path) -> list[bytes]:
    """Return the lines of a metrics.jsonl, from step 1 on, up to one that is missing, torn or damaged."""
    whole: list[bytes] = []
    for line in path.read_bytes().splitlines(keepends=True) if path.exists() else []:
        try:
            fine = line.endswith(b"\n") and json.loads(line)["step"] == len(whole) + 1
        except (ValueError, TypeError, KeyError):
            fine = False
        if not fine:
            break
        whole.append(line)
    return whole


def left(directory: Path, steps: int) -> dict[str, str]:
    """Return the hashes of what a run has left after so many steps: the lines of its log, if whole, and its samples."""
    contents = {path.name: path.read_bytes() for path, step in own_samples(directory).items() if step <= steps}
    if len(lines := whole_lines(directory / LOG)[:steps]) == steps:
        contents[LOG] = b"".join(lines)
    return {name: hashlib.sha256(content).hexdigest() for name, content in contents.items()}


def own_samples(directory: Path) -> dict[Path, int]:
    """Return the samples that a run drew, with their steps; what else lies beside them is not its own."""
    named = {path: SAMPLE.fullmatch(path.name) for path in sorted((directory / "samples").glob("*.png"))}
    return {path: int(match[1]) for path, match in named.items() if match}


def read_log(path: Path) -> list[dict[str, Any]]:
    """Return the whole lines of a metrics.jsonl."""
    return [json.loads(line) for line in whole_lines(path)]


def last_line(path: Path) -> dict[str, Any]:
    """Return the last whole line of a metrics.jsonl, or nothing."""
    try:
        with path.open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - TAIL))
            found = json.loads(file.read().splitlines()[-1])
    except (OSError, ValueError, LookupError):
        return {}
    return found if isinstance(found, dict) else {}


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


def commit(folder: Path = OWN) -> dict[str, Any]:
    """Return the commit of a checkout, by itself lossbench's own, and whether it was changed; None without one."""
    if folder == OWN and not (OWN / ".git").exists():  # installed, beneath somebody else's checkout perhaps
        return {"commit": None, "dirty": None}
    try:
        head = _git(folder, "rev-parse", "HEAD")
        return {"commit": head, "dirty": bool(_git(folder, "status", "--porcelain", "--untracked-files=no"))}
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
