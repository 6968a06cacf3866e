"""A bench from its suite to its verdicts: what `lossbench bench` does, top to bottom."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any, Protocol

import torch

from lossbench.bench.cells import SUITE, Cell, Meanings, cells, meanings
from lossbench.bench.local import Local
from lossbench.bench.results import report, results
from lossbench.bench.suite import Suite, suite
from lossbench.config import DEFAULT_RECIPE, overlaid, read_toml
from lossbench.data import VARIANTS, Dataset
from lossbench.errors import OptionError, near_miss
from lossbench.files import held, write_bytes, write_json
from lossbench.hookspecs import Recipe
from lossbench.metrics import require, unavailable
from lossbench.outcome import closing
from lossbench.prepare import Settled, anywhere, prepare, source_of, words_of
from lossbench.record import commit
from lossbench.registry import is_file, listing, load

REPORT = "report.json"
RULES = ("primary", "margin", "level", "pairing", "baseline")  # of verdicts
TIMED = 6  # steps of a dry run, of which the first half warms up; and test images


class Executor(Protocol):
    """What runs cells somewhere, ``workers`` at a time."""

    workers: int

    def run(
        self, cells: Sequence[Cell], command: Callable[[Cell], list[str]], tick: Callable[[Sequence[Cell]], object]
    ) -> Iterator[tuple[Cell, int]]:
        """Yield each cell as it ends, with its exit code."""


@dataclass(frozen=True)
class Bench:
    """A suite, its place, its cells, and what cannot be measured here."""

    suite: Suite
    out: Path
    cells: Sequence[Cell]
    settled: Settled  # of the baseline
    unavailable: Mapping[str, str]

    @property
    def metrics(self) -> list[str]:
        """Return the words of what is measured."""
        return [each.word for each in self.settled.config.metrics]

    @cached_property
    def wanted(self) -> Meanings:
        """Return what values of each metric mean here and now."""
        return meanings(each for each in self.settled.config.metrics if each.name not in self.unavailable)

    def done(self, cell: Cell) -> bool:
        """Return whether nothing of a cell is left to do."""
        return cell.standing(self.wanted) == "done"

    def left(self) -> list[Cell]:
        """Return the cells that are not done."""
        return [cell for cell in self.cells if not self.done(cell)]

    def command(self, cell: Cell) -> list[str]:
        """Return what does the rest of a cell."""
        return cell.command(self.wanted, self.metrics, self.settled.config.recipe_name)

    def seconds(self, threads: int = 1) -> tuple[float, float]:
        """Measure what a step takes, and what measuring a run does, of the largest combination.

        ``threads``: as many as a cell has.
        """
        torch.set_num_threads(threads)
        largest = max(self.cells, key=lambda cell: len(cell.combination))
        seed = {"train.seed": secrets.randbelow(2**31)}  # so that no translation was embedded before
        run = prepare(list(largest.combination), metrics=self.metrics, config=self.suite.config, settings=seed)
        few = replace(run, dataset=_few(run.dataset))
        closing(few)  # what is pretrained is read, and real images are embedded: each run finds that done
        for step in range(1, TIMED + 1):
            if step == TIMED // 2 + 1:
                began = time.perf_counter()
            run.trainer.step(step)
        stepped = time.perf_counter()
        closing(few)
        measured = time.perf_counter()
        more = len(run.dataset.test["A"]) / len(few.dataset.test["A"])
        return (stepped - began) / (TIMED - TIMED // 2), (measured - stepped) * more


def bench(
    plugins: str | Sequence[str] | None = None,
    *,
    settings: Mapping[str, Any] | None = None,
    config: str | Path | None = None,
    metrics: str | Sequence[str] | None = None,
    required: Sequence[str] = (),
    out: str | Path | None = None,
) -> Bench:
    """Settle a bench: its combinations, its cells, what it will measure. Nothing is trained or written.

    Args:
        plugins: names or files of the losses to combine.
        settings: any option of a run by dotted key, and those of the bench, ``bench.seeds`` and the like.
        config: a suite, a TOML file of such keys; or the directory of a bench, to go on with it.
        metrics: what is measured, by name or file.
        required: metrics without which nothing is trained.
        out: the bench's directory; what is finished in it does not run again.

    Raises:
        LossbenchError: one line that says what to do.
    """
    folder = Path(config) if config is not None and Path(config).is_dir() else None
    file = read_toml(folder / SUITE if folder else Path(config)) if config is not None else {}
    given = dict(settings or {})
    for key, words in (("plugins", plugins), ("metrics", metrics)):
        if words is not None:
            given[key] = words
    keys = overlaid(file, given)
    keys |= {key: words_of(key, keys[key]) for key in ("plugins", "metrics", "observe") if keys.get(key) is not None}
    if (where := keys.get("data.dir")) and where not in VARIANTS:
        keys["data.dir"] = anywhere(str(where), Path(str(where)).is_dir())
    word = str(keys.get("recipe", DEFAULT_RECIPE))
    if is_file(word):
        keys["recipe"] = anywhere(word, Path(word).is_file())
    recipe: Recipe = load("recipes", word).spec
    if keys.get("plugins") == []:
        raise OptionError("--plugins names no loss. Write for example --plugins cycle,idt, or leave it out.")
    planned = suite(keys, keys.get("plugins", recipe.losses), recipe.adversary)
    keys["metrics"] = _with(planned.bench.primary, keys.get("metrics", list(recipe.metrics)))
    planned = replace(planned, keys=planned.keys | {"metrics": keys["metrics"]})
    place = Path(out) if out else folder or Path("runs") / f"bench-{_title(config, keys)}"
    found, settled = cells(planned, place.resolve(), source_of(keys, recipe))
    base = settled[0]
    missing = unavailable(base.config.metrics)
    require(required, missing)
    _check_primary(planned, base)
    planned = replace(planned, keys=planned.keys | _paths(planned.keys, settled))
    return Bench(planned, place.resolve(), found, base, missing)


def go(bench: Bench, executor: Executor, tick: Callable[[Bench, Sequence[Cell]], object]) -> dict[str, Any]:
    """Run what is left, and return the report; ``tick(bench, running)`` is called often.

    A cell whose process was killed is begun once more, from its last snapshot.
    """
    with held(bench.out), _stopped_as_by_hand():
        changed = [*_read(bench.out / REPORT).get("changed", []), *_changed(bench)]
        write_bytes(bench.out / SUITE, bench.suite.toml().encode())
        left, again = bench.left(), list[Cell]()
        for some in (left, again):  # the second grows while the first is run
            for cell, code in executor.run(some, bench.command, partial(tick, bench)):
                if code < 0 and some is left:
                    again.append(cell)
                if code == 0:
                    shutil.rmtree(cell.directory / "snapshots", ignore_errors=True)
                judged(bench, changed)
        return judged(bench, changed)


def judged(bench: Bench, changed: Sequence[str] = ()) -> dict[str, Any]:
    """Return the report of what is there, and keep it; ``changed``: what was not fixed before values could be seen."""
    against = {each.name: each.against for each in bench.settled.config.metrics}
    found = report(bench.suite, results(bench.cells), against)
    found |= {"changed": [*changed], "project": commit(Path.cwd())}
    write_json(bench.out / REPORT, found)
    return found


def executor(device: str, workers: int | None = None, kind: str = "local", address: str | None = None) -> Executor:
    """Return what runs cells: here, on the CPU one thread for each core, on CUDA a run for each GPU, or Ray's nodes."""
    if kind == "ray":
        from lossbench.bench.cluster import Cluster

        return Cluster(address, gpu=torch.device(device).type == "cuda")
    if torch.device(device).type == "cuda":
        gpus = _gpus() if torch.device(device).index is None else []  # cuda:1 is the one that every run takes
        return Local(workers or len(gpus) or 1, 1, gpus)
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return Local(workers or cores, 1)  # always one thread: more would change the last bits with the number of workers


