"""Names -> entry points -> specs. A plugin is loaded only when it is asked for; every plugin error is raised here."""

from __future__ import annotations

import importlib.util
import inspect
import re
import sys
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from importlib.machinery import SourceFileLoader
from importlib.metadata import EntryPoint, distributions, entry_points, version
from pathlib import Path
from types import ModuleType
from typing import Any

import pluggy

from lossbench import hookspecs
from lossbench.errors import PluginError, UnknownPlugin, near_miss
from lossbench.files import sha256

HOOKS = {
    "losses": "lossbench_loss",
    "recipes": "lossbench_recipe",
    "metrics": "lossbench_metric",
    "observers": "lossbench_observer",
    "weights": "lossbench_weights",
}
FILE_MODULE = "lossbench_file_"  # what the module of an unpackaged plugin is called
SPECS: dict[str, Any] = {
    "losses": hookspecs.LossSpec,
    "recipes": hookspecs.Recipe,
    "metrics": hookspecs.MetricSpec,
    "observers": Callable,
    "weights": hookspecs.Weights,
}


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
            f"{self.name} of {self.distribution} {self.version}".rstrip()
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
    for entry in sorted(_entry_points(f"lossbench.{group}"), key=lambda entry: entry.name):
        same = found.setdefault(entry.name, [])
        if all(package(entry) != package(other) or entry.value != other.value for other in same):
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
        if hasattr(module, HOOKS[group]):
            raise PluginError(f"{origin}: `{HOOKS[group]}` is not marked. Write `@lossbench.hookimpl` above it.")
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
        known = [name for name in vars(hookspecs) if name.startswith("lossbench_")]
        word = re.match(r"unknown hook '(\w+)'", str(error))
        said = f"`{word[1]}` is no hook.{near_miss(word[1], known)} Hooks: {', '.join(known)}." if word else str(error)
        if asked := re.search(r"for hook '(\w+)'", str(error)):
            there = inspect.signature(getattr(hookspecs, asked[1])).parameters
            said += f". It may ask for: {', '.join(there) or 'nothing'}."
        raise PluginError(f"{origin}: {' '.join(said.split())}") from error
    return manager


def is_file(word: str) -> bool:
    """Return whether a word means a Python file and not the name of an entry point."""
    return word.endswith(".py") or "/" in word


def _from_entry_point(group: str, word: str) -> tuple[Origin, Any]:
    known = listing(group)
    if word not in known:
        raise UnknownPlugin(
            f"No plugin `{word}` in lossbench.{group}.{near_miss(word, known)} Installed: {', '.join(known)}. "
            f"If it is a package, install it (pip install ...); if it is a file, write its path: ./{word}.py"
        )
    if len(known[word]) > 1:
        owners = " and ".join(" ".join(package(entry)) for entry in known[word])
        raise PluginError(f"`{word}` is claimed by {owners}. Uninstall one of them: pip uninstall NAME.")
    entry = known[word][0]
    path = source(entry.value)
    origin = Origin(word, entry.value, *package(entry), sha256(path) if path else "")
    here = version("lossbench")
    if wanted := misfit(entry.dist.requires or () if entry.dist else (), here):
        raise PluginError(f"{origin} is made for {wanted}; this is {here}. {_fitting(origin)}")
    try:
        return origin, entry.load()
    except (Exception, SystemExit) as error:
        raise _unloadable(origin, error) from error


def misfit(requires: Iterable[str], here: str) -> str:
    """Return what a distribution asks of lossbench, such as ``lossbench>=99``, where this version is none of it."""
    from packaging.requirements import Requirement  # not before a plugin is loaded

    for line in requires:
        try:
            wanted = Requirement(line)
            counts = wanted.name.lower() == "lossbench" and (not wanted.marker or wanted.marker.evaluate({"extra": ""}))
        except ValueError:  # not written as it should be, which is for pip to say
            continue
        if counts and not wanted.specifier.contains(here, prereleases=True):
            return f"lossbench{wanted.specifier}"
    return ""


def _fitting(origin: Origin) -> str:
    return f"Install two that fit each other: pip install -U lossbench {origin.distribution}"


def _unloadable(origin: Origin, error: BaseException) -> PluginError:
    said = f"{origin} cannot be loaded: {type(error).__name__}: {error}."
    if isinstance(error, ImportError) and (error.name or "").partition(".")[0] == "lossbench":
        advice = _fitting(origin) if origin.distribution else "Ask for what it has."
        return PluginError(f"{said} This is lossbench {version('lossbench')}. {advice}")
    if origin.distribution:
        said += f" Install it anew, with all it needs: pip install -U {origin.distribution}"
    return PluginError(said)


class Fresh(SourceFileLoader):
    """Loads a file as it is now: Python would take what it compiled before, of one edited within a second."""

    def path_stats(self, path: str) -> Mapping[str, Any]:
        """Say that nothing is known of compiled files."""
        raise OSError


def _from_file(path: Path) -> tuple[Origin, ModuleType]:
    if not path.is_file():
        beside = {each.name: str(each) for each in path.parent.glob("*.py")}
        close = near_miss(path.name, beside) or near_miss(f"{path.name}.py", beside)
        raise UnknownPlugin(
            f"No plugin file {path}.{close} Write the path of a Python file, as seen from {Path.cwd()}, or the name of "
            "an installed plugin."
        )
    origin = Origin(path.stem, str(path.resolve()), sha256=sha256(path))
    name = f"{FILE_MODULE}{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path, loader=Fresh(name, str(path)))
    if spec is None or spec.loader is None:  # only for names that Python cannot take for a module's
        raise PluginError(f"{path} cannot be loaded as a Python module.")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        raise _unloadable(origin, error) from error
    return origin, module


def package(entry: EntryPoint) -> tuple[str, str]:
    """Return distribution and version of an entry point."""
    return (entry.dist.name or "unknown", entry.dist.version or "") if entry.dist else ("unknown", "")


def _entry_points(group: str) -> Iterable[EntryPoint]:
    """Return a group's entry points, without those of distributions whose list cannot be read."""
    try:
        return entry_points(group=group)
    except Exception:  # one malformed line, in anybody's package, fails for all
        found: list[EntryPoint] = []
        for distribution in distributions():
            with suppress(Exception):
                found += distribution.entry_points.select(group=group)
        return found


def source(value: str) -> Path | None:
    """Return an entry point's file. Only its top-level package is looked up, so a parent's code does not run."""
    top, _, rest = value.partition(":")[0].strip().partition(".")
    try:
        spec = importlib.util.find_spec(top)
    except ValueError:  # no name of a module
        return None
    if spec is None or spec.origin is None:
        return None
    if not rest:
        return Path(spec.origin)
    base = Path(spec.origin).parent.joinpath(*rest.split("."))
    return next((path for path in (base.with_suffix(".py"), base / "__init__.py") if path.is_file()), None)
