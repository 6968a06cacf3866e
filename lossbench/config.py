"""What a run can be told. A dotted key such as ``train.lr`` is a field of a section here, or an option of a plugin.

Later wins: lossbench's defaults, the recipe's, the data set's, the preset, the TOML file, flags and ``--set``.
"""

from __future__ import annotations

import sys
import tomllib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import tomli_w

from lossbench.data import Source
from lossbench.errors import OptionError, near_miss
from lossbench.hookspecs import LossSpec, Recipe, Term, Weight
from lossbench.metrics import Metric
from lossbench.metrics import chosen as chosen_metrics
from lossbench.objective import Choice
from lossbench.observers import Observed
from lossbench.options import declared, resolve, validated
from lossbench.registry import FILE_MODULE, Origin, Plugin, listing, load
from lossbench.settings import RESERVED, SECTIONS, DataSettings, PoolSettings, TrainSettings

DEFAULT_RECIPE = "cyclegan"


@dataclass(frozen=True)
class Config:
    """A run's settings, resolved."""

    words: tuple[str, ...]  # --plugins, in order
    recipe_name: str
    recipe: Recipe
    train: TrainSettings
    data: DataSettings
    pool: PoolSettings
    model: Mapping[str, Any]
    chosen: tuple[Choice, ...]
    adversary: Choice | None
    observed: tuple[Observed, ...] = ()
    metrics: tuple[Metric, ...] = ()

    def everything(self) -> dict[str, Any]:
        """Return every setting by dotted key."""
        keys: dict[str, Any] = {"plugins": list(self.words), "observe": [one.word for one in self.observed]}
        keys["metrics"] = [one.word for one in self.metrics]
        keys["recipe"] = self.recipe_name
        for section in (*SECTIONS, "model"):
            values = getattr(self, section)
            values = values if isinstance(values, Mapping) else values.model_dump()
            keys |= {f"{section}.{key}": value for key, value in values.items()}
        for choice in (*([self.adversary] if self.adversary else []), *self.chosen):
            keys |= {f"{choice.plugin.origin.name}.{key}": value for key, value in choice.resolved(self.recipe).items()}
        for one in self.observed:
            keys |= {f"{one.plugin.origin.name}.{key}": value for key, value in one.options.items()}
        return keys

    def dotted(self) -> dict[str, Any]:
        """Return the settings that TOML can hold: no None, no weight that is a function; paths and the rest by name."""
        plain = {key: value if "weight" in key.split(".") else named(value) for key, value in self.everything().items()}
        return {key: value for key, value in plain.items() if value is not None and not callable(value)}

    def toml(self) -> str:
        """Return the settings as TOML that `--config` reads back."""
        text = tomli_w.dumps(nested(self.dotted()))
        unset = sorted(key for key, value in self.everything().items() if value is None)
        return text + (f"\n# Not set, so decided by themselves: {', '.join(unset)}\n" if unset else "")