def _few(data: Dataset) -> Dataset:
    """Return a data set with few of its test images."""
    images = {domain: some[:TIMED] for domain, some in data.test.items()}
    return replace(data, test=images, test_names={domain: data.test_names[domain][:TIMED] for domain in images})


def _title(config: str | Path | None, keys: Mapping[str, Any]) -> str:
    return Path(config).stem if config is not None else Path(str(keys.get("data.dir", VARIANTS[0]))).name


def _gpus() -> list[str]:
    """Return the GPUs that there are, as CUDA_VISIBLE_DEVICES names them."""
    seen = os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",")
    return [(seen[n] if n < len(seen) else "") or str(n) for n in range(torch.cuda.device_count())]


@contextmanager
def _stopped_as_by_hand() -> Iterator[None]:
    """Take a SIGTERM, or a terminal that closes, as ctrl-C: runs save, and none goes on without its bench."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    heard = [each for each in (getattr(signal, name, None) for name in ("SIGTERM", "SIGHUP")) if each is not None]
    minded = [each for each in heard if signal.getsignal(each) != signal.SIG_IGN]  # nohup
    before = {number: signal.signal(number, signal.default_int_handler) for number in minded}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _paths(keys: Mapping[str, Any], settled: Sequence[Settled]) -> dict[str, str]:
    """Return the options that are files, by paths that mean the same from any folder."""
    whole = {key: value for each in settled for key, value in each.config.everything().items()}
    return {key: str(whole[key]) for key in keys if isinstance(whole.get(key), Path)}


def _with(primary: Sequence[str], words: Sequence[str]) -> list[str]:
    """Return what is measured: what is named, and what verdicts are about."""
    names = {Path(word.partition("@")[0]).stem for word in words}
    asked = [word.rpartition("/")[2] for word in primary]
    return [*words, *(word for word in asked if word.partition("@")[0] not in names and word in listing("metrics"))]


def _changed(bench: Bench) -> list[str]:
    """Say what of the rules for verdicts is not as it was when the first values were there."""
    if not _read(bench.out / REPORT).get("cells"):
        return []
    keys = read_toml(bench.out / SUITE) if (bench.out / SUITE).exists() else {}
    before = {key.removeprefix("bench."): value for key, value in keys.items()}
    now = {key: getattr(bench.suite.bench, key) for key in RULES}
    plain = {key: list(value) if isinstance(value, tuple) else value for key, value in now.items()}
    return [
        f"bench.{key} was {before[key]}, is {plain[key]}" for key in RULES if before.get(key, plain[key]) != plain[key]
    ]


def _read(path: Path) -> dict[str, Any]:
    """Return an earlier report, or nothing."""
    try:
        found = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _check_primary(planned: Suite, settled: Settled) -> None:
    """Refuse a verdict about what is not measured."""
    names = [each.name for each in settled.config.metrics]
    known = [*names, *(f"{way}/{name}" for way in settled.config.recipe.directions for name in names)]
    for word in planned.bench.primary:
        if word not in known:
            close = near_miss(word, known)
            raise OptionError(f"bench.primary={word}: it is not measured.{close} Metrics: {', '.join(names)}.")
