"""From settings to a run that could begin: images read, objective and networks built, nothing written."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import wraps
from pathlib import Path
from typing import Any, ParamSpec

import pluggy
import torch

from lossbench import devices
from lossbench.config import DEFAULT_RECIPE, Config, configure, overlaid, read_toml
from lossbench.data import VARIANTS, Batches, Dataset, Folders, Shapes, Source
from lossbench.errors import OptionError
from lossbench.hookspecs import Recipe, Term, Weight
from lossbench.networks import Networks, build, check, compile_networks
from lossbench.objective import Objective, compose
from lossbench.registry import hook_manager, load
from lossbench.settings import NAMING, TrainSettings
from lossbench.trainer import Trainer

P = ParamSpec("P")


@dataclass(frozen=True)
class Settled:
    """What decides a run's result."""

    config: Config
    objective: Objective
    dataset: Dataset


@dataclass
class Run:
    """A run: built by ``prepare``, trained by ``lossbench.run.go``."""

    config: Config
    objective: Objective
    dataset: Dataset
    networks: Networks
    trainer: Trainer
    hooks: pluggy.PluginManager
    directory: Path = Path()
    record: dict[str, Any] = field(default_factory=dict)


def settle(
    plugins: str | Sequence[str] | None = None,
    *,
    losses: Mapping[str, Term | tuple[Term, Weight]] | None = None,
    data: str | Path | None = None,
    recipe: str | None = None,
    preset: str | None = None,
    settings: Mapping[str, Any] | None = None,
    config: str | Path | Mapping[str, Any] | None = None,
    observe: str | Sequence[str] | None = None,
    metrics: str | Sequence[str] | None = None,
    source: Source | None = None,
) -> Settled:
    """Resolve settings, read the images, build the objective.

    ``config`` is a TOML file or its dotted keys; ``source`` takes the place of the images that ``data.dir`` names.
    """
    file = config if isinstance(config, Mapping) else read_toml(Path(config)) if config else {}
    asked = {**(settings or {}), **({} if data is None else {"data.dir": str(data)})}
    words = words_of("plugins", file.get("plugins") if plugins is None else plugins)
    watching = words_of("observe", file.get("observe") if observe is None else observe) or []
    measured = words_of("metrics", file.get("metrics") if metrics is None else metrics)
    if words == [] and not losses:
        raise OptionError("--plugins names no loss. Write for example --plugins cycle,idt, or leave it out.")
    given = overlaid(_still_meant(file, asked, [*(words or ()), *watching]), asked)
    recipe = recipe or str(file.get("recipe", DEFAULT_RECIPE))
    preset = preset or (str(file["preset"]) if "preset" in file else None)
    if (where := given.get("data.dir")) and where not in VARIANTS:
        given["data.dir"] = anywhere(str(where), Path(str(where)).is_dir())
    source = source or source_of(given, load("recipes", recipe).spec)
    settled = configure(words, losses or {}, recipe, preset, given, source, watching, measured)
    check(settled.recipe, settled.model, settled.data.size)
    check_device(settled.train.device)
    _check_precision(settled.train)
    dataset = source.dataset(settled.data.size, settled.data.load_size)
    settled = replace(settled, train=_counted(settled, dataset))
    seed = settled.train.seed
    objective = compose(settled.chosen, settled.adversary, settled.recipe, seed, settled.recipe_name)
    _check_replaced(settled, objective, given)
    return Settled(replace(settled, adversary=objective.adversary), objective, dataset)


