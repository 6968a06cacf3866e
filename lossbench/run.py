"""A run from its first step to its closing table: what `lossbench.train` does, top to bottom."""

from __future__ import annotations

import hashlib
import signal
import statistics
import threading
import time
import traceback
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from lossbench.checkpoint import check_plain, save_snapshot, save_weights
from lossbench.devices import Alone, join
from lossbench.divergence import write_bundle
from lossbench.errors import Diverged, Interrupted, Left, LossbenchError, ResourceError, RunError, refusal
from lossbench.files import create, free_directory, held, write_bytes, write_json
from lossbench.hookspecs import Term, Weight
from lossbench.observers import Guard, built, given
from lossbench.outcome import closing, opening, samples
from lossbench.pictures import loss_curves
from lossbench.prepare import Run, prepare
from lossbench.record import LOG, Log, left, peak_memory, read_log
from lossbench.resume import check_alone, rejoin, reopen

SNAPSHOT_SECONDS = 300  # at most so much is lost when the machine dies
SIGNALS = ("SIGINT", "SIGTERM", "SIGHUP")


def train(
    plugins: str | Sequence[str] | None = None,
    *,
    losses: Mapping[str, Term | tuple[Term, Weight]] | None = None,
    data: str | Path | None = None,
    recipe: str | None = None,
    preset: str | None = None,
    settings: Mapping[str, Any] | None = None,
    config: str | Path | None = None,
    out: str | Path | None = None,
    resume: str | Path | None = None,
    observers: Iterable[object] | None = None,
) -> Run:
    """Train once and write a run's directory; what ``lossbench run`` does.

    Args:
        plugins: names or files of losses, in the order in which they are added; by itself the recipe's own.
        losses: losses that are functions: name -> term, or (term, weight).
        data: a folder with ``trainA trainB testA testB``, or with ``train test`` of pairs side by side; or a built-in
            set: shapes, shapes-same, shapes-squash.
        recipe: what is trained; cyclegan by itself.
        preset: weights as another trainer has them: junyanz, mmagic.
        settings: any option by dotted key, such as ``{"train.steps": 100, "tv.power": 2}``.
        config: a TOML file of such keys.
        out: the run's directory, new or empty; by itself one under ``runs/``.
        resume: the directory of a run that did not end, to go on with it, or, with another ``train.steps``, of one
            that did. Needs nothing else but ``losses``, which no directory can hold.
        observers: what watches, in the place of the ``observe`` of ``config`` or of the run that goes on: names or
            files, and objects with any of lossbench's watching hooks. One that fails is switched off.

    Raises:
        LossbenchError: one line that says what to do. ``Diverged`` when a loss or gradient is no longer finite.
        Interrupted: a KeyboardInterrupt; ctrl-C or SIGTERM came, the step was finished and saved.
    """
    watching = None if observers is None else list(observers)
    words = None if watching is None else [word for word in watching if isinstance(word, str)]
    objects = [each for each in watching or () if not isinstance(each, str)]
    if resume is not None:
        check_alone(out=out, config=config, recipe=recipe, preset=preset)
        return go(reopen(Path(resume), plugins, losses, data, settings, words), resume, objects, resumed=True)
    prepared = prepare(
        plugins, losses=losses, data=data, recipe=recipe, preset=preset, settings=settings, config=config,
        observe=words,
    )  # fmt: skip
    return go(prepared, out, objects)


def go(run: Run, out: str | Path | None = None, observers: Iterable[object] = (), *, resumed: bool = False) -> Run:
    """Train a prepared run in its directory, from the start or from where it was left; also for other observers."""
    check_plain(run.trainer.state())
    guards = [*map(built, run.config.observed), *map(given, observers)]
    for guard in reversed(guards):  # pluggy calls the last first
        run.hooks.register(guard)
    group = join(run.config.train)
    try:
        return _follow(run, group) if group.rank else _lead(run, group, out, guards, resumed=resumed)
    finally:
        group.leave()


def _lead(run: Run, group: Alone, out: str | Path | None, guards: Sequence[Guard], *, resumed: bool) -> Run:
    """Train and write."""
    run.directory = Path(out) if out else free_directory(Path("runs") / _title(run))
    with held(run.directory):
        run.record = opening(run)
        if resumed:
            run.record |= rejoin(run)
        else:
            create(run.directory)
        run.trainer.join(group)
        run.record["observers"] = [guard.facts for guard in guards]
        write_json(run.directory / "run.json", run.record)
        write_bytes(run.directory / "config.toml", run.config.toml().encode())
        run.hooks.hook.lossbench_run_start(run=run)
        try:
            _work(run)
        finally:
            run.hooks.hook.lossbench_run_end(run=run, record=run.record)
            if guards:  # what they left at the end, and whether they could; the rest is written
                with suppress(LossbenchError, OSError):
                    _write_record(run)
    return run


def _follow(run: Run, group: Alone) -> Run:
    """Train beside the leader, who writes."""
    with suppress(Left, Diverged), _asked_to_stop() as signals:  # which the leader tells
        run.trainer.join(group)
        for step in range(run.trainer.done + 1, run.config.train.steps + 1):
            run.trainer.step(step)
            if group.any(bool(signals)):
                break
    return run


def _work(run: Run) -> None:
    seconds: list[float] = []
    try:
        _train(run, seconds)
        run.record |= {"status": "ok", "error": None, "metrics": closing(run)}
        _finish(run, seconds)
    except BaseException as caught:
        error = _explained(run, caught)
        run.record |= {"status": "diverged" if isinstance(error, Diverged) else "failed"}
        run.record["error"] = _sentence(run, error)
        with suppress(LossbenchError, OSError):  # the disk may be what failed; the last snapshot is whole
            _keep(run, error)
        with suppress(LossbenchError, OSError):
            _finish(run, seconds)
        if error is caught:
            raise
        raise error from caught


