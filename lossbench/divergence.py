"""A step that diverged, kept whole in one file, and run again."""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from lossbench.checkpoint import read_state, write_state
from lossbench.config import unobserved
from lossbench.data import Dataset, to_tensor, to_uint8
from lossbench.errors import Diverged, PluginError, RunError
from lossbench.hookspecs import Term, Weight
from lossbench.prepare import Run, prepare


@dataclass(frozen=True)
class Replay:
    """What a step gave when it was run again."""

    step: int
    recorded: str  # what the run said
    parts: tuple[tuple[str, float, float], ...]  # label, value, norm of its gradient alone
    again: Diverged | None
    operation: str | None  # the first whose backward gave NaN


@dataclass(frozen=True)
class Images:
    """The source of the images of one step."""

    batch: Mapping[str, Tensor]  # uint8 [B, 3, H, W]

    def defaults(self, size: int | None) -> dict[str, Any]:
        """Return a size, which the bundle's settings overrule as all else."""
        return {"data.size": size}

    def dataset(self, size: int, load_size: int) -> Dataset:
        """Return the batch as all there is."""
        names = {domain: [str(n) for n in range(len(images))] for domain, images in self.batch.items()}
        return Dataset("bundle", self.batch, self.batch, names, paired_test=False)


def write_bundle(run: Run, error: Diverged) -> Path:
    """Write what is needed to run the step of a divergence again: settings, state and images."""
    batch = {domain: to_uint8(images) for domain, images in run.trainer.batches[error.step - 1].items()}
    bundle = {"message": str(error), "config": json.dumps(run.record["config"]), "batch": batch}
    bundle["functions"] = sorted({b.origin.name for b in run.objective.terms if b.origin.source == "python"})
    path = run.directory / f"bundle-{error.step:06}.pt"
    return write_state(path, {**bundle, "diverged": error.step, "state": run.trainer.state()})


def replay(
    path: str | Path,
    plugins: str | Sequence[str] | None = None,
    losses: Mapping[str, Term | tuple[Term, Weight]] | None = None,
) -> Replay:
    """Run the step of a bundle again. Its plugins must be installed; ``plugins`` and ``losses`` name others for them.

    Raises:
        LossbenchError: not a bundle, or its plugins are not to be had.
    """
    path = Path(path)
    saved = read_state(path)
    try:
        batch, config, step = dict(saved["batch"]), json.loads(saved["config"]), int(saved["diverged"])
        message, functions = str(saved["message"]), set(saved["functions"])
        if missing := sorted(functions - set(losses or ())):
            raise RunError(
                f"{path}: {', '.join(missing)} was a Python function, which no bundle holds. Give it from Python: "
                f'lossbench.divergence.replay("{path}", losses={{"{missing[0]}": ...}})'
            )
        run = prepare(plugins, losses=losses, config=unobserved(config), source=Images(batch))
        run.trainer.load(saved["state"])
    except (KeyError, TypeError, ValueError, RuntimeError, AttributeError) as error:
        raise RunError(f"{path} is not a bundle that fits these plugins: {str(error).splitlines()[-1]}") from None
    run.trainer.batches = {step - 1: {domain: to_tensor(images) for domain, images in batch.items()}}
    parts = tuple(run.trainer.alone(step))
    try:
        run.trainer.step(step)
    except Diverged as error:
        return Replay(step, message, parts, error, _operation(run, step, error.term))
    return Replay(step, message, parts, None, None)


def _operation(run: Run, step: int, label: str) -> str | None:
    """Return the first operation whose backward gives NaN, as autograd names it."""
    active = [b for b in run.objective.terms if label == b.label or label.startswith(f"{b.label}/")]
    try:
        with warnings.catch_warnings(), torch.autograd.set_detect_anomaly(True):
            warnings.simplefilter("ignore")
            run.trainer.gradients(step, active, only=label)
    except (RuntimeError, PluginError) as error:
        return str(error.__cause__ or error).partition("'")[2].partition("'")[0] or None
    return None
