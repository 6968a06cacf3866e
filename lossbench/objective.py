"""The objective: the chosen terms in their places, one for each plugin, direction and side, and their weights."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

from torch import nn

from lossbench import rng
from lossbench.errors import LossbenchError, OptionError, PluginError, Unfit, near_miss
from lossbench.files import sha256
from lossbench.hookspecs import Adversary, LossSpec, Recipe, Term
from lossbench.options import declared, only, resolve
from lossbench.registry import Origin, Plugin, load
from lossbench.schedules import GRAMMAR, Schedule, parse
from lossbench.views import CONDITIONAL, CRITIC_NAMES, MEANING, PAIRED, PLAIN, Table, closure, needs
from lossbench.weights import noted

Side = Literal["generator", "discriminator"]


@dataclass(frozen=True)
class Choice:
    """A loss and its settings: ``weight``, ``weight.A2B`` and the builder's options."""

    plugin: Plugin
    settings: Mapping[str, Any] = field(default_factory=dict)

    def options(self) -> dict[str, Any]:
        """Return the builder's options, validated, defaults filled in."""
        given = {key: value for key, value in self.settings.items() if key.partition(".")[0] != "weight"}
        spec, name = self.plugin.spec, self.plugin.origin.name
        parameters = inspect.signature(spec.builder).parameters.items()
        if asked := [name for name, each in parameters if name in MEANING and each.kind is not each.KEYWORD_ONLY]:
            raise PluginError(
                f"{self.plugin.origin}: what LossSpec is given asks for `{asked[0]}`, as a term does. Give it the "
                "builder itself, not what that returns: LossSpec(builder), not LossSpec(builder())."
            )
        only(spec.builder, str(self.plugin.origin))
        return resolve(spec.builder, given, name, also=[f"weight={spec.weight}"])

    def weights(self, recipe: Recipe) -> dict[str, float | Callable[[float], float]]:
        """Return the weight of each direction: its own, ``weight.A2B``, or that of all, ``weight``."""
        name, directions = self.plugin.origin.name, recipe.directions
        for key in self.settings:
            word, _, direction = key.partition(".")
            if word == "weight" and direction and direction not in directions:
                close, known = near_miss(direction, directions), ", ".join(directions)
                raise OptionError(f"{name}.{key}: no direction `{direction}`.{close} There are: {known}.")
        common = self.settings.get("weight", self.plugin.spec.weight)
        return {d: _weight(self.settings.get(f"weight.{d}", common), name) for d in directions}

    def resolved(self, recipe: Recipe) -> dict[str, Any]:
        """Return options and weights as settings; directions apart only where they differ."""
        weights = {d: str(w) if isinstance(w, Schedule) else w for d, w in self.weights(recipe).items()}
        alike = len(set(weights.values())) == 1
        apart = {f"weight.{direction}": weight for direction, weight in weights.items()}
        return {**self.options(), **({"weight": next(iter(weights.values()))} if alike else apart)}


def _weight(given: Any, name: str) -> float | Callable[[float], float]:
    """Return a number, a schedule, or from Python a function of progress."""
    said = ""
    if isinstance(given, str):
        try:
            return parse(given)
        except ValueError as error:
            said = f"{error}; " if ":" in given else ""
    number = isinstance(given, int | float) and not isinstance(given, bool) and 0 <= given < math.inf
    if not number and not callable(given):
        raise OptionError(f"{name}.weight={given!r}: {said}a weight is {GRAMMAR}.")
    weight: float | Callable[[float], float] = given
    return weight


@dataclass(frozen=True, eq=False)
class Bound:
    """A term in its place."""

    direction: str
    origin: Origin
    side: Side
    term: Term
    needs: tuple[str, ...]
    options: Mapping[str, Any]
    weight: float | Callable[[float], float]
    scaled: bool  # a discriminator's side is multiplied by the weight only where there is no other side
    autocast: bool
    adversary: Adversary | None  # what it is a side of
    weights: Mapping[str, str]  # pretrained, that it was built with: name -> sha256

    @property
    def label(self) -> str:
        """Return for example ``A2B/gan`` or ``A2B/gan:D``."""
        return f"{self.direction}/{self.origin.name}{':D' if self.side == 'discriminator' else ''}"

    def weight_at(self, progress: float) -> float:
        """Return the weight at this point of the run."""
        if not callable(self.weight):
            return self.weight
        try:
            weight = float(self.weight(progress))
        except Exception as error:
            raise PluginError(f"{self.label}: its schedule failed: {type(error).__name__}: {error}.") from error
        if not 0 <= weight < math.inf:
            raise PluginError(
                f"{self.label}: its schedule gives {weight} at {progress}; a weight is a number from 0 on."
            )
        return weight

    def factor_at(self, progress: float) -> float:
        """Return what the term's value is multiplied by at this point of the run."""
        return self.weight_at(progress) if self.scaled else 1.0


