"""What a run shows: grids of samples, and curves of its losses."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor
from torch.nn.functional import interpolate, pad

from lossbench.files import write_bytes

SHOWN = 128  # px, width of an image in a grid
GAP = 4  # px between images
LEFT = 108  # px for the names of rows
DPI = 120


def sample_grid(path: Path, rows: Mapping[str, Tensor]) -> None:
    """Write named rows of images, uint8 [N, 3, H, W], as one PNG.

    Images are drawn 64 to 128 px wide, small ones by whole numbers, so that every pixel of them is one of the picture;
    its text `layout` says where they are.
    """
    factor = max(1, SHOWN // next(iter(rows.values())).shape[-1])
    shown = {name: _scaled(images, factor) for name, images in rows.items()}
    count, _, height, width = next(iter(shown.values())).shape
    cells = pad(torch.stack(list(shown.values())), (0, GAP, 0, GAP), value=255)  # [rows, N, 3, H, W]
    picture = cells.permute(0, 3, 1, 4, 2).flatten(2, 3).flatten(0, 1)[:-GAP, :-GAP].numpy()
    tall, wide = picture.shape[:2]
    figure = Figure(figsize=((wide + LEFT) / DPI, tall / DPI), dpi=DPI)
    axis = figure.add_axes((LEFT / (wide + LEFT), 0, wide / (wide + LEFT), 1), frameon=False)
    axis.imshow(picture, interpolation="nearest", aspect="auto")
    axis.set_xticks([])
    axis.set_yticks([(height + GAP) * row + height / 2 for row in range(len(shown))], list(shown), fontsize=9)
    axis.tick_params(length=0)
    layout = {"rows": list(shown), "count": count, "width": width, "height": height, "left": LEFT, "gap": GAP}
    _write(path, figure, layout=json.dumps(layout | {"enlarged": factor}))


def _scaled(images: Tensor, factor: int) -> Tensor:
    """Enlarge small images by a whole number, make large ones smaller without aliasing."""
    *_, height, width = images.shape
    if width > SHOWN:
        tall = max(1, round(height * SHOWN / width))
        return interpolate(images, (tall, SHOWN), mode="bicubic", antialias=True)
    return images.repeat_interleave(factor, 2).repeat_interleave(factor, 3)


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


def _write(path: Path, figure: Figure, **told: str) -> None:
    buffer = BytesIO()
    figure.savefig(buffer, format="png", metadata={"Software": None, **told})
    write_bytes(path, buffer.getvalue())
