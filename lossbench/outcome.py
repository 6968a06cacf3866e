"""What a run leaves behind: the facts of its record, its samples, its closing table."""

from __future__ import annotations

import hashlib
import json
import shlex
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from lossbench.config import unobserved
from lossbench.data import Dataset, resized
from lossbench.hookspecs import Recipe
from lossbench.metrics import Metric, measure, unavailable
from lossbench.networks import Networks
from lossbench.pictures import sample_grid
from lossbench.record import SCHEMA, environment
from lossbench.registry import load
from lossbench.translation import apply

if TYPE_CHECKING:
    from lossbench.prepare import Run, Settled

SAMPLES = 8
SERVICES = ("once", "features")


def opening(run: Run) -> dict[str, Any]:
    """Return what is known before the first step: settings, objective, images, networks, machine."""
    config, data = run.config, run.dataset
    dotted = config.dotted()
    return {
        "schema": SCHEMA,
        "run_id": identity(run, dotted),
        "status": "failed",
        "error": "It did not end: it was killed, or is still running.",
        "command": shlex.join([Path(sys.argv[0]).name.replace("__main__.py", "lossbench"), *sys.argv[1:]]),
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


def identity(run: Run | Settled, dotted: Mapping[str, Any]) -> str:
    """Return a hash of what decides the result: settings and images, not where they lie or what computes."""
    paths = {key for key, value in run.config.everything().items() if isinstance(value, Path)}
    aside = {"data.dir", "train.device", "train.every", "train.keep", *paths}
    decides = {key: value for key, value in unobserved(dotted).items() if key not in aside}
    terms = [{key: term[key] for key in term if key not in ("options", "source")} for term in run.objective.describe()]
    recipe = load("recipes", run.config.recipe_name).origin.sha256
    content = json.dumps([decides, terms, recipe, run.dataset.fingerprint], sort_keys=True)
    return hashlib.sha256(content.encode()).hexdigest()[:16]


def closing(run: Run) -> dict[str, Any]:
    """Measure a run's translations of all its test images."""
    judge = Closing(run.networks, run.config.recipe, run.dataset, run.config.train.seed, run.trainer.device)
    return judge(run.config.metrics)


@dataclass(frozen=True)
class Closing:
    """The closing table: each direction's translations, and what they are to be seen beside.

    The copy is the input, as if it were the translation. The floor is what two sets of real images are apart: as many
    training images of the target domain as there are translations, against its test images.
    """

    networks: Networks
    recipe: Recipe
    data: Dataset
    seed: int
    device: torch.device

    def __call__(self, metrics: Sequence[Metric]) -> dict[str, Any]:
        """Return direction -> translation, copy, floor -> metric -> value."""
        without = unavailable(metrics)
        return {direction: self._measured(direction, metrics, without) for direction in self.recipe.directions}

    def _measured(self, direction: str, metrics: Sequence[Metric], without: Mapping[str, str]) -> dict[str, Any]:
        source, target = direction.split("2")
        real, others = self.data.test[source], self.data.test.get(target)
        given: dict[str, Any] = {"real": real}
        if others is not None:
            given |= {"target": others} | ({"truth": others} if self.data.paired_test else {})
        made: dict[str, Any] = {"translate": partial(self.translate, direction)}
        if (back := f"{target}2{source}") in self.networks.G:
            made["translate_back"] = partial(self.translate, back)
        told: dict[str, Any] = {"groups": self._groups(source), "device": self.device, "without": without}
        no_model = dict.fromkeys(("translate", "translate_back"), "the input itself is no model's")
        found = {
            "translation": measure(metrics, given | made, **told),
            "copy": measure(metrics, given | {"fake": real}, lacking=no_model, **told),
        }
        sets = [each for each in metrics if {"fake", "target"} <= set(each.asks) <= {"fake", "target", *SERVICES}]
        if sets and others is not None:
            some = resized(list(self.data.train[target][: len(real)].permute(0, 2, 3, 1).numpy()), real.shape[-1])
            found["floor"] = measure(sets, {"fake": some, "target": others}, **told)
        return found

    def translate(self, direction: str, images: Tensor) -> Tensor:
        """Translate uint8 [N, 3, H, W]."""
        return apply(self.networks.G[direction], images, noise=self.recipe.noise_at_test, seed=self.seed)

    def _groups(self, source: str) -> dict[str, list[int]]:
        """Return the places of the test images of each group."""
        places = {Path(name).stem: place for place, name in enumerate(self.data.test_names[source])}
        stems = {group: [Path(name).stem for name in names] for group, names in self.data.groups.items()}
        return {group: [places[stem] for stem in some if stem in places] for group, some in stems.items()}


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