def _ready(settle: Callable[P, Settled]) -> Callable[P, Run]:
    @wraps(settle)
    def prepare(*args: P.args, **kwargs: P.kwargs) -> Run:
        """Settle a run, and build its networks."""
        settled = settle(*args, **kwargs)
        devices.take(settled.config.train)
        config, objective, images = settled.config, settled.objective, settled.dataset.train
        seed, data = config.train.seed, config.data
        networks = build(config.recipe, config.model, objective.judged, seed)
        handled = {bound.direction for bound in objective.terms if "D" in bound.needs}
        compile_networks(networks, config.train, data.size, handled)
        paired, batch = config.recipe.paired, config.train.batch
        batches = Batches(
            images, batch=batch, size=data.size, flip=data.flip, paired=paired, seed=seed, device=config.train.device
        )
        hooks = hook_manager()
        trainer = Trainer(objective, networks, batches, config.train, config.pool, hooks.hook)
        return Run(config, objective, settled.dataset, networks, trainer, hooks)

    return prepare


prepare = _ready(settle)


def _still_meant(file: Mapping[str, Any], asked: Mapping[str, Any], words: Sequence[str]) -> dict[str, Any]:
    """Return a file's settings less what the command line takes back: plugins it does not name, another length."""
    named = [word for key in ("plugins", "observe") for word in words_of(key, file.get(key)) or ()]
    dropped = {Path(word).stem for word in named} - {Path(word).stem for word in words}
    other_length = {"train.epochs", "train.steps"} if {"train.epochs", "train.steps"} & set(asked) else set()
    return {
        key: value
        for key, value in file.items()
        if key not in {*NAMING} | other_length and key.partition(".")[0] not in {*dropped, "bench"}
    }


def words_of(key: str, plugins: object) -> list[str] | None:
    """``"cycle,idt"`` or a list -> names; None stays None."""
    if plugins is None:
        return None
    if isinstance(plugins, str):
        plugins = [word.strip() for word in plugins.split(",") if word.strip()]
    if not (isinstance(plugins, Sequence) and all(isinstance(word, str) for word in plugins)):
        raise OptionError(f"{key}={plugins!r}: name plugins as in one,two or, in TOML, as a list of names.")
    return [_anywhere(word) for word in plugins]


def _anywhere(word: str) -> str:
    """Return a plugin's word, of a file by its whole path; ``@faces`` stays behind it."""
    name, sign, group = word.partition("@")
    return anywhere(name, name.endswith(".py") and Path(name).is_file()) + sign + group


def anywhere(path: str, there: bool) -> str:
    """Return a path that means the same from any folder, so that config.toml repeats the run from anywhere."""
    return str(Path(path).resolve()) if there else path


def source_of(given: Mapping[str, Any], recipe: Recipe) -> Source:
    """Return where a run's images come from."""
    where = str(given.get("data.dir", VARIANTS[0]))
    if where in VARIANTS:
        seed = given.get("data.seed", 0)
        seed = seed if isinstance(seed, int) and seed >= 0 else 0  # refused when its section is validated
        return Shapes(where, seed, recipe.paired, recipe.quick)
    flags = {key: bool(given.get(f"data.{key}", False)) for key in ("paired_test", "skip_bad")}
    domains, test = "AB" if recipe.targets else "A", str(given.get("data.test", "test"))
    return Folders(Path(where), **flags, paired=recipe.paired, domains=domains, test=test)


def _check_replaced(config: Config, objective: Objective, given: Mapping[str, Any]) -> None:
    """Refuse settings of the recipe's adversary where a chosen loss took its place."""
    if config.adversary and not objective.adversary:
        name = config.adversary.plugin.origin.name
        if useless := [key for key in given if key.startswith(f"{name}.")]:
            raise OptionError(f"{useless[0]} is set, but a chosen loss takes the place of {name}. Drop the setting.")


def _check_precision(train: TrainSettings) -> None:
    if train.precision == "tf32" and torch.device(train.device).type != "cuda":
        raise OptionError(f"train.precision=tf32 is for --device cuda. Use --precision float32 on {train.device}.")


def check_device(name: str) -> None:
    """Refuse a device that is not here."""
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
    every = train.every or max(1, steps // 4)
    return train.model_copy(update={"steps": steps, "epochs": None, "every": every, "devices": devices.count(train)})
