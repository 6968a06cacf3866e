"""From images to measured values: each metric asks for what it needs by name, as losses do, and gets it computed once.

What cannot be measured is `unavailable` and says why; it is never left out, and never takes a run with it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lossbench.errors import LossbenchError, OptionError, PluginError, near_miss
from lossbench.metrics.features import Features
from lossbench.registry import Plugin, load
from lossbench.views import Once, Table, Views, closure, needs
from lossbench.weights import pinned, pull

Images = Sequence[Tensor]  # uint8 [3, H, W] each; a tensor [N, 3, H, W] where all are of one size

MADE: Table = {
    "fake": lambda translate, real: translate(real),
    "rec": lambda translate_back, fake: translate_back(fake),
    "idt": lambda translate, target: translate(target),
}
MEANING = {
    "real": "the source images",
    "fake": "their translations",
    "truth": "what each translation should be",
    "target": "real images of the target domain; as a set, none belongs to a translation",
    "rec": "the round trip of each source",
    "idt": "what the generator makes of `target`, which should stay as it is",
    "once": "once(f, images, *args): f at most once for these images over all metrics",
    "features": "features(space, images): what a pretrained network sees, [N, d], remembered on disk",
}
LACKING = {  # the first of what is missing is said
    "translate_back": "there is no generator back",
    "translate": "there is no generator to translate with",
    "real": "the source images are not known",
    "truth": "there is no truth to compare with",
    "target": "there are no images of the target domain",
    "fake": "there is no translation",
}


class Shared(Once):
    """Calls ``f(images, *args)`` at most once for all metrics."""

    def __call__(self, f: Callable[..., Any], images: Any, *args: Any) -> Any:
        """Return f(images, *args), computed or remembered."""
        key = (f, id(images), args)
        if key not in self.results:
            self.results[key] = (images, f(images, *args))
        return self.results[key][1]


@dataclass(frozen=True)
class Metric:
    """A metric that is asked for, over all images or, as ``shape_error@faces``, over a group of them."""

    word: str
    plugin: Plugin
    group: str = ""

    @property
    def name(self) -> str:
        """Return what its values are called."""
        return self.plugin.origin.name + (f"@{self.group}" if self.group else "")

    @property
    def asks(self) -> tuple[str, ...]:
        """Return what it needs, by name."""
        return needs(self.plugin.spec.measure)

    @property
    def against(self) -> str | None:
        """Return what it compares translations with: ``truth``, ``target``, ``real``, or nothing."""
        return next((name for name in ("truth", "target", "real") if name in self.asks), None)

    def facts(self) -> dict[str, Any]:
        """Return what a value of it means."""
        spec, origin = self.plugin.spec, self.plugin.origin
        return {
            "unit": spec.unit, "better": spec.better, "shown": spec.shown, "protocol": spec.protocol,
            "weights": {name: pinned(name) for name in spec.weights}, "distribution": origin.distribution,
            "version": origin.version, "sha256": origin.sha256,
        }  # fmt: skip


def metric(word: str) -> Metric:
    """Return the metric that a word means: ``kid``, ``./mine.py``, ``shape_error@faces``.

    Raises:
        PluginError: there is none, or it asks for what no metric is given.
    """
    name, _, group = word.partition("@")
    found = Metric(word, load("metrics", name), group)
    if strange := [each for each in found.asks if each not in MEANING]:
        close, known = near_miss(strange[0], MEANING), ", ".join(MEANING)
        raise PluginError(f"{found.plugin.origin} asks for `{strange[0]}`.{close} Metrics may ask for: {known}.")
    return found


def chosen(words: Iterable[str]) -> tuple[Metric, ...]:
    """Return metrics in order, each once."""
    metrics = [metric(word) for word in dict.fromkeys(words)]
    names = [each.name for each in metrics]
    if twice := [name for name in names if names.count(name) > 1]:
        raise OptionError(f"Metric `{twice[0]}` is asked for twice, by name or as a file. Name each once.")
    return tuple(metrics)


def unavailable(metrics: Iterable[Metric]) -> dict[str, str]:
    """Fetch the weights that metrics need; return which metrics cannot be had, and why."""
    found: dict[str, str] = {}
    for each in metrics:
        try:
            for word in each.plugin.spec.weights:
                pull(word)
        except LossbenchError as error:
            found[each.name] = " ".join(str(error).split())
    return found


def require(names: Iterable[str], reasons: Mapping[str, str]) -> None:
    """Refuse to go on without these metrics.

    Raises:
        OptionError: naming the first that cannot be had, and why.
    """
    for name in names:
        if name in reasons:
            raise OptionError(f"--require {name}: unavailable, {reasons[name]}")


def measure(
    metrics: Iterable[Metric],
    given: Mapping[str, Any],
    *,
    lacking: Mapping[str, str] | None = None,
    without: Mapping[str, str] | None = None,
    groups: Mapping[str, Sequence[int]] | None = None,
    device: str | torch.device = "cpu",
) -> dict[str, dict[str, Any]]:
    """Measure translations.

    ``given``: images by name (``real``, ``fake``, ``truth``, ``target``) and generators as functions of images,
    ``translate`` and ``translate_back``; ``lacking``: why another name is not among them; ``without``: metrics that
    cannot be had, and why; ``groups``: places of some of the translations, by name. Returns metric -> ``value`` and
    ``n``, of two sets ``n_target`` too, ``reason`` where there is no value, and what it means: unit, better, protocol,
    weights.
    """
    shared = Shared()
    views = Views(MADE, {**given, "features": Features(device)}, shared, lambda name: nullcontext())
    reasons = LACKING | dict(lacking or {})
    known: dict[str, Any] = {}
    found = {}
    for each in metrics:
        name = each.plugin.origin.name
        if name not in known:
            known[name] = (without or {}).get(each.name) or _measured(each, views, reasons)
        found[each.name] = each.facts() | _summed(each, known[name], given, groups or {})
        if each.name in (without or {}):
            found[each.name]["weights"] = {}  # so that it is known to be worth another try
    return found


def _measured(metric: Metric, views: Views, reasons: Mapping[str, str]) -> Any:
    """Return what a metric measures, or as text why it cannot."""
    made = {name: how for name, how in MADE.items() if name not in views.known}
    missing = closure(metric.asks, made) - {*made, *views.known}
    if missing:
        return next(reason for name, reason in reasons.items() if name in missing)
    try:
        with torch.no_grad():
            return metric.plugin.spec.measure(**{name: views[name] for name in metric.asks})
    except LossbenchError as error:
        return " ".join(str(error).split())
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        return f"it needs the package `{package}`: pip install {package}"
    except Exception as error:  # somebody's metric must not take a trained run with it
        return f"it failed: {type(error).__name__}: {' '.join(str(error).split())}"


def _summed(
    metric: Metric, values: Any, given: Mapping[str, Any], groups: Mapping[str, Sequence[int]]
) -> dict[str, Any]:
    """Return value and n, of two sets also the other's, or why there is none."""
    each = values if isinstance(values, str) else np.asarray(values, np.float64)
    if metric.group and not isinstance(each, str):
        each = _grouped(each, metric.group, groups)
    if isinstance(each, str):
        return {"value": None, "n": 0, "reason": each}
    there = each[~np.isnan(each)]
    if not there.size or not np.isfinite(there).all():
        reason = "it is infinite" if there.size else "there is no image in which anything can be measured"
        return {"value": None, "n": 0, "reason": reason}
    other = {"n_target": len(given["target"])} if "target" in metric.asks and not each.ndim else {}
    n = there.size if each.ndim else len(given["fake" if "fake" in given else "real"])
    return {"value": float(there.mean()), "n": n} | other


def _grouped(each: NDArray[np.float64], group: str, groups: Mapping[str, Sequence[int]]) -> NDArray[np.float64] | str:
    """Return the values of a group of images, or why there are none."""
    if not each.ndim:
        return "it is a number of all images together, and none of a group's"
    if group not in groups:
        there = ", ".join(groups) or "none"
        return f"there is no group `{group}` of test images, which a file test_{group}.txt would name; groups: {there}"
    some: NDArray[np.float64] = each[list(groups[group])]
    return some