@dataclass(frozen=True)
class Objective:
    """What is minimised. Terms stand in the order in which they are added."""

    recipe: Recipe
    terms: tuple[Bound, ...]
    adversary: Choice | None  # the recipe's own, where no chosen loss took its place

    @property
    def critic_steps(self) -> int:
        """Return how many steps the discriminators take for one of the generators."""
        return max((bound.adversary.critic_steps for bound in self.terms if bound.adversary), default=1)

    @property
    def judged(self) -> tuple[str, ...]:
        """Return the directions that have a discriminator."""
        return tuple(
            d for d in self.recipe.directions if any(_uses_D(b, self.recipe) for b in self.terms if b.direction == d)
        )

    @property
    def modules(self) -> dict[str, nn.Module]:
        """Return the terms that are modules, by label: their parameters train with the generators."""
        return {bound.label: bound.term for bound in self.terms if isinstance(bound.term, nn.Module)}

    def active(self, step: int, progress: float) -> tuple[Bound, ...]:
        """Return the terms that count in a step: a weight of 0 means absent."""
        moving: set[Side] = {"discriminator"} if step % self.critic_steps else {"generator", "discriminator"}
        return tuple(bound for bound in self.terms if bound.side in moving and bound.weight_at(progress) != 0)

    def describe(self) -> list[dict[str, Any]]:
        """Return the resolved objective as plain data: each term, its weight, options, needs and origin."""
        return [
            {
                "term": bound.label,
                "weight": _shown(bound.weight) if bound.scaled else 1.0,
                "options": {key: _plain(value) for key, value in bound.options.items()},
                "files": {key: content for key, value in bound.options.items() if (content := _content(value))},
                "weights": dict(bound.weights),
                "asks": list(bound.needs),
                "source": bound.origin.source,
                "distribution": bound.origin.distribution,
                "version": bound.origin.version,
                "sha256": bound.origin.sha256,
            }
            for bound in self.terms
        ]


def table(recipe: Recipe) -> Table:
    """Return the views of a recipe."""
    return PLAIN | (CONDITIONAL if recipe.conditional else {}) | (PAIRED if recipe.paired else {})


def compose(
    chosen: Sequence[Choice], adversary: Choice | None, recipe: Recipe, seed: int, recipe_name: str = "given"
) -> Objective:
    """Build every chosen loss for every direction of a recipe and check that what it asks for is to be had.

    The recipe's own ``adversary`` is put first when no chosen loss brings a generator's side of one.

    Raises:
        OptionError: an option or weight that cannot be.
        PluginError: a term that asks for what the recipe lacks, or a discriminator without use or training.
    """
    terms = [bound for choice in chosen for bound in _bind(choice, recipe, seed, recipe_name)]
    if any(bound.adversary and bound.side == "generator" for bound in terms):
        adversary = None
    elif adversary:
        terms = _bind(adversary, recipe, seed, recipe_name) + terms
    terms = [bound for bound in terms if callable(bound.weight) or bound.weight != 0]
    for direction in recipe.directions:
        _check_discriminator([bound for bound in terms if bound.direction == direction], recipe)
    if not any(bound.side == "generator" for bound in terms):
        raise OptionError("Nothing is left to train the generators: every weight is 0. Name a loss with --plugins.")
    return Objective(recipe, tuple(terms), adversary)


def _bind(choice: Choice, recipe: Recipe, seed: int, recipe_name: str) -> list[Bound]:
    spec, origin = choice.plugin.spec, choice.plugin.origin
    assert isinstance(spec, LossSpec)
    factors, options = choice.weights(recipe), choice.options()
    bound: list[Bound] = []
    for direction in recipe.directions:
        with rng.isolated(seed, "build", direction, origin.name), noted() as weights:
            built = _call(spec, options, origin)
        adversary = built if isinstance(built, Adversary) else None
        if built is None or built == Adversary():
            raise PluginError(
                f"{origin}: its builder returned {built!r}; return a function, an nn.Module or an Adversary."
            )
        if adversary and adversary.critic_steps < 1:
            raise PluginError(
                f"{origin}: critic_steps={adversary.critic_steps}; a discriminator takes at least 1 step."
            )
        sides = _sides(built)
        for side, term in sides.items():
            try:
                _check_term(term, side, origin, recipe, recipe_name)
            except Unfit as error:
                raise Unfit(f"{error}{_remedy(choice, recipe)}") from None
            scaled = side == "generator" or "generator" not in sides
            place = (direction, origin, side, term, needs(term), options, factors[direction], scaled)
            bound.append(Bound(*place, spec.autocast, adversary, weights))
    return bound


def _sides(built: Any) -> dict[Side, Term]:
    """Return the terms of what a builder gave, by side."""
    if not isinstance(built, Adversary):
        return {"generator": built}
    sides: dict[Side, Term | None] = {"generator": built.generator, "discriminator": built.discriminator}
    return {side: term for side, term in sides.items() if term is not None}


