"""Observers: built by name or given as objects, each behind a guard, so that what watches a run never ends it."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import metadata
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from lossbench.errors import LossbenchError, PluginError, printable
from lossbench.hookspecs import hookimpl
from lossbench.registry import HOOKS, Origin, Plugin, registered

if TYPE_CHECKING:
    from torch import Tensor

    from lossbench.prepare import Run


@dataclass(frozen=True)
class Observed:
    """An observer that is switched on: the word that names it, and every option it has."""

    word: str
    plugin: Plugin
    options: Mapping[str, Any]


def built(observed: Observed) -> Guard:
    """Build an observer from its options.

    Raises:
        PluginError: it cannot be built, needs a package that is missing, or has no hook.
    """
    origin = observed.plugin.origin
    try:
        return Guard(origin, observed.plugin.spec(**observed.options))
    except LossbenchError:
        raise
    except ModuleNotFoundError as error:
        raise PluginError(
            f"{origin.name} needs the package `{error.name}`. Install it: pip install '{_extra(origin) or error.name}'"
        ) from error
    except (Exception, SystemExit) as error:
        raise PluginError(f"{origin} cannot be built: {type(error).__name__}: {error}.") from error


def given(observer: object) -> Guard:
    """Guard an object that was given from Python.

    Raises:
        PluginError: it is a class, has no hook, or one that is misspelt.
    """
    if isinstance(observer, type):
        raise PluginError(f"{observer.__name__} is a class. Give an object of it: observers=[{observer.__name__}()].")
    name = observer.__name__ if isinstance(observer, ModuleType) else type(observer).__name__
    return Guard(Origin(name, "python"), observer)


class Guard:
    """Stands between a run and one observer: what that raises switches it off, and the run goes on.

    An observer sees copies of mappings. Tensors it shares with the run; one that changes them has harmed the run,
    which then ends.
    """

    def __init__(self, origin: Origin, observer: object) -> None:
        self.origin = origin
        self.manager = registered(observer, origin)
        hooks = {caller.name for caller in self.manager.get_hookcallers(observer) or ()}
        if not hooks - set(HOOKS.values()):
            raise PluginError(
                f"{origin} watches nothing. Give it any of lossbench_run_start, lossbench_component, lossbench_step "
                "and lossbench_run_end, marked with `@lossbench.hookimpl`."
            )
        self.facts: dict[str, Any] = {"observer": origin.name, "source": origin.source}
        self.facts |= {"distribution": origin.distribution, "version": origin.version, "status": "ok", "error": None}

    @hookimpl
    def lossbench_run_start(self, run: Run) -> None:
        """Pass it on."""
        self.call("lossbench_run_start", {"run": run})

    @hookimpl
    def lossbench_component(self, step: int, terms: Mapping[str, Tensor], images: Mapping[str, Tensor]) -> None:
        """Pass it on, and look whether everything is as it was."""
        tensors = {**terms, **images}
        versions = {name: tensor._version for name, tensor in tensors.items()}
        self.call("lossbench_component", {"step": step, "terms": dict(terms), "images": dict(images)})
        if changed := [name for name, tensor in tensors.items() if tensor._version != versions[name]]:
            self.facts |= {"status": "failed", "error": f"changed `{changed[0]}` in place at step {step}"}
            raise PluginError(
                f"{self.origin} changed `{changed[0]}` in place at step {step}. An observer may not change what it is "
                "shown: work on a copy, `.detach().clone()`."
            )

    @hookimpl
    def lossbench_step(self, step: int, values: Mapping[str, float], weights: Mapping[str, float]) -> None:
        """Pass it on."""
        self.call("lossbench_step", {"step": step, "values": dict(values), "weights": dict(weights)})

    @hookimpl
    def lossbench_run_end(self, run: Run, record: Mapping[str, Any]) -> None:
        """Pass it on."""
        self.call("lossbench_run_end", {"run": run, "record": record})

    def call(self, hook: str, shown: Mapping[str, Any]) -> None:
        """Call the observer, if it is still on and has this hook."""
        try:
            getattr(self.manager.hook, hook)(**shown)
        except (Exception, SystemExit) as error:
            self.switch_off(f"{hook} at step {shown['step']}" if "step" in shown else hook, error)

    def switch_off(self, where: str, error: BaseException) -> None:
        """Forget the observer, and say so once, in the record and in a line above the progress bar."""
        self.manager.unregister(name=self.origin.name)
        last = traceback.extract_tb(error.__traceback__)[-1]
        place = f"({Path(last.filename).name}, line {last.lineno})"
        reason = " ".join(f"{where}: {type(error).__name__}: {error} {place}".split())
        self.facts |= {"status": "failed", "error": reason}
        print(
            f"lossbench: observer {self.origin} is switched off, the run goes on: {printable(reason)}",
            file=sys.stderr,  # Rich puts it above a bar that is being drawn
        )


def _extra(origin: Origin) -> str:
    """Return ``lossbench[mlflow]`` where a distribution has an extra for its observer, otherwise nothing."""
    extras = metadata(origin.distribution).get_all("Provides-Extra", []) if origin.distribution else []
    return f"{origin.distribution}[{origin.name}]" if origin.name in extras else ""
