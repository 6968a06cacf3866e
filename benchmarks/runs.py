"""The runs on the built-in images that the docs show, each kept as what its pictures are drawn from.

    python benchmarks/runs.py                     # all, half an hour on one core
    python benchmarks/runs.py healthy cut         # some

Writes ``benchmarks/results/run-NAME.json``: what was run, where, and under ``shown`` the data of each picture, which
``python benchmarks/tables.py`` draws.
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lossbench_plugins.observers.heatmaps import pushes
from portraits import RESULTS, packed, packed_push  # type: ignore[import-not-found]  # the script's own folder
from torch import Tensor

import lossbench
from lossbench import hookimpl
from lossbench.data import to_uint8
from lossbench.files import write_json
from lossbench.record import read_log
from lossbench.report.evidence import grids

KEPT = ("run_id", "config", "objective", "speed", "environment")


@dataclass(frozen=True)
class Shown:
    """A run and what is drawn of it: ``losses``, ``samples``, ``gradients``, and where losses push, by step."""

    plugins: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    recipe: str = "cyclegan"
    drawn: tuple[str, ...] = ("losses", "samples")
    pushes: Mapping[str, tuple[str, ...]] = field(default_factory=dict)  # picture -> its losses
    at: tuple[int, ...] = ()
    images: int = 1  # of the batch


def gallery(plugins: str, *names: str, recipe: str = "cyclegan") -> Shown:
    """Return a run of which each named loss has a picture."""
    return Shown(plugins, {"train.steps": 300}, recipe, (), {f"push-{name}": (name,) for name in names}, (280, 300))


EVERY = "cycle,idt,tv,circularity"
RUNS = {
    "healthy": Shown("cycle,idt,circularity"),
    "no-gan": Shown("cycle,idt", {"gan.weight": 0}),
    "gan-only": Shown("gan"),
    "fast": Shown("cycle,idt", {"train.lr": 0.02}),
    "heavy-cycle": Shown("cycle,idt", {"cycle.weight": 100}, drawn=("losses",)),
    "heavy-tv": Shown("cycle,idt,tv", {"tv.weight": 50}),
    "observed": Shown(
        EVERY, drawn=("gradients",), pushes={"heatmap": ("gan", "cycle", "tv", "circularity")}, at=(125,)
    ),
    "built-in": gallery(EVERY, "gan", "cycle", "idt", "tv", "circularity"),
    "looks": gallery("cycle,idt,edges,colour,content", "edges", "colour", "content"),
    "style": gallery("cycle,idt,style", "style"),
    "pix2pix": gallery("l1,ssim,lpips", "l1", "ssim", "lpips", recipe="pix2pix"),
    "cut": gallery("patchnce", "patchnce", recipe="cut"),
}


class Collect:
    """Keeps, of some steps, what is translated and each loss's push at it; of idt alone, at the identity."""

    def __init__(self, shown: Shown) -> None:
        self.shown = shown
        self.images: dict[str, list[Tensor]] = {picture: [] for picture in shown.pushes}
        self.found: dict[str, dict[str, list[Tensor]]] = {
            picture: {name: [] for name in names} for picture, names in shown.pushes.items()
        }

    @hookimpl
    def lossbench_component(self, step: int, terms: Mapping[str, Tensor], images: Mapping[str, Tensor]) -> None:
        """Keep an image and the push of all parts of a loss at it."""
        for image, some in pushes(terms, images).items() if step in self.shown.at else ():
            for picture, found in self.found.items():
                if image == whose(tuple(found)):
                    self.images[picture].append(images[image].detach()[: self.shown.images])
                    for name, kept in found.items():
                        parts = [each for label, each in some.items() if label.split("/")[:2] == ["A2B", name]]
                        kept.append(torch.stack(parts).sum(0)[: self.shown.images])

    def pictures(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """Yield the data of each picture."""
        for picture, found in self.found.items():
            pixels = to_uint8(torch.cat(self.images[picture])).permute(0, 2, 3, 1).numpy()
            kept = {name: packed_push(torch.cat(some)) for name, some in found.items()}
            yield picture, {"kind": "pushes", "name": whose(tuple(found)), "image": packed(pixels), "pushes": kept}


def whose(names: tuple[str, ...]) -> str:
    """Return the image that losses are drawn at."""
    return "A2B/idt" if names == ("idt",) else "A2B/fake"


def main() -> None:
    """Train and keep."""
    for name in sys.argv[1:] or RUNS:
        write_json(RESULTS / f"run-{name}.json", kept(name, RUNS[name]))


def kept(name: str, shown: Shown) -> dict[str, Any]:
    """Train a run; return what of it is kept."""
    collect = Collect(shown)
    watching = [collect, *(["gradients"] if "gradients" in shown.drawn else [])]
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / name
        settings = {"train.keep": 0, **shown.settings}
        run = lossbench.train(shown.plugins, recipe=shown.recipe, settings=settings, out=folder, observers=watching)
        pictures = dict([*pictured(name, shown, folder), *collect.pictures()])
    return {"schema": 1, "what": "run", **{key: run.record[key] for key in KEPT}, "shown": pictures}


def pictured(name: str, shown: Shown, folder: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the data of what is drawn of a run's own files."""
    if "losses" in shown.drawn:
        log = read_log(folder / "metrics.jsonl")
        labels = list(dict.fromkeys(label for line in log for label in line["weighted"]))
        terms = {label: [float(f"{line['weighted'][label]:.4g}") for line in log] for label in labels}
        yield f"{name}-losses", {"kind": "losses", "steps": [line["step"] for line in log], "terms": terms}
    if "samples" in shown.drawn:
        rows = dict(grids(folder))["A2B"]
        strips = {row: packed(np.stack([np.asarray(image) for image in images])) for row, images in rows.items()}
        yield f"{name}-samples", {"kind": "samples", "rows": strips}
    if "gradients" in shown.drawn:
        lines = [json.loads(line) for line in (folder / "gradients.jsonl").read_text("utf-8").splitlines()]
        yield "gradients", {"kind": "gradients", "what": "norms", "lines": lines}
        yield "cosines", {"kind": "gradients", "what": "cosines", "lines": lines}


if __name__ == "__main__":
    main()