def unobserved(keys: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings of a run without those of what only watches and measures, which never change it."""
    words = keys.get("observe")
    watching = ["observe", "metrics", *(Path(str(word)).stem for word in (words if isinstance(words, list) else ()))]
    return {key: value for key, value in keys.items() if key.partition(".")[0] not in watching}


def named(value: Any) -> Any:
    """Return a path or a function that can be imported as text, and anything else as it is."""
    if callable(value):
        name, module = getattr(value, "__qualname__", ""), sys.modules.get(getattr(value, "__module__", ""))
        importable = module and module.__spec__ and not module.__name__.startswith(FILE_MODULE)
        return f"{value.__module__}:{name}" if importable and getattr(module, name, None) is value else value
    return str(value) if isinstance(value, Path) else value


def read_toml(path: Path) -> dict[str, Any]:
    """Return a TOML file's settings by dotted key."""
    try:
        return flat(tomllib.loads(path.read_text("utf-8")))
    except OSError as error:
        raise OptionError(f"{path} cannot be read: {error.strerror}.") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        how = "Text stands in quotes, a schedule too."
        if "overwrite" in str(error):
            how = "A key has a value or a table: weights by direction stand in [NAME.weight], as A2B and B2A."
        raise OptionError(f"{path} is not TOML: {error}. {how}") from None


def parse_assignment(text: str) -> tuple[str, Any]:
    """Return key and value of ``tv.power=2``; the value is TOML where it can be, otherwise text."""
    key, sign, value = text.partition("=")
    if not sign or not key.strip():
        raise OptionError(f"--set {text}: write KEY=VALUE, such as --set tv.power=2.")
    try:
        return key.strip(), tomllib.loads(f"value = {value}")["value"]
    except tomllib.TOMLDecodeError:
        return key.strip(), value.strip()


def flat(tree: Mapping[str, Any], before: str = "") -> dict[str, Any]:
    """{"train": {"lr": 1}} -> {"train.lr": 1}."""
    keys: dict[str, Any] = {}
    for key, value in tree.items():
        keys |= flat(value, f"{before}{key}.") if isinstance(value, Mapping) else {f"{before}{key}": value}
    return keys


def nested(keys: Mapping[str, Any]) -> dict[str, Any]:
    """{"train.lr": 1} -> {"train": {"lr": 1}}."""
    tree: dict[str, Any] = {}
    for key, value in keys.items():
        *parents, leaf = key.split(".")
        place = tree
        for parent in parents:
            place = place.setdefault(parent, {})
        place[leaf] = value
    return tree


def overlaid(*layers: Mapping[str, Any]) -> dict[str, Any]:
    """Lay dotted keys over each other, later wins: ``x.weight`` over ``x.weight.A2B`` too."""
    keys: dict[str, Any] = {}
    for layer in layers:
        kept = {key: value for key, value in keys.items() if not any(key.startswith(f"{over}.") for over in layer)}
        keys = {**kept, **layer}
    return keys


def configure(
    words: Sequence[str] | None,
    functions: Mapping[str, Term | tuple[Term, Weight]],
    recipe_name: str,
    preset: str | None,
    given: Mapping[str, Any],
    source: Source,
    observe: Sequence[str] = (),
    metrics: Sequence[str] | None = None,
) -> Config:
    """Resolve a run's settings. ``given``: dotted keys from the user; ``functions``: losses that are Python functions.

    Raises:
        OptionError: a key or value that cannot be.
        PluginError: a plugin that cannot be.
    """
    recipe: Recipe = load("recipes", recipe_name).spec
    words = list(recipe.losses if words is None and not functions else words or ())
    plugins = [load("losses", word) for word in words]
    plugins += [_function(name, loss) for name, loss in functions.items()]
    names = [plugin.origin.name for plugin in plugins]
    adversary = load("losses", recipe.adversary) if recipe.adversary and recipe.adversary not in names else None
    watching = [(word, load("observers", word)) for word in observe]
    chosen = {"losses": names, "observers": [plugin.origin.name for _, plugin in watching]}
    _check_names(chosen, [adversary.origin.name] if adversary else [])

    known = {f"model.{key}" for builder in recipe.networks for key in declared(builder)}
    owners = [*SECTIONS, *names, *chosen["observers"]] + ([adversary.origin.name] if adversary else [])
    of_data = source.defaults(_integer(given, "data.size"))
    defaults = overlaid(recipe.defaults(of_data["data.size"]), of_data, _preset(recipe, recipe_name, preset, given))
    defaults = {key: value for key, value in defaults.items() if key in known or key.partition(".")[0] in owners}
    by_owner = _by_owner(overlaid(defaults, given), [*owners, "model", *([preset] if preset else [])], chosen, recipe)
    train, data = _train(by_owner["train"], given), _data(by_owner["data"])
    recipe = adapted(recipe, recipe_name, data.direction, train.conditional)
    return Config(
        words=tuple(words),
        recipe_name=recipe_name,
        recipe=recipe,
        train=train.model_copy(update={"conditional": recipe.conditional}),
        data=data.model_copy(update={"direction": recipe.directions[0] if len(recipe.directions) == 1 else None}),
        pool=validated(PoolSettings, by_owner["pool"], "pool"),
        model=model_options(recipe, by_owner["model"]),
        chosen=tuple(Choice(plugin, by_owner[plugin.origin.name]) for plugin in plugins),
        adversary=Choice(adversary, by_owner[adversary.origin.name]) if adversary else None,
        observed=tuple(
            Observed(word, plugin, resolve(plugin.spec, by_owner[plugin.origin.name], plugin.origin.name))
            for word, plugin in watching
        ),
        metrics=chosen_metrics(recipe.metrics if metrics is None else metrics),
    )


def adapted(recipe: Recipe, name: str, direction: str | None, conditional: bool | None) -> Recipe:
    """Return a recipe that translates in this direction, with a discriminator that is, or is not, shown the source."""
    alone = len(recipe.directions) == 1
    way = f"{recipe.directions[0]} alone" if alone else "both directions"
    if direction and not (alone and (recipe.targets or direction in recipe.directions)):
        raise OptionError(f"data.direction={direction}: recipe {name} has {way}. Leave it out.")
    if direction:
        recipe = replace(recipe, directions=(direction,))
    return recipe if conditional is None else replace(recipe, conditional=conditional)


def model_options(recipe: Recipe, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return every option of a recipe's networks; one that both have is the generator's by default."""
    known = {key for builder in recipe.networks for key in declared(builder)}
    if strange := [key for key in given if key not in known]:
        close, options = near_miss(strange[0], known), ", ".join(sorted(known))
        raise OptionError(f"model has no option `{strange[0]}`.{close} Options of model: {options}.")
    resolved: dict[str, Any] = {}
    for builder in recipe.networks:
        own = resolve(builder, {key: value for key, value in given.items() if key in declared(builder)}, "model")
        resolved = own | resolved
    return resolved


def _check_names(chosen: Mapping[str, Sequence[str]], taken: Sequence[str]) -> None:
    """Refuse names that could not begin a key, or that begin those of two plugins."""
    for group, names in chosen.items():
        if twice := [name for name in names if names.count(name) > 1]:
            raise OptionError(f"`{twice[0]}` is chosen twice, by name or as a file. Name each plugin once.")
        if bad := [name for name in names if name in RESERVED or not name.replace("-", "_").isidentifier()]:
            kind = {"losses": "A loss", "observers": "An observer"}[group]
            raise OptionError(
                f"{kind} cannot be called `{bad[0]}`: a name is a word, and none of {', '.join(RESERVED)}."
            )
    if both := sorted({*chosen["losses"], *taken} & {*chosen["observers"]}):
        raise OptionError(
            f"`{both[0]}` is both a loss and an observer of this run, and their settings would have the same keys. "
            "Rename one of them."
        )


def _function(name: str, loss: Term | tuple[Term, Weight]) -> Plugin:
    term, weight = loss if isinstance(loss, tuple) and len(loss) == 2 else (loss, 1.0)
    return Plugin(Origin(name, "python"), LossSpec(lambda: term, weight))


def _integer(given: Mapping[str, Any], key: str) -> int | None:
    value = given.get(key)
    return value if isinstance(value, int) else None  # anything else is refused when the section is validated


def _preset(recipe: Recipe, recipe_name: str, preset: str | None, given: Mapping[str, Any]) -> Mapping[str, float]:
    if preset is None:
        return {}
    if preset not in recipe.presets:
        close, known = near_miss(preset, recipe.presets), ", ".join(recipe.presets) or "none"
        raise OptionError(f"No preset `{preset}`.{close} Presets of {recipe_name}: {known}.")
    options = {key.partition(".")[2]: value for key, value in given.items() if key.startswith(f"{preset}.")}
    function = recipe.presets[preset]
    return function(**resolve(function, options, preset))


def _by_owner(
    keys: Mapping[str, Any], owners: Sequence[str], chosen: Mapping[str, Sequence[str]], recipe: Recipe
) -> dict[str, dict[str, Any]]:
    """Return options by section or plugin; a key of nobody's is an error."""
    found: dict[str, dict[str, Any]] = {owner: {} for owner in owners}
    for key, value in keys.items():
        owner, _, option = key.partition(".")
        if owner not in found or not option:
            raise OptionError(_unknown(key, owners, chosen, recipe))
        found[owner][option] = value
    return found


def _train(options: Mapping[str, Any], given: Mapping[str, Any]) -> TrainSettings:
    train = validated(TrainSettings, options, "train")
    if train.epochs and "train.steps" in given:
        raise OptionError("train.steps and train.epochs are both set. Give one of them.")
    return train


def _data(options: Mapping[str, Any]) -> DataSettings:
    data = validated(DataSettings, options, "data")
    if data.load_size < data.size:
        raise OptionError(f"data.load_size={data.load_size} is less than data.size={data.size}. Crops must fit.")
    return data


def _unknown(key: str, owners: Collection[str], chosen: Mapping[str, Sequence[str]], recipe: Recipe) -> str:
    owner = key.partition(".")[0]
    if at_home := [f"{name}.{key}" for name, section in SECTIONS.items() if key in section.model_fields]:
        return f"No option `{key}`. Did you mean `{at_home[0]}`?"
    if owner in owners:
        return f"`{key}` names no option. Write {owner}.OPTION=VALUE."
    if owner in recipe.presets:
        return f"{key} is set, but preset {owner} is not used. Add it: --preset {owner}."
    for group, flag in (("losses", "--plugins"), ("observers", "--observe")):
        if owner in listing(group):
            return f"{key} is set, but {owner} is not used. Add it: {flag} {','.join([*chosen[group], owner])}."
    close = near_miss(owner, owners).replace("`?", f".{key.partition('.')[2]}`?")
    return f"No option `{key}`.{close} A key is SECTION.OPTION; sections: {', '.join(sorted(owners))}."
