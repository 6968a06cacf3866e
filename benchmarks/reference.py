"""What the docs say of lossbench out of lossbench itself: names, hooks, options, commands, codes, checks, plugins."""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, get_args

import typer.main
from pydantic_core import PydanticUndefined

from lossbench import errors, hookspecs, schedules
from lossbench.bench.suite import BenchSettings
from lossbench.catalogue import CITATION, Details, details, entries, sentence, type_name
from lossbench.cli import BROKEN, app
from lossbench.commands.benches import INCOMPLETE
from lossbench.commands.words import INTERRUPTED
from lossbench.errors import LossbenchError
from lossbench.metrics.measuring import MEANING as OF_METRICS
from lossbench.objective import Choice, compose
from lossbench.options import declared
from lossbench.outcome import SERVICES
from lossbench.registry import Plugin, load, source
from lossbench.report.answer import STRICT
from lossbench.report.schema import Incomparable
from lossbench.settings import SECTIONS
from lossbench.testing import MEANING as CHECKS
from lossbench.testing import MEND
from lossbench.testing.remarks import REMARKS
from lossbench.views import CRITIC_NAMES, MEANING

ROOT = Path(__file__).parent.parent
SIZE = 256  # px, whose defaults are shown
PICTURE = ROOT / "docs" / "images" / "translations.png"


def markdown(rows: Sequence[Sequence[str]]) -> str:
    """Return rows, the first of them the head, as a table."""
    head, *body = [[cell.replace("|", "\\|") for cell in row] for row in rows]
    return "\n".join("| " + " | ".join(row) + " |" for row in (head, ["---"] * len(head), *body))


def names() -> str:
    """Return what a term may ask for, and on which side."""
    rows = [["name", "what it is", "discriminator's side"]]
    rows += [[f"`{name}`", meaning, "yes" if name in CRITIC_NAMES else ""] for name, meaning in MEANING.items()]
    return markdown(rows)


def hooks() -> str:
    """Return every hook with its signature."""
    specs = {name: each for name, each in vars(hookspecs).items() if hasattr(each, "lossbench_spec")}
    rows = [["hook", "what it is for"]]
    for name, each in specs.items():
        parameters = ", ".join(inspect.signature(each).parameters)
        rows.append([f"`{name}({parameters})`", _sentence(each)])
    return markdown(rows)


def metric_names() -> str:
    """Return what a metric may ask for."""
    return markdown([["name", "what it is"], *([f"`{name}`", meaning] for name, meaning in OF_METRICS.items())])


def metrics() -> str:
    """Return every built-in metric: what it measures, against what, and which weights it needs."""
    rows = [["metric", "what it measures", "unit", "better", "asks for", "weights"]]
    for entry in _built_in("metrics"):
        spec, asks = load("metrics", entry.name).spec, [each for each in _known(entry).asks if each not in SERVICES]
        shown = " ".join(word for word in (spec.unit, f"x{spec.shown:g}" * (spec.shown != 1)) if word)
        row = [f"`{entry.name}`", entry.sentence.partition(": ")[2], shown, spec.better]
        rows.append([*row, ", ".join(f"`{each}`" for each in asks), ", ".join(f"`{each}`" for each in spec.weights)])
    return markdown(rows)


def settings() -> str:
    """Return every key of a run that is not a plugin's, and of a bench."""
    rows = [["key", "type", "default", "meaning"]]
    for name, section in (SECTIONS | {"bench": BenchSettings}).items():
        for key, field in section.model_fields.items():
            default = "" if field.default in (None, PydanticUndefined) else f"`{field.default}`"
            rows.append([f"`{name}.{key}`", type_name(field.annotation), default, field.description or ""])
    return markdown(rows)


def recipes() -> str:
    """Return every recipe: what it is, what images it takes, what it minimises."""
    rows = [["recipe", "what it is", "images", "losses and their weights"]]
    for entry in _built_in("recipes"):
        recipe = load("recipes", entry.name).spec
        images = "pairs of A and B" if recipe.paired else "A and B, unpaired" if recipe.targets else "A"
        ways = "both ways" if len(recipe.directions) > 1 else "one way"
        rows.append([f"`{entry.name}`", entry.sentence.partition(": ")[2], f"{images}, {ways}", objective(entry.name)])
    return markdown(rows)


def objective(name: str) -> str:
    """Return what a recipe minimises by itself: ``1 gan + 100 l1``."""
    recipe = load("recipes", name).spec
    chosen = [each for each in (recipe.adversary, *recipe.losses) if each]
    set_by_it = recipe.defaults(SIZE)
    weights = {each: set_by_it.get(f"{each}.weight", load("losses", each).spec.weight) for each in chosen}
    return " + ".join(f"{weight:g} {each}" for each, weight in weights.items())