def _remedy(choice: Choice, recipe: Recipe) -> str:
    """Return which options a loss could be given that the recipe has what it then asks for."""
    name, spec = choice.plugin.origin.name, choice.plugin.spec
    options, found = choice.options(), []
    for key, option in declared(spec.builder).items():
        for value in get_args(option.annotation) if get_origin(option.annotation) is Literal else ():
            with suppress(LossbenchError), noted(fetch=False):
                for side, term in _sides(_call(spec, {**options, key: value}, choice.plugin.origin)).items():
                    _check_term(term, side, choice.plugin.origin, recipe, "")
                found.append(f"--set {name}.{key}={value}")
        if option.annotation in (Path | None, Path) and options[key] is None:
            found.append(f"--set {name}.{key}=FILE")
    return f" It may stand here with {' or '.join(found)}." if found else ""


def _call(spec: LossSpec, options: Mapping[str, Any], origin: Origin) -> Any:
    try:
        return spec.builder(**options)
    except LossbenchError:
        raise
    except (Exception, SystemExit) as error:
        raise PluginError(f"{origin} cannot be built: {type(error).__name__}: {error}.") from error


def _uses_D(bound: Bound, recipe: Recipe) -> bool:
    return "D" in {name.removeprefix("other_") for name in closure(bound.needs, table(recipe))}


def _check_term(term: Any, side: Side, origin: Origin, recipe: Recipe, recipe_name: str) -> None:
    """Refuse a term that asks for a name which this side of this recipe does not have."""
    name = origin.name
    if not callable(term):
        raise PluginError(f"{origin}: its builder returned {term!r}; return a function, an nn.Module or an Adversary.")
    parameters = inspect.signature(getattr(term, "forward", term)).parameters.values()
    if odd := [
        str(each)
        for each in parameters
        if each.kind is not each.POSITIONAL_OR_KEYWORD or each.default is not each.empty
    ]:
        raise PluginError(
            f"{origin}: a term's parameters are plain names, without defaults, * or **; mend `{odd[0]}`. "
            "Options belong to the builder: `def builder(*, power: int = 1)`."
        )
    both_ways = len(recipe.directions) > 1
    for asked in needs(term):
        plain = asked.removeprefix("other_")
        if plain not in MEANING:
            close, known = near_miss(plain, MEANING), ", ".join(MEANING)
            raise PluginError(f"{origin} asks for `{asked}`, which does not exist.{close} Names: {known}.")
        if side == "discriminator" and asked not in CRITIC_NAMES:
            raise PluginError(
                f"{origin}: its discriminator side asks for `{asked}`; that side may ask for {', '.join(CRITIC_NAMES)}."
            )
        if not both_ways and (asked != plain or {"rec", "G_inverse"} & {asked}):
            meaning = MEANING[plain] if asked == plain else "the opposite direction"
            way = f"recipe {recipe_name} has one direction, {recipe.directions[0]}, and no way back"
            raise Unfit(f"{name} asks for `{asked}`, {meaning}; {way}. Drop {name}, or use --recipe cyclegan.")
        if plain == "truth" and not recipe.paired:
            raise Unfit(
                f"{name} asks for `{asked}`, {MEANING[plain]}; recipe {recipe_name} is unpaired, so nothing says. "
                f"Drop {name}, or use --recipe pix2pix."
            )
        if not recipe.targets and "target" in closure((plain,), table(recipe)):
            raise Unfit(
                f"{name} asks for `{asked}`, {MEANING[plain]}; recipe {recipe_name} has no images of a target domain. "
                f"Drop {name}, or use --recipe cyclegan."
            )


def _check_discriminator(terms: Sequence[Bound], recipe: Recipe) -> None:
    """Refuse a discriminator that is trained and not used, or used and not trained."""
    using = [bound for bound in terms if bound.side == "generator" and _uses_D(bound, recipe)]
    training = [bound for bound in terms if bound.side == "discriminator"]
    if using and not training:
        raise PluginError(
            f"{using[0].label} uses the discriminator's answer, and nothing trains the discriminator. "
            "Return an Adversary(generator, discriminator), or add a loss that has a discriminator's side, such as gan."
        )
    if training and not using:
        raise PluginError(
            f"{training[0].label} trains the discriminator, and no generator's loss uses its answer. "
            f"Drop {training[0].origin.name}, or give an adversarial loss a weight other than 0."
        )


def _shown(weight: float | Callable[[float], float]) -> float | str:
    """Return a number, a schedule as it is written, or for a Python function that it is one."""
    if isinstance(weight, Schedule):
        return str(weight)
    return "schedule" if callable(weight) else weight


def _content(value: Any) -> str | None:
    """Return the sha256 of the file that a value names, if it does."""
    return sha256(value) if isinstance(value, Path) and value.is_file() else None


def _plain(value: Any) -> Any:
    """Return a value that JSON can hold: paths and functions by their name."""
    if callable(value):
        return f"{value.__module__}:{getattr(value, '__qualname__', type(value).__qualname__)}"
    return str(value) if isinstance(value, Path) else value


def load_loss(word: str, **options: Any) -> Any:
    """Return a loss for anybody's own loop: ``load_loss("tv", power=2)(fake=images)``.

    ``word`` is a plugin's name or file. An adversarial loss comes as an Adversary with its two terms.

    Raises:
        LossbenchError: no such plugin, or an option it does not have.
    """
    plugin = load("losses", word)
    return plugin.spec.builder(**resolve(plugin.spec.builder, options, plugin.origin.name))
