"""A run from its settings to its closing table: what `lossbench.train` does, top to bottom."""

from __future__ import annotations

import hashlib
import statistics
import time
import traceback
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pluggy
import torch

from lossbench.checkpoint import save_weights
from lossbench.config import DEFAULT_RECIPE, Config, TrainSettings, configure, overlaid, read_toml
from lossbench.data import VARIANTS, Batches, Dataset, Folders, Shapes, Source
from lossbench.errors import Diverged, LossbenchError, OptionError
from lossbench.hookspecs import Term, Weight
from lossbench.networks import Networks, build, check
from lossbench.objective import Objective, compose
from lossbench.outcome import closing, opening, samples
from lossbench.pictures import loss_curves
from lossbench.record import (
    Log,
    create,
    free_directory,
    peak_memory,
    read_log,
    write_bytes,
    write_json,
)
from lossbench.registry import hook_manager, load
from lossbench.trainer import Trainer


@dataclass
class Run:
    """A run: built by ``prepare``, trained by ``go``."""

    config: Config
    objective: Objective
    dataset: Dataset
    networks: Networks
    trainer: Trainer
    hooks: pluggy.PluginManager
    directory: Path = Path()
    record: dict[str, Any] = field(default_factory=dict)


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
    observers: Iterable[object] = (),
) -> Run:
    """Train once and write a run's directory; what ``lossbench run`` does.

    Args:
        plugins: names or files of losses, in the order in which they are added; by itself the recipe's own.
        losses: losses that are functions: name -> term, or (term, weight).
        data: a folder with ``trainA trainB testA testB``, or a built-in set: shapes, shapes-same, shapes-squash.
        recipe: what is trained; cyclegan by itself.
        preset: weights as another trainer has them: junyanz, mmagic.
        settings: any option by dotted key, such as ``{"train.steps": 100, "tv.power": 2}``.
        config: a TOML file of such keys.
        out: the run's directory, new or empty; by itself one under ``runs/``.
        observers: objects with lossbench's watching hooks, or names of installed ones.

    Raises:
        LossbenchError: one line that says what to do. ``Diverged`` when a loss or gradient is no longer finite.
    """
    return go(
        prepare(plugins, losses=losses, data=data, recipe=recipe, preset=preset, settings=settings, config=config),
        out,
        observers,
    )


def prepare(
    plugins: str | Sequence[str] | None = None,
    *,
    losses: Mapping[str, Term | tuple[Term, Weight]] | None = None,
    data: str | Path | None = None,
    recipe: str | None = None,
    preset: str | None = None,
    settings: Mapping[str, Any] | None = None,
    config: str | Path | None = None,
) -> Run:
    """Resolve settings, read the images, build objective and networks. Nothing is written."""
    file = read_toml(Path(config)) if config else {}
    asked = {**(settings or {}), **({} if data is None else {"data.dir": str(data)})}
    words = _words(file.get("plugins") if plugins is None else plugins)
    given = overlaid(_still_meant(file, asked, words), asked)
    recipe = recipe or str(file.get("recipe", DEFAULT_RECIPE))
    preset = preset or (str(file["preset"]) if "preset" in file else None)
    if (where := given.get("data.dir")) and where not in VARIANTS:
        given["data.dir"] = _anywhere(str(where), Path(str(where)).is_dir())
    source = _source(given)
    settled = configure(words, losses or {}, recipe, preset, given, source)
    check(settled.recipe, settled.model, settled.data.size)
    _check_device(settled.train.device)
    dataset = source.dataset(settled.data.size, settled.data.load_size)
    settled = replace(settled, train=_counted(settled, dataset))
    seed = settled.train.seed
    objective = compose(settled.chosen, settled.adversary, settled.recipe, seed, settled.recipe_name)
    _check_replaced(settled, objective, given)
    settled = replace(settled, adversary=objective.adversary)
    networks = build(settled.recipe, settled.model, objective.judged, seed)
    batches = Batches(
        dataset.train, batch=settled.train.batch, size=settled.data.size, flip=settled.data.flip,
        paired=settled.recipe.paired, seed=seed,
    )  # fmt: skip
    hooks = hook_manager()
    trainer = Trainer(objective, networks, batches, settled.train, settled.pool, hooks.hook)
    return Run(settled, objective, dataset, networks, trainer, hooks)


def go(run: Run, out: str | Path | None = None, observers: Iterable[object] = ()) -> Run:
    """Train a prepared run and write its directory."""
    run.directory = Path(out) if out else free_directory(Path("runs") / _title(run))
    create(run.directory)
    for observer in observers:
        run.hooks.register(load("observers", observer).spec if isinstance(observer, str) else observer)
    write_bytes(run.directory / "config.toml", run.config.toml().encode())
    run.record = opening(run)
    run.hooks.hook.lossbench_run_start(run=run)
    seconds: list[float] = []
    try:
        _train(run, seconds)
        run.record |= {"status": "ok", "metrics": closing(run)}
    except BaseException as error:
        _keep_traceback(run, error)
        run.record |= {
            "status": "diverged" if isinstance(error, Diverged) else "failed",
            "error": _sentence(error, len(seconds)),
        }
        raise
    finally:
        _finish(run, seconds)
    return run


