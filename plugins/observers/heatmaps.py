"""Heat maps: where on the images each loss pushes, brighter or darker."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.figure import Figure
from pydantic import NonNegativeInt, PositiveInt

from lossbench import hookimpl

from ._pushes import pushes

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

    from lossbench import Run


class Heatmaps:
    """At every ``every``-th step, by itself at those with samples, one picture for each image that losses act on.

    ``heatmaps/A2B_fake_000500.png``: up to ``images`` images of that step's batch, and for each term where minus its
    gradient points: red is pushed brighter, blue darker. Each column has a scale of its own; the share of the sum of
    the gradients' norms stands above it. A step that is drawn costs one more backward for each term; one that diverges
    is not drawn.
    """

    run: Run

    def __init__(self, *, every: NonNegativeInt = 0, images: PositiveInt = 4) -> None:
        self.every, self.images = every, images
        self.kept: dict[str, tuple[Tensor, dict[str, Tensor]]] = {}  # of a step that is not done yet

    @hookimpl
    def lossbench_run_start(self, run: Run) -> None:
        """Remember whose images they are."""
        self.run = run
        self.every = self.every or run.config.train.every

    @hookimpl
    def lossbench_component(self, step: int, terms: Mapping[str, Tensor], images: Mapping[str, Tensor]) -> None:
        """Keep every image that the terms act on."""
        if step % self.every == 0 or step == self.run.config.train.steps:
            for name, some in pushes(terms, images).items():
                shown = {label: gradient[: self.images] for label, gradient in some.items()}
                self.kept[name] = images[name][: self.images].detach(), shown

    @hookimpl
    def lossbench_step(self, step: int) -> None:
        """Draw what was kept."""
        for name, (image, gradients) in self.kept.items():
            path = self.run.directory / "heatmaps" / f"{name.replace('/', '_')}_{step:06}.png"
            path.parent.mkdir(exist_ok=True)
            draw(name, image, gradients).savefig(path, bbox_inches="tight", metadata={"Software": None})
        self.kept = {}


def draw(name: str, image: Tensor, gradients: Mapping[str, Tensor]) -> Figure:
    """Draw images [N, 3, H, W] in [-1, 1], and over each where minus a gradient points, a column for each term."""
    pixels = ((image.detach().float().cpu() + 1) / 2).clamp(0, 1).permute(0, 2, 3, 1).numpy()
    norms = {label: float(gradient.norm()) for label, gradient in gradients.items()}
    total = sum(norms.values()) or 1
    own = name.partition("/")[0] + "/"  # the other direction's terms keep theirs
    rows, columns = len(pixels), 1 + len(gradients)
    smoothing = "nearest" if image.shape[-1] <= 128 else "antialiased"
    figure = Figure(figsize=(1.7 * columns, 1.7 * rows + 0.35), dpi=110, layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False)
    for axis in axes.flat:
        axis.set_axis_off()
    axes[0, 0].set_title(name, fontsize=8)
    figure.supxlabel("red: pushed brighter, blue: darker; each column has a scale of its own", fontsize=7)
    for row in range(rows):
        axes[row, 0].imshow(pixels[row], interpolation=smoothing)
    for column, (label, gradient) in enumerate(gradients.items(), start=1):
        push = -gradient.mean(dim=1).numpy()  # [N, H, W]
        strength = np.abs(push)
        reach = np.quantile(strength, 0.995) or strength.max() or 1.0  # few pixels may be all that it pushes
        axes[0, column].set_title(f"{label.removeprefix(own)}  {norms[label] / total:.0%}", fontsize=8)
        for row in range(rows):
            axes[row, column].imshow(_overlaid(pixels[row], push[row] / reach), interpolation=smoothing)
    return figure


def _overlaid(pixels: NDArray[np.float32], push: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return a faint grey picture [H, W, 3] with red where ``push`` in [-1, 1] is up, and blue where it is down."""
    grey = 0.55 + 0.4 * pixels.mean(axis=2, keepdims=True)
    strength = np.clip(np.abs(push), 0, 1)[..., None] ** 0.7
    colour = np.where(push[..., None] > 0, np.array([0.84, 0.1, 0.11]), np.array([0.12, 0.35, 0.8]))
    return np.asarray((1 - strength) * grey + strength * colour, dtype=np.float32)


@hookimpl
def lossbench_observer() -> type[Heatmaps]:
    """Pictures of where each loss pushes."""
    return Heatmaps
