"""What a run shows: grids of samples, and curves of its losses."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor
from torch.nn.functional import pad

from lossbench.files import write_bytes


def sample_grid(path: Path, rows: Mapping[str, Tensor]) -> None:
    """Write named rows of images, uint8 [N, 3, H, W], as one PNG."""
    count, _, height, width = next(iter(rows.values())).shape
    gap = max(1, width // 32)
    cells = pad(torch.stack(list(rows.values())), (0, gap, 0, gap), value=255)  # [rows, N, 3, H, W]
    picture = cells.permute(0, 3, 1, 4, 2).flatten(2, 3).flatten(0, 1)[:-gap, :-gap].numpy()
    wide, tall = 1.05 * count, 1.05 * len(rows) * height / width
    figure = Figure(figsize=(wide + 0.9, tall), dpi=120)
    axis = figure.add_axes((0.9 / (wide + 0.9), 0, wide / (wide + 0.9), 1), frameon=False)
    axis.imshow(picture, interpolation="nearest" if width <= 128 else "antialiased", aspect="auto")
    axis.set_xticks([])
    axis.set_yticks([(height + gap) * (row + 0.5) for row in range(len(rows))], list(rows), fontsize=9)
    axis.tick_params(length=0)
    _write(path, figure)


def loss_curves(path: Path, log: Sequence[Mapping[str, Any]]) -> None:
    """Draw what each term adds to the objective, smoothed; generators left, discriminators right."""
    labels = list(dict.fromkeys(label for line in log for label in line["weighted"]))
    sides = {
        "generators": [label for label in labels if ":D" not in label],
        "discriminators": [label for label in labels if ":D" in label],
    }
    shown = {side: some for side, some in sides.items() if some}
    figure = Figure(figsize=(5.5 * len(shown), 3.6), dpi=110, layout="constrained")
    for axis, (side, some) in zip(np.atleast_1d(figure.subplots(1, len(shown))), shown.items(), strict=True):
        names = list(dict.fromkeys(label.partition("/")[2] for label in some))
        ways = list(dict.fromkeys(label.partition("/")[0] for label in some))
        for label in some:
            way, _, name = label.partition("/")
            _curve(axis, label, log, color=f"C{names.index(name) % 10}", linestyle=("-", "--")[ways.index(way) % 2])
        axis.set_title(f"weighted terms of the {side}", fontsize=10)
        axis.set_xlabel("step")
        axis.spines[["top", "right"]].set_visible(False)
        axis.grid(alpha=0.25)
        axis.legend(fontsize=7, frameon=False)
    _write(path, figure)


def _curve(axis: Axes, label: str, log: Sequence[Mapping[str, Any]], **style: Any) -> None:
    steps, values = zip(
        *((line["step"], line["weighted"][label]) for line in log if label in line["weighted"]), strict=True
    )
    window = max(1, len(values) // 40)
    smooth = np.convolve(values, np.ones(window) / window, mode="valid")
    axis.plot(steps[window - 1 :], smooth, label=label, linewidth=1.3, **style)


def _write(path: Path, figure: Figure) -> None:
    buffer = BytesIO()
    figure.savefig(buffer, format="png", metadata={"Software": None})
    write_bytes(path, buffer.getvalue())