def _train(run: Run, seconds: list[float]) -> None:
    log = Log(run.directory / "metrics.jsonl")
    run.hooks.register(log)
    settings = run.config.train
    try:
        for step in range(1, settings.steps + 1):
            began = time.perf_counter()
            run.trainer.step(step)
            seconds.append(time.perf_counter() - began)
            if step % settings.every == 0 or step == settings.steps:
                samples(run, step)
                save_weights(run.directory / "weights", run.networks.named())
    finally:
        log.close()


def _keep_traceback(run: Run, error: BaseException) -> None:
    """Write where a plugin, or lossbench itself, went wrong; the one line on the screen says where that is."""
    if error.__cause__ or not isinstance(error, LossbenchError | KeyboardInterrupt):
        path = run.directory / "traceback.txt"
        write_bytes(path, "".join(traceback.format_exception(error)).encode())
        error.add_note(f"Traceback: {path}")


def _finish(run: Run, seconds: Sequence[float]) -> None:
    """Write what is known, however the run ended."""
    if seconds:
        save_weights(run.directory / "weights", run.networks.named())
        loss_curves(run.directory / "losses.png", read_log(run.directory / "metrics.jsonl"))
        timed = list(seconds)[min(3, len(seconds) - 1) :]  # the first steps warm up
        low, middle, high = statistics.quantiles(timed * 2 if len(timed) == 1 else timed, n=4)
        run.record["speed"] = {"unit": "seconds per step", "median": middle, "quartiles": [low, high], "n": len(timed)}
    run.record["steps_done"] = len(seconds)
    run.record["peak_memory_mb"] = peak_memory(run.trainer.device)
    files = (path for path in run.directory.rglob("*") if path.is_file())
    run.record["artifacts"] = {
        path.relative_to(run.directory).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(files)
    }
    write_json(run.directory / "run.json", run.record)
    run.hooks.hook.lossbench_run_end(run=run, record=run.record)


def _still_meant(file: Mapping[str, Any], asked: Mapping[str, Any], words: Sequence[str] | None) -> dict[str, Any]:
    """Return a file's settings less what the command line takes back: losses it does not name, another length."""
    dropped = {Path(word).stem for word in _words(file.get("plugins")) or ()} - {
        Path(word).stem for word in words or ()
    }
    other_length = {"train.epochs", "train.steps"} if {"train.epochs", "train.steps"} & set(asked) else set()
    return {
        key: value
        for key, value in file.items()
        if key not in {"plugins", "recipe", "preset"} | other_length and key.partition(".")[0] not in dropped
    }


def _words(plugins: object) -> list[str] | None:
    """``"cycle,idt"`` or a list -> names; None stays None."""
    if plugins is None:
        return None
    if isinstance(plugins, str):
        plugins = [word.strip() for word in plugins.split(",") if word.strip()]
    if not (isinstance(plugins, Sequence) and all(isinstance(word, str) for word in plugins)):
        raise OptionError(f"plugins={plugins!r}: name losses as in cycle,idt or, in TOML, as a list of names.")
    if not plugins:
        raise OptionError("--plugins names no loss. Write for example --plugins cycle,idt, or leave it out.")
    return [_anywhere(word, word.endswith(".py") and Path(word).is_file()) for word in plugins]


def _anywhere(path: str, there: bool) -> str:
    """Return a path that means the same from any folder, so that config.toml repeats the run from anywhere."""
    return str(Path(path).resolve()) if there else path


def _source(given: Mapping[str, Any]) -> Source:
    where = str(given.get("data.dir", VARIANTS[0]))
    if where in VARIANTS:
        seed = given.get("data.seed", 0)
        return Shapes(
            where, seed if isinstance(seed, int) and seed >= 0 else 0
        )  # refused when its section is validated
    return Folders(Path(where), paired_test=bool(given.get("data.paired_test", False)))


def _check_replaced(config: Config, objective: Objective, given: Mapping[str, Any]) -> None:
    """Refuse settings of the recipe's adversary where a chosen loss took its place."""
    if config.adversary and not objective.adversary:
        name = config.adversary.plugin.origin.name
        if useless := [key for key in given if key.startswith(f"{name}.")]:
            raise OptionError(f"{useless[0]} is set, but a chosen loss takes the place of {name}. Drop the setting.")


def _check_device(name: str) -> None:
    try:
        torch.zeros((), device=name).item()
    except (RuntimeError, AssertionError, NotImplementedError):
        raise OptionError(
            f"train.device={name!r} cannot be used here. Devices are cpu, cuda, cuda:1, mps; use --device cpu."
        ) from None


def _counted(config: Config, dataset: Dataset) -> TrainSettings:
    """Return the train settings with epochs counted in steps, and ``every`` resolved."""
    train = config.train
    counts = [len(images) for images in dataset.train.values()]
    longest = max(counts)
    if train.batch > longest:
        raise OptionError(
            f"train.batch={train.batch} is more than the {longest} training images. Use a smaller --batch."
        )
    steps = train.epochs * -(-longest // train.batch) if train.epochs else train.steps
    return train.model_copy(update={"steps": steps, "epochs": None, "every": train.every or max(1, steps // 4)})


def _title(run: Run) -> str:
    names = dict.fromkeys(bound.origin.name for bound in run.objective.terms)
    return f"{run.dataset.name}-{'+'.join(names)}-seed{run.config.train.seed}"


def _sentence(error: BaseException, steps: int) -> str:
    if isinstance(error, LossbenchError):
        return str(error)
    what = "interrupted" if isinstance(error, KeyboardInterrupt) else f"{type(error).__name__}: {error}"
    return f"{what} after {steps} steps"
