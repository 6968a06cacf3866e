"""What is installed: a line for each plugin, read without importing it; and all of one, for which it is."""

from __future__ import annotations

import ast
import inspect
import re
import types
import typing
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field, replace
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

from lossbench.errors import LossbenchError, PluginError
from lossbench.hookspecs import Recipe
from lossbench.options import declared, resolve
from lossbench.registry import HOOKS, Plugin, is_file, listing, load, package, source

USUAL = 256  # px, where a recipe's defaults depend on the size
LIMITS = (("gt", ">"), ("ge", ">="), ("lt", "<"), ("le", "<="))
CITATION = re.compile(r"\(([^()]*\b(?:19|20)\d\d\b)[^()]*\)")


@dataclass(frozen=True)
class Entry:
    """A plugin as it can be listed."""

    name: str
    kind: str  # losses, recipes, observers, weights
    sentence: str
    distribution: str
    version: str
    origin: str  # its module
    clash: bool  # two distributions claim the name: neither can be used


@dataclass(frozen=True)
class Option:
    """An option of a plugin."""

    key: str
    type: str
    default: Any


@dataclass(frozen=True)
class Details:
    """All that a plugin says of itself."""

    text: str = ""
    options: tuple[Option, ...] = ()
    asks: tuple[str, ...] = ()
    references: tuple[str, ...] = ()
    checks: dict[str, str] = field(default_factory=dict)  # known failures, with reasons
    error: str | None = None  # why nothing is known


def entries() -> Iterator[Entry]:
    """Yield every plugin. Nothing of it is imported."""
    for group in HOOKS:
        for name, some in listing(group).items():
            for entry in some:
                yield Entry(name, group, sentence(source(entry.value)), *package(entry), entry.value, len(some) > 1)


def plain(entry: Entry, *, verbose: bool) -> dict[str, Any]:
    """Return an entry as JSON has it."""
    return asdict(entry) | (asdict(details(entry.kind, entry.name)) if verbose else {})


def named(word: str) -> list[tuple[Entry, Details]]:
    """Return the plugins of a name, of each kind one, or that of a file, and all that they say of themselves.

    Raises:
        LossbenchError: there is none, or one cannot be built.
    """
    groups = [group for group in HOOKS if word in listing(group)]
    return [_entry_of(group, word) for group in groups or [_kind(word) if is_file(word) else "losses"]]


def _entry_of(group: str, word: str) -> tuple[Entry, Details]:
    plugin = load(group, word)
    origin = plugin.origin
    path = Path(origin.source) if is_file(origin.source) else source(origin.source)
    entry = Entry(origin.name, group, sentence(path), origin.distribution, origin.version, origin.source, clash=False)
    return entry, described(group, plugin)


def _kind(file: str) -> str:
    """Return which hook a file has, as far as its text tells."""
    names = {node.name for node in _tree(Path(file)).body if isinstance(node, ast.FunctionDef)}
    return next((group for group, hook in HOOKS.items() if hook in names), "losses")


def details(group: str, word: str) -> Details:
    """Import a plugin and return all that it says of itself, or why that cannot be known."""
    try:
        return described(group, load(group, word))
    except LossbenchError as error:
        return Details(error=str(error))


def described(group: str, plugin: Plugin) -> Details:
    """Return what a plugin says of itself.

    Raises:
        LossbenchError: it cannot be built.
    """
    from lossbench.views import needs

    name, spec = plugin.origin.name, plugin.spec
    if group == "recipes":
        text = f"Directions {', '.join(spec.directions)}; losses {', '.join(spec.losses)}; adversary {spec.adversary}."
        return Details(text, _of_networks(spec))
    if group == "weights":
        return Details(f"Licence: {spec.licence}. From {', '.join(each.where for each in spec.sources)}.")
    if group == "metrics":
        text = _unwrapped(inspect.getdoc(spec.measure) or "")
        text += f"\n\nUnit: {spec.unit or 'none'}; {spec.better} is better; protocol: {spec.protocol}."
        return Details(text, asks=needs(spec.measure), references=tuple(CITATION.findall(text)))
    builder = spec.builder if group == "losses" else spec
    text = _unwrapped(inspect.getdoc(builder) or "")
    references = tuple(CITATION.findall(text))
    if group == "observers":
        return Details(text, tuple(_options(name, builder)), references=references)
    weight = Option(f"{name}.weight", "number or schedule", spec.weight if not callable(spec.weight) else "a function")
    options = (weight, *_options(name, builder))
    return Details(text, options, _asks(builder, name), references, dict(spec.checks))


