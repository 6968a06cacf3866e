"""Gradients: how hard each loss pulls at a translation, and whether two losses pull against each other."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from itertools import takewhile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from matplotlib.figure import Figure
from pydantic import PositiveInt

from lossbench import hookimpl

from ._pushes import pushes

if TYPE_CHECKING:
    from torch import Tensor

    from lossbench import Run

Line = dict[str, Any]


class Gradients:
    """At every ``every``-th step, the gradient of each weighted term at each image that it acts on.

    ``gradients.jsonl`` has a line for each image (``A2B/fake``, the translation; ``A2B/rec``, the round trip;
    ``A2B/idt``, the identity): ``norm``, in L2 over the batch; ``share`` of the sum of the norms; ``cosine`` between
    each two terms, -1 against each other, 0 independent, 1 the same way. At the end ``gradients.png`` draws norms over
    steps, and ``cosines.png`` the mean cosines as matrices (as in Yu et al., 2020, for tasks). Both show images that
    two terms or more act on. A step that is looked at costs one more backward for each term; one that diverges leaves
    no lines.
    """

    def __init__(self, *, every: PositiveInt = 25) -> None:
        self.every = every
        self.path = Path()
        self.lines: list[Line] = []  # of a step that is not done yet

    @hookimpl
    def lossbench_run_start(self, run: Run) -> None:
        """Cut the lines back to the step that the run goes on from."""
        self.path = run.directory / "gradients.jsonl"
        lines = self.path.read_bytes().splitlines(keepends=True) if self.path.exists() else []
        self.path.touch()
        os.truncate(self.path, sum(map(len, takewhile(lambda line: _step(line) <= run.trainer.done, lines))))

    @hookimpl
    def lossbench_component(self, step: int, terms: Mapping[str, Tensor], images: Mapping[str, Tensor]) -> None:
        """Measure each image that the terms act on."""
        if step % self.every == 0 or step == 1:
            found = pushes(terms, images).items()
            self.lines += [{"step": step, "image": name, **_measured(some)} for name, some in found]

    @hookimpl
    def lossbench_step(self) -> None:
        """Write a line for each image."""
        if self.lines:
            with self.path.open("a", encoding="utf-8", newline="\n") as file:
                file.writelines(json.dumps(line) + "\n" for line in self.lines)
            self.lines = []

    @hookimpl
    def lossbench_run_end(self, run: Run) -> None:
        """Draw what was written."""
        lines = [json.loads(line) for line in self.path.read_text("utf-8").splitlines()]
        if shown := by_image(lines):
            draw_norms(shown).savefig(run.directory / "gradients.png", metadata={"Software": None})
            draw_cosines(shown).savefig(run.directory / "cosines.png", metadata={"Software": None})


def by_image(lines: Sequence[Line]) -> dict[str, list[Line]]:
    """Return the lines of each image that two terms or more act on."""
    found = {name: [line for line in lines if line["image"] == name] for name in {line["image"]: 0 for line in lines}}
    return {name: some for name, some in found.items() if any(len(line["norm"]) > 1 for line in some)}


def draw_norms(shown: Mapping[str, Sequence[Line]]) -> Figure:
    """Draw norms over steps, a panel for each image."""
    figure = Figure(figsize=(4.6 * len(shown), 3.4), dpi=110, layout="constrained")
    for axis, (name, lines) in zip(np.atleast_1d(figure.subplots(1, len(shown))), shown.items(), strict=True):
        for label in _labels(lines):
            points = [(line["step"], line["norm"][label]) for line in lines if label in line["norm"]]
            steps, norms = zip(*((step, norm or np.nan) for step, norm in points), strict=True)  # a log has no 0
            axis.plot(steps, norms, label=label, linewidth=1.3, marker="." if len(steps) == 1 else None)
        axis.set(title=f"gradients at {name}", xlabel="step", ylabel="norm", yscale="log")
        axis.title.set_fontsize(10)
        axis.spines[["top", "right"]].set_visible(False)
        axis.grid(alpha=0.25)
        axis.legend(fontsize=7, frameon=False)
    return figure


def draw_cosines(shown: Mapping[str, Sequence[Line]]) -> Figure:
    """Draw the mean cosine of each two terms, a matrix for each image."""
    size = max(len(_labels(lines)) for lines in shown.values())
    side = 1.6 + 0.75 * size
    figure = Figure(figsize=(side * len(shown), side), dpi=110, layout="constrained")
    for axis, (name, lines) in zip(np.atleast_1d(figure.subplots(1, len(shown))), shown.items(), strict=True):
        labels = _labels(lines)
        matrix = np.array([[_mean_cosine(lines, one, other) for other in labels] for one in labels])
        axis.imshow(matrix, cmap="RdBu", vmin=-1, vmax=1)
        for row, column in np.ndindex(matrix.shape):
            dark = abs(matrix[row, column]) > 0.6
            said = f"{matrix[row, column].round(2) + 0:.2f}".replace("nan", "")  # two that were never on together
            axis.text(column, row, said, ha="center", va="center", color="w" if dark else "k", fontsize=8)
        axis.set_xticks(range(len(labels)), labels, rotation=40, ha="right", fontsize=8)
        axis.set_yticks(range(len(labels)), labels, fontsize=8)
        axis.set_title(f"cosines at {name}, mean of {len(lines)} steps", fontsize=10)
    return figure


def _measured(gradients: Mapping[str, Tensor]) -> Line:
    flat = {label: gradient.flatten().double() for label, gradient in gradients.items()}
    norms = {label: gradient.norm().item() for label, gradient in flat.items()}
    units = {label: gradient / (norms[label] or 1) for label, gradient in flat.items()}
    labels = list(flat)
    return {
        "norm": norms,
        "share": {label: norm / (sum(norms.values()) or 1) for label, norm in norms.items()},
        "cosine": {
            one: {other: torch.dot(units[one], units[other]).clamp(-1, 1).item() for other in labels[place + 1 :]}
            for place, one in enumerate(labels[:-1])
        },
    }


def _labels(lines: Sequence[Line]) -> list[str]:
    return list(dict.fromkeys(label for line in lines for label in line["norm"]))


def _mean_cosine(lines: Sequence[Line], one: str, other: str) -> float:
    pairs = [line["cosine"].get(a, {}).get(b) for line in lines for a, b in ((one, other), (other, one))]
    known = [pair for pair in pairs if pair is not None]
    return 1.0 if one == other else float(np.mean(known)) if known else float("nan")


def _step(line: bytes) -> float:
    """Return the step of a whole line; of a torn one, one that no run reaches."""
    try:
        return int(json.loads(line)["step"]) if line.endswith(b"\n") else float("inf")
    except (ValueError, KeyError, TypeError):
        return float("inf")


@hookimpl
def lossbench_observer() -> type[Gradients]:
    """Norms, shares and cosines of the terms' gradients."""
    return Gradients
