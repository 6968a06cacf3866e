"""Cells on the nodes of a Ray cluster: each comes back whole, or is run again elsewhere."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from lossbench.bench.cells import SUITE, Cell
from lossbench.bench.local import TICK
from lossbench.errors import OptionError
from lossbench.files import free_directory, write_bytes

Files = dict[str, bytes]
SECONDS = 10  # that an address may take to answer


class Cluster:
    """Runs cells as Ray tasks of one core, or one GPU, each. A task whose node dies is run on another.

    Nodes need lossbench, the plugins and, under the same path, the images. Nothing but results is sent back.

    Raises:
        OptionError: Ray is not installed, or there is no cluster at the address.
    """

    def __init__(self, address: str | None, *, gpu: bool = False) -> None:
        try:
            import ray
        except ModuleNotFoundError:
            raise OptionError("--executor ray needs Ray. Install it: pip install 'lossbench[ray]'") from None
        self.ray: Any = ray
        if not ray.is_initialized():
            _check(address)
            try:
                ray.init(address=address, log_to_driver=False)
            except (ConnectionError, ValueError) as error:
                raise OptionError(f"--address {address}: no Ray cluster there. {error}") from None
        self.task = ray.remote(num_cpus=1, num_gpus=int(gpu), max_retries=-1)(trained)
        self.workers = max(1, int(self.ray.cluster_resources().get("GPU" if gpu else "CPU", 1)))

    def run(
        self, cells: Sequence[Cell], command: Callable[[Cell], list[str]], tick: Callable[[Sequence[Cell]], object]
    ) -> Iterator[tuple[Cell, int]]:
        """Yield each cell as it comes back, with its exit code; ``tick(cells not back yet)`` often."""
        running = {self.task.remote(*sent(cell, command(cell))): cell for cell in cells}
        while running:
            tick(list(running.values()))
            for reference in self.ray.wait(list(running), timeout=TICK)[0]:
                cell = running.pop(reference)
                code, log, files = self.ray.get(reference)
                received(cell, log, files)
                yield cell, code


def _check(address: str | None) -> None:
    """Refuse an address where nobody answers, for which Ray waits for minutes."""
    host, _, port = (address or "").rpartition(":")
    if host and port.isdigit():
        try:
            socket.create_connection((host, int(port)), SECONDS).close()
        except OSError as error:
            raise OptionError(f"--address {address}: no Ray cluster there. {error.strerror or error}.") from None


def sent(cell: Cell, command: Sequence[str]) -> tuple[list[str], str, Files]:
    """Return a cell's command, its directory, and what it needs of that and of the suite."""
    suite = cell.directory.parent.parent / SUITE
    return list(command), str(cell.directory), {str(suite): suite.read_bytes(), **_files(cell.directory, str)}


def trained(command: Sequence[str], directory: str, files: Files) -> tuple[int, bytes, Files]:
    """Run a command in a folder of its own, where paths of the bench stand for those in it; return what it left."""
    with TemporaryDirectory() as folder:
        root = Path(folder)
        for name, content in files.items():
            path = root / name.lstrip(os.sep)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        here = {name: str(root / name.lstrip(os.sep)) for name in (directory, *files)}
        done = subprocess.run(
            [here.get(word, word) for word in command],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        )  # fmt: skip
        place = Path(here[directory])
        return done.returncode, done.stdout, _files(place, lambda path: str(path.relative_to(place)))


def received(cell: Cell, log: bytes, files: Files) -> None:
    """Put what came back in its place, whole or not at all; what was there is put aside until then."""
    aside = cell.directory.with_suffix(".part")
    shutil.rmtree(aside, ignore_errors=True)
    for name, content in files.items():
        path = aside / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    write_bytes(cell.log, log)
    if files:
        before = free_directory(cell.directory.with_suffix(".before"))
        with suppress(FileNotFoundError):
            cell.directory.rename(before)
        aside.rename(cell.directory)
        shutil.rmtree(before, ignore_errors=True)


def _files(folder: Path, name: Callable[[Path], str]) -> Files:
    paths = sorted(path for path in folder.rglob("*") if path.is_file() and path.name[0] != ".")
    return {name(path): path.read_bytes() for path in paths}