def _of_networks(recipe: Recipe) -> tuple[Option, ...]:
    """Return the options of a recipe's networks; one that both have is the generator's."""
    both = [option for builder in recipe.networks for option in _options("model", builder)]
    first = {option.key: option for option in reversed(both)}
    own = recipe.defaults(USUAL)
    return tuple(replace(each, default=own.get(each.key, each.default)) for each in both if first[each.key] is each)


def sentence(path: Path | None) -> str:
    """Return the first sentence of a plugin's docstring, read from its file."""
    try:
        text = ast.get_docstring(ast.parse(path.read_text("utf-8"))) if path else None
    except (OSError, SyntaxError, ValueError):
        return "(its file cannot be read)"
    return (text or "").partition("\n")[0]


def option_names(entry: EntryPoint) -> list[str]:
    """Return the options of a plugin's builder, as far as its file tells."""
    path = source(entry.value)
    tree = _tree(path)
    builders = [
        *(
            each.args[0]
            for each in ast.walk(tree)
            if isinstance(each, ast.Call) and each.args and _called(each) == "LossSpec"
        ),
        *(each.value for each in ast.walk(tree) if isinstance(each, ast.Return)),
    ]
    names = [each.id for each in builders if isinstance(each, ast.Name)]
    return keywords(path, *names)


def keywords(path: Path | None, *names: str) -> list[str]:
    """Return the keyword-only parameters of functions, or of classes, in a file."""
    found = [
        node for node in _tree(path).body if isinstance(node, ast.FunctionDef | ast.ClassDef) and node.name in names
    ]
    inner = [each for node in found if isinstance(node, ast.ClassDef) for each in node.body]
    makers = [each for each in inner if isinstance(each, ast.FunctionDef) and each.name == "__init__"]
    functions = [*makers, *(node for node in found if isinstance(node, ast.FunctionDef))]
    return [argument.arg for function in functions for argument in function.args.kwonlyargs]


def type_name(kind: Any) -> str:
    """Return a type as a user reads it."""
    origin, inner = typing.get_origin(kind), typing.get_args(kind)
    if origin is typing.Literal:
        return " or ".join(map(str, inner))
    if origin in (typing.Union, types.UnionType):
        return " or ".join("none" if each is type(None) else type_name(each) for each in inner)
    if origin is typing.Annotated:
        limits = [
            f" {sign} {getattr(each, name)}" for each in inner[1:] for name, sign in LIMITS if hasattr(each, name)
        ]
        return type_name(inner[0]) + "".join(limits)
    if origin is tuple:
        return f"list of {type_name(inner[0])}"
    if Callable in (kind, origin):
        return "module:function"
    return getattr(kind, "__name__", str(kind))


def _unwrapped(text: str) -> str:
    """Return a docstring with a line for each paragraph, and code in single backticks."""
    return "\n\n".join(" ".join(paragraph.split()) for paragraph in text.replace("``", "`").split("\n\n"))


def _options(owner: str, builder: Callable[..., Any]) -> Iterator[Option]:
    for name, parameter in declared(builder).items():
        default = (
            parameter.default if isinstance(parameter.default, bool | int | float | None) else str(parameter.default)
        )
        yield Option(f"{owner}.{name}", type_name(parameter.annotation), default)


def _asks(builder: Callable[..., Any], name: str) -> tuple[str, ...]:
    from lossbench.hookspecs import Adversary
    from lossbench.views import needs

    options = resolve(builder, {}, name)
    try:
        built = builder(**options)
    except Exception as error:
        raise PluginError(f"{name} cannot be built: {type(error).__name__}: {error}.") from error
    sides = (built.generator, built.discriminator) if isinstance(built, Adversary) else (built,)
    return tuple(dict.fromkeys(asked for side in sides if side is not None for asked in needs(side)))


def _called(node: ast.Call) -> str:
    return node.func.id if isinstance(node.func, ast.Name) else getattr(node.func, "attr", "")


def _tree(path: Path | None) -> ast.Module:
    """Return a file's syntax; of one that has none, that of an empty file."""
    try:
        return ast.parse(path.read_text("utf-8")) if path else ast.Module([], [])
    except (OSError, SyntaxError, ValueError):
        return ast.Module([], [])
