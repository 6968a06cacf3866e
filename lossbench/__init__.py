"""lossbench: does this loss help, by how much, at what cost, and is that more than luck?"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from lossbench.errors import DataError, Diverged, LossbenchError, OptionError, PluginError, RunError
from lossbench.hookspecs import Adversary, Download, LossSpec, MetricSpec, Recipe, Term, Weight, Weights, hookimpl

if TYPE_CHECKING:
    from lossbench.data import read_image
    from lossbench.evaluation import evaluate
    from lossbench.objective import load_loss
    from lossbench.prepare import Run
    from lossbench.run import train
    from lossbench.translation import translate
    from lossbench.weights import pretrained

__all__ = [
    "Adversary",
    "DataError",
    "Diverged",
    "Download",
    "LossSpec",
    "LossbenchError",
    "MetricSpec",
    "OptionError",
    "PluginError",
    "Recipe",
    "Run",
    "RunError",
    "Term",
    "Weight",
    "Weights",
    "evaluate",
    "hookimpl",
    "load_loss",
    "pretrained",
    "read_image",
    "train",
    "translate",
]


def __getattr__(name: str) -> Any:
    """Import what needs torch only when it is asked for."""
    homes = {
        "load_loss": "objective",
        "pretrained": "weights",
        "read_image": "data",
        "Run": "prepare",
        "train": "run",
        "evaluate": "evaluation",
        "translate": "translation",
    }
    if name in homes:
        return getattr(import_module(f"lossbench.{homes[name]}"), name)
    raise AttributeError(f"module 'lossbench' has no attribute {name!r}")
