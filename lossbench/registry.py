"""Names -> entry points -> specs. A plugin is loaded only when it is asked for; every plugin error is raised here."""

from __future__ import annotations

import ast
import hashlib
import importlib.util
import sys
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from types import ModuleType
from typing import Any

import pluggy

from lossbench import hookspecs
from lossbench.errors import PluginError, UnknownPlugin, near_miss

HOOKS = {"losses": "lossbench_loss", "recipes": "lossbench_recipe", "observers": "lossbench_observer"}
FILE_MODULE = "lossbench_file_"  # what the module of an unpackaged plugin is called
SPECS: dict[str, Any] = {"losses": hookspecs.LossSpec, "recipes": hookspecs.Recipe, "observers": Callable}


@dataclass(frozen=True)
class Origin:
    """Where a plugin comes from."""

    name: str
    source: str  # a module, a file, or "python"
    distribution: str = ""
    version: str = ""
    sha256: str = ""  # of its file

    def __str__(self) -> str:
        """Return for example "tv of lossbench-tv 0.3" or "tv in ./tv.py"."""
        return (
            f"{self.name} of {self.distribution} {self.version}"
            if self.distribution
            else f"{self.name} in {self.source}"
        )


@dataclass(frozen=True)
class Plugin:
    """A loaded plugin: what its hook returned."""

    origin: Origin
    spec: Any


def hook_manager() -> pluggy.PluginManager:
    """Return an empty plugin manager that knows lossbench's hooks."""
    manager = pluggy.PluginManager("lossbench")
    manager.add_hookspecs(hookspecs)
    return manager


def listing(group: str) -> dict[str, list[EntryPoint]]:
    """Return the entry points of a group by name, without loading any. Two under one name are a clash."""
    found: dict[str, list[EntryPoint]] = {}
    for entry in sorted(entry_points(group=f"lossbench.{group}"), key=lambda entry: entry.name):
        same = found.setdefault(entry.name, [])
        if all(_package(entry) != _package(other) or entry.value != other.value for other in same):
            same.append(entry)
    return found


def load(group: str, word: str) -> Plugin:
    """Load the plugin that a word of the command line means: an entry point's name, or a Python file.

    Raises:
        PluginError: unknown, claimed twice, broken, or not a plugin of this group.
    """
    origin, module = _from_file(Path(word)) if is_file(word) else _from_entry_point(group, word)
    hook = getattr(registered(module, origin).hook, HOOKS[group])
    if not hook.get_hookimpls():
        raise PluginError(
            f"{origin} has no `{HOOKS[group]}`. Add a function of that name, marked with `@lossbench.hookimpl`."
        )
    try:
        (spec,) = hook() or [None]
    except Exception as error:
        raise PluginError(f"{origin}: {HOOKS[group]} failed with {type(error).__name__}: {error}.") from error
    if not isinstance(spec, SPECS[group]):
        raise PluginError(f"{origin}: {HOOKS[group]} returned {spec!r}; return a {SPECS[group].__name__}.")
    return Plugin(origin, spec)


def registered(plugin: object, origin: Origin) -> pluggy.PluginManager:
    """Return a plugin manager that knows lossbench's hooks and this plugin.

    Raises:
        PluginError: one of its hooks is none of lossbench's, or asks for what that does not give.
    """
    manager = hook_manager()
    try:
        manager.register(plugin, origin.name)
        manager.check_pending()
    except pluggy.PluginValidationError as error:
        raise PluginError(f"{origin}: {' '.join(str(error).split())}.") from error
    return manager


def is_file(word: str) -> bool:
    """Return whether a word means a Python file and not the name of an entry point."""
    return word.endswith(".py") or "/" in word


def sentence(entry: EntryPoint) -> str:
    """Return the first sentence of a plugin's docstring, read from its file: nothing of it is imported."""
    path = _file(entry.module)
    try:
        text = ast.get_docstring(ast.parse(path.read_text("utf-8"))) if path else None
    except (OSError, SyntaxError, ValueError):
        return "(its file cannot be read)"
    return (text or "").partition("\n")[0]


def _from_entry_point(group: str, word: str) -> tuple[Origin, Any]:
    known = listing(group)
    if word not in known:
        raise UnknownPlugin(
            f"No plugin `{word}` in lossbench.{group}.{near_miss(word, known)} Installed: {', '.join(known)}. "
            f"If it is a package, install it (pip install ...); if it is a file, write its path: ./{word}.py"
        )
    if len(known[word]) > 1:
        owners = " and ".join(" ".join(_package(entry)) for entry in known[word])
        raise PluginError(f"`{word}` is claimed by {owners}. Uninstall one of them: pip uninstall NAME.")
    entry = known[word][0]
    path = _file(entry.module)
    origin = Origin(word, entry.value, *_package(entry), _sha256(path) if path else "")
    try:
        return origin, entry.load()
    except (Exception, SystemExit) as error:
        raise PluginError(f"{origin} cannot be loaded: {type(error).__name__}: {error}.") from error


def _from_file(path: Path) -> tuple[Origin, ModuleType]:
    if not path.is_file():
        raise UnknownPlugin(
            f"No plugin file {path}. Write the path of a Python file, or the name of an installed plugin."
        )
    origin = Origin(path.stem, str(path.resolve()), sha256=_sha256(path))
    spec = importlib.util.spec_from_file_location(f"{FILE_MODULE}{path.stem}", path)
    if spec is None or spec.loader is None:  # only for names that Python cannot take for a module's
        raise PluginError(f"{path} cannot be loaded as a Python module.")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        raise PluginError(f"{origin} cannot be loaded: {type(error).__name__}: {error}.") from error
    return origin, module


def _package(entry: EntryPoint) -> tuple[str, str]:
    return (entry.dist.name, entry.dist.version) if entry.dist else ("unknown", "")


def _file(module: str) -> Path | None:
    """Return a module's file. Only its top-level package is looked up, so a parent's code does not run."""
    top, _, rest = module.partition(".")
    spec = importlib.util.find_spec(top)
    if spec is None or spec.origin is None:
        return None
    if not rest:
        return Path(spec.origin)
    base = Path(spec.origin).parent.joinpath(*rest.split("."))
    return next((path for path in (base.with_suffix(".py"), base / "__init__.py") if path.is_file()), None)


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
