"""What a run leaves behind: the facts of its record, its samples, its closing table."""

from __future__ import annotations

import hashlib
import json
import shlex
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from lossbench.config import unobserved
from lossbench.metrics import judge
from lossbench.pictures import sample_grid
from lossbench.record import SCHEMA, environment
from lossbench.translation import apply

if TYPE_CHECKING:
    from lossbench.prepare import Run

SAMPLES = 8


def opening(run: Run) -> dict[str, Any]:
    """Return what is known before the first step: settings, objective, images, networks, machine."""
    config, data = run.config, run.dataset
    dotted = config.dotted()
    return {
        "schema": SCHEMA,
        "run_id": _identity(run, dotted),
        "status": "failed",
        "error": "It did not end: it was killed, or is still running.",
        "command": shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]]),
        "objective": run.objective.describe(),
        "config": dotted,
        "dataset": {
            "name": data.name,
            "fingerprint": data.fingerprint,
            "n": {
                f"{side}{domain}": len(images[domain])
                for side, images in (("train", data.train), ("test", data.test))
                for domain in images
            },
            "size": config.data.size,
            "paired_test": data.paired_test,
            "skipped": dict(data.skipped),
        },
        "parameters": {
            name: sum(p.numel() for p in network.parameters()) for name, network in run.networks.named().items()
        },
        "environment": environment(str(run.trainer.device), torch.get_num_threads()),
    }


def _identity(run: Run, dotted: Mapping[str, Any]) -> str:
    """Return a hash of what decides the result: settings and images, not where they lie or what computes."""
    paths = {key for key, value in run.config.everything().items() if isinstance(value, Path)}
    aside = {"data.dir", "train.device", "train.every", "train.keep", *paths}
    decides = {key: value for key, value in unobserved(dotted).items() if key not in aside}
    terms = [{key: term[key] for key in term if key not in ("options", "source")} for term in run.objective.describe()]
    content = json.dumps([decides, terms, run.dataset.fingerprint], sort_keys=True)
    return hashlib.sha256(content.encode()).hexdigest()[:16]


def closing(run: Run) -> dict[str, Any]:
    """Judge every direction on all test images, and beside it the input itself, as if it were the translation."""
    metrics: dict[str, Any] = {}
    for direction in run.config.recipe.directions:
        source, target = direction.split("2")
        real = run.dataset.test[source]
        truth = run.dataset.test.get(target) if run.dataset.paired_test else None
        fake = _translate(run, direction, real)
        metrics[direction] = {
            "translation": judge(fake, real=real, truth=truth),
            "copy": judge(real, real=real, truth=truth),
        }
    return metrics


def samples(run: Run, step: int) -> None:
    """Write a grid for each direction: the same test images each time."""
    for direction in run.config.recipe.directions:
        source, target = direction.split("2")
        images = run.dataset.test[source]
        chosen = torch.linspace(0, len(images) - 1, min(SAMPLES, len(images))).round().long()
        real = images[chosen]
        rows = {"input": real, "translation": _translate(run, direction, real)}
        if f"{target}2{source}" in run.networks.G:
            rows["round trip"] = _translate(run, f"{target}2{source}", rows["translation"])
        if run.dataset.paired_test and target in run.dataset.test:
            rows["truth"] = run.dataset.test[target][chosen]
        folder = run.directory / "samples"
        folder.mkdir(exist_ok=True)
        sample_grid(folder / f"{direction}_{step:06}.png", rows)


def _translate(run: Run, direction: str, images: Tensor) -> Tensor:
    return apply(run.networks.G[direction], images, noise=run.config.recipe.noise_at_test, seed=run.config.train.seed)