def recipe_options() -> str:
    """Return the options of every recipe's networks, and what else it sets otherwise than lossbench does."""
    columns = {entry.name: _of_recipe(entry.name) for entry in _built_in("recipes")}
    of_networks = {key for column in columns.values() for key in column if key.startswith("model.")}
    others = {key for column in columns.values() for key in column} - of_networks
    rows = [["key", "type", *columns]]
    for key in (*sorted(of_networks), *sorted(others)):
        values = [str(column.get(key, "")) for column in columns.values()]
        rows.append([f"`{key}`", _type(key), *(f"`{value}`" if value else "" for value in values)])
    return markdown(rows)


def recipe_quick() -> str:
    """Return what every recipe sets for a short run on the built-in images."""
    rows = [["recipe", "on the built-in images"]]
    for entry in _built_in("recipes"):
        quick = load("recipes", entry.name).spec.quick
        rows.append([f"`{entry.name}`", ", ".join(f"`{key}={value}`" for key, value in quick.items())])
    return markdown(rows)


def mixing() -> str:
    """Return which losses a recipe can have, and what they then compare with."""
    names = [entry.name for entry in _built_in("recipes")]
    rows = [["loss", *names]]
    for entry in _built_in("losses"):
        rows.append([f"`{entry.name}`", *(_fitting(entry.name, name) for name in names)])
    return markdown(rows)


def _fitting(loss: str, recipe: str) -> str:
    plugin = load("losses", loss)
    options = declared(plugin.spec.builder)
    if "against" in options:
        against = get_args(options["against"].annotation)
        return ", ".join(f"`{each}`" for each in against if _fits(plugin, {"against": each}, recipe))
    if _fits(plugin, {}, recipe):
        return "yes"
    return "with `image`" if "image" in options and _fits(plugin, {"image": PICTURE}, recipe) else ""


def _fits(plugin: Plugin, options: dict[str, Any], name: str) -> bool:
    recipe = load("recipes", name).spec
    adversary = Choice(load("losses", recipe.adversary)) if recipe.adversary else None
    try:
        compose([Choice(plugin, options)], adversary, recipe, 0)
    except LossbenchError:
        return False
    return True


def weights() -> str:
    """Return all pretrained weights, and the files that they are made from."""
    rows = [["weights", "what they are", "made from", "licence"]]
    for entry in _built_in("weights"):
        spec = load("weights", entry.name).spec
        files = " or ".join(f"`{each.where.rpartition('/')[2]}`" for each in spec.sources)
        rows.append([f"`{entry.name}`", entry.sentence, files, spec.licence])
    return markdown(rows)


def verified() -> str:
    """Return every loss and every system: its source, its formula, its file, and what its tests compare it with."""
    rows = [["loss or system", "source", "formula", "file", "how verified"]]
    for entry in _built_in("losses", "recipes"):
        file = source(entry.origin).relative_to(ROOT).as_posix()  # type: ignore[union-attr]  # ours have files
        test = ROOT / "tests" / Path(file).with_name(f"test_{entry.name}.py")
        cited, formula = _cited(entry)
        word = f"`{entry.name}`" if entry.kind == "losses" else f"`--recipe {entry.name}`"
        called = f"{entry.sentence.partition(':')[0]}, {word}"
        rows.append([called, cited, formula, f"[{file}](../{file})", sentence(test)])
    return markdown(rows)


def _known(entry: Any) -> Details:
    """Return all that a plugin says of itself; where its pretrained weights cannot be had, nothing can be written."""
    known = details(entry.kind, entry.name)
    if known.error:
        raise SystemExit(known.error)
    return known


def _cited(entry: Any) -> tuple[str, str]:
    """Return who is cited, and the formula: a loss's builder has both, a recipe's module who, its losses what."""
    known = _known(entry)
    if entry.kind == "losses":
        formulas = [code for code in re.findall("`([^`]+)`", known.text) if " " in code]  # options have no spaces
        return "; ".join(known.references), _code(formulas[0]) if formulas else ""
    said = ast.get_docstring(ast.parse(source(entry.origin).read_text("utf-8"))) or ""  # type: ignore[union-attr]
    return "; ".join(CITATION.findall(said)), _code(objective(entry.name))


def _code(text: str) -> str:
    """Return code in a cell of a table, where a bar would end it."""
    return f"<code>{text.replace('&', '&amp;').replace('<', '&lt;').replace('|', '&#124;')}</code>"


def plugin_options() -> str:
    """Return every option of the plugins that are built in."""
    rows = [["key", "type", "default"]]
    for entry in _built_in("losses", "observers"):
        for option in _known(entry).options:
            default = "" if option.default is None else f"`{option.default}`"
            rows.append([f"`{option.key}`", option.type, default])
    return markdown(rows)