def _train(run: Run, seconds: list[float]) -> None:
    log = Log(run.directory / "metrics.jsonl")
    run.hooks.register(log)
    settings, saved = run.config.train, time.monotonic()
    if _due(run):  # what such a step leaves may have been lost with the run
        _show(run)
    try:
        with _asked_to_stop() as signals:
            for step in range(run.trainer.done + 1, settings.steps + 1):
                began = time.perf_counter()
                run.trainer.step(step)
                seconds.append(time.perf_counter() - began)
                stopped = run.trainer.group.any(bool(signals))
                if due := _due(run):
                    _show(run)
                if due or stopped or time.monotonic() - saved > SNAPSHOT_SECONDS:
                    log.sync()
                    _snapshot(run)
                    saved = time.monotonic()
                if stopped:
                    raise Interrupted([*signals, signal.SIGTERM][0], saved=True)
    finally:
        log.close()


@contextmanager
def _asked_to_stop() -> Iterator[list[int]]:
    """Collect the first ctrl-C, SIGTERM or hang-up, so that a step is finished and saved; a second stops at once."""
    asked: list[int] = []

    def ask(number: int, frame: object) -> None:
        if asked:
            raise Interrupted(number, saved=False)
        asked.append(number)

    if threading.current_thread() is not threading.main_thread():
        yield asked
        return
    heard = [each for each in (getattr(signal, name, None) for name in SIGNALS) if each is not None]
    minded = [each for each in heard if signal.getsignal(each) != signal.SIG_IGN]  # nohup
    before = {number: signal.signal(number, ask) for number in minded}
    try:
        yield asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _due(run: Run) -> bool:
    """Return whether the step that was done last is one to look at."""
    done, settings = run.trainer.done, run.config.train
    return done > 0 and (done % settings.every == 0 or done == settings.steps)


def _show(run: Run) -> None:
    samples(run, run.trainer.done)
    save_weights(run.directory / "weights", run.networks.named())


def _snapshot(run: Run) -> None:
    """Save the state, and with it the hashes of what was left so far: neither is believed without the other."""
    if run.config.train.keep:
        found = left(run.directory, run.trainer.done)
        if LOG in found:  # a disk that was full may have cut it
            save_snapshot(run.directory / "snapshots", run.trainer.state() | {"left": found}, run.config.train.keep)


def _keep(run: Run, error: BaseException) -> None:
    """Save the last good state, what went wrong, and for a divergence the step itself."""
    refused = isinstance(error, ResourceError | RunError)  # by the machine: its traceback tells nothing
    if not refused and (error.__cause__ or not isinstance(error, LossbenchError | KeyboardInterrupt)):
        path = run.directory / "traceback.txt"
        write_bytes(path, "".join(traceback.format_exception(error)).encode())
        error.add_note(f"Traceback: {path}")
    if isinstance(error, Diverged):
        error.add_note(f"Look at that step: lossbench replay {write_bundle(run, error)}")
    if run.trainer.done and run.trainer.whole and not (isinstance(error, Interrupted) and error.saved):
        _snapshot(run)


def _explained(run: Run, error: BaseException) -> BaseException:
    """Return the error, or where the machine refused something, one that says what to do."""
    if isinstance(error, Exception) and not isinstance(error, LossbenchError) and (reason := refusal(error)):
        error = ResourceError(f"After step {run.trainer.done}: {reason}")
    if isinstance(error, ResourceError | RunError):
        error.add_note(f"Once mended, go on with: lossbench run --resume {run.directory}")
    return error


def _sentence(run: Run, error: BaseException) -> str:
    if isinstance(error, LossbenchError):
        return str(error)
    what = "interrupted" if isinstance(error, KeyboardInterrupt) else f"{type(error).__name__}: {error}"
    return f"{what} after step {run.trainer.done}"


def _finish(run: Run, seconds: Sequence[float]) -> None:
    """Write what is known, however the run ended."""
    if run.trainer.done and run.trainer.whole:
        save_weights(run.directory / "weights", run.networks.named())
    if log := read_log(run.directory / "metrics.jsonl"):
        loss_curves(run.directory / "losses.png", log)
    if seconds:
        timed = list(seconds)[min(3, len(seconds) - 1) :]  # the first steps warm up
        low, middle, high = statistics.quantiles(timed * 2 if len(timed) == 1 else timed, n=4)
        run.record["speed"] = {"unit": "seconds per step", "median": middle, "quartiles": [low, high], "n": len(timed)}
        run.record["speed"]["waiting"] = min(1.0, run.trainer.waited / sum(seconds))
    run.record["steps_done"] = run.trainer.done
    run.record["compiled"] = [name for name, network in run.networks.named().items() if network.compiled]
    run.record["peak_memory_mb"] = peak_memory(run.trainer.device)
    _write_record(run)


def _write_record(run: Run) -> None:
    run.record["artifacts"] = {
        name: hashlib.sha256((run.directory / name).read_bytes()).hexdigest() for name in _artifacts(run.directory)
    }
    write_json(run.directory / "run.json", run.record)


def _artifacts(directory: Path) -> list[str]:
    """Return the files that a run was made for: not its own memory, not a bundle."""
    files = (path.relative_to(directory) for path in directory.rglob("*") if path.is_file())
    shown = (path.as_posix() for path in files if path.suffix != ".pt" and not path.name.startswith("."))
    return sorted(name for name in shown if name != "run.json")


def _title(run: Run) -> str:
    names = dict.fromkeys(bound.origin.name for bound in run.objective.terms)
    return f"{run.dataset.name}-{'+'.join(names)}-seed{run.config.train.seed}"