def commands() -> str:
    """Return every command with its flags, as `--help` has them."""
    parts = []
    for name, command in _commands(typer.main.get_command(app)):
        rows = [["flag", "default", "meaning"]]
        for option in command.params:
            words = option.opts if option.opts[0].startswith("-") else [option.name.upper()]
            default = "" if option.default in (None, False) or callable(option.default) else f"`{option.default}`"
            rows.append([", ".join(f"`{word}`" for word in words), default, getattr(option, "help", "") or ""])
        table = f"\n\n{markdown(rows)}" if command.params else ""
        parts.append(f"### lossbench {name}\n\n{command.help}{table}")
    return "\n\n".join(parts)


def exit_codes() -> str:
    """Return every exit code."""
    classes = [each for each in vars(errors).values() if inspect.isclass(each)]
    kinds = [each for each in classes if issubclass(each, errors.LossbenchError)]
    said = {
        0: "Done.",
        **{kind.exit_code: _sentence(kind) for kind in reversed(kinds)},
        INTERRUPTED: "Interrupted by ctrl-C; what was done is saved.",
        128 + 15: "The same, by SIGTERM; 128 and the signal's number for any other.",
    }
    said[1] += " Of `report`: something got worse, or differs under --exact."
    said[INCOMPLETE] += " Of `bench` and `report`: a run failed, diverged or is missing; the report is there."
    said[Incomparable.exit_code] = _sentence(Incomparable)
    said[BROKEN] = "A fault of lossbench or of a plugin, with its traceback."
    said[STRICT] = "Of `report --strict`: nothing got worse, and something is inconclusive."
    return markdown([["exit code", "meaning"], *([str(code), said[code]] for code in sorted(said))])


def checks() -> str:
    """Return every check, and how to mend what it finds."""
    rows = [[f"`{name}`", holds, MEND.get(name, "")] for name, holds in CHECKS.items()]
    return markdown([["check", "what holds", "if not"], *rows])


def remarks() -> str:
    """Return every remark."""
    return markdown([["remark", "what it tells"], *([f"`{name}`", _sentence(each)] for name, each in REMARKS.items())])


def grammar() -> str:
    """Return the grammar of schedules, as its module has it."""
    _, examples, *rest = inspect.cleandoc(schedules.__doc__ or "").split("\n\n")
    told = [" ".join(part.split()).replace("``", "`") for part in rest]
    return "\n\n".join([f"```text\n{inspect.cleandoc(examples)}\n```", *told])


def gallery() -> str:
    """Return a section for each loss that is built in, from its docstring."""
    parts = []
    for entry in _built_in("losses"):
        told = _known(entry)
        asks = ", ".join(f"`{name}`" for name in told.asks)
        known = [option for option in told.options if option.default is not None]
        options = ", ".join(f"`{option.key}={option.default}`" for option in known)
        picture = f"![Where {entry.name} pushes](images/push-{entry.name}.png)"
        if set(told.asks) <= set(CRITIC_NAMES) and "pred_fake" not in told.asks:
            picture = "No picture: it trains the discriminator, and pushes at no image."
        asked = f"Asks for {asks}. Options: {options}."
        parts.append("\n\n".join([f"### {entry.name}", entry.sentence, told.text, asked, picture]))
    return "\n\n".join(parts)


def _built_in(*kinds: str) -> Iterator[Any]:
    return (entry for entry in entries() if entry.distribution == "lossbench" and entry.kind in kinds)


def _of_recipe(name: str) -> dict[str, Any]:
    """Return a recipe's values by dotted key: of its networks' options, and what it sets."""
    networks = {option.key: option.default for option in details("recipes", name).options}
    return networks | dict(load("recipes", name).spec.defaults(SIZE))


def _type(key: str) -> str:
    """Return the type of an option of some recipe's networks, a section or a loss."""
    owner, _, option = key.partition(".")
    if owner in SECTIONS:
        return type_name(SECTIONS[owner].model_fields[option].annotation)
    options = [option for entry in _built_in("losses", "recipes") for option in _known(entry).options]
    return next(option.type for option in options if option.key == key)


def _commands(group: Any, before: str = "") -> Iterator[tuple[str, Any]]:
    for name, command in group.commands.items():
        yield before + name, command
        if hasattr(command, "commands"):
            yield from _commands(command, f"{before}{name} ")


def _sentence(documented: Any) -> str:
    return " ".join((inspect.getdoc(documented) or "").partition("\n\n")[0].split()).replace("``", "`")


REFERENCE: dict[str, Callable[[], str]] = {
    each.__name__: each
    for each in (
        names,
        metric_names,
        metrics,
        hooks,
        settings,
        recipes,
        recipe_options,
        recipe_quick,
        mixing,
        weights,
        plugin_options,
        commands,
        exit_codes,
        checks,
        remarks,
        grammar,
        gallery,
        verified,
    )
}
