"""Draws the pictures of the gallery of losses: where each one that is built in pushes, in a run on the built-in images.

    python benchmarks/gallery.py        # about two minutes

docs/images/push-NAME.png: two translations of A into B (for idt, images of B through the same generator), and beside
each where minus the loss's gradient points, red brighter and blue darker.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path

import torch
from lossbench_plugins.observers.heatmaps import draw, pushes
from torch import Tensor

from lossbench import hookimpl, train

IMAGES = Path(__file__).parent.parent / "docs" / "images"
PLUGINS = "cycle,idt,tv,circularity"
STEPS, AT = 300, (280, 300)


class Collect:
    """Keeps images and pushes of some steps of A2B."""

    def __init__(self) -> None:
        self.found: dict[str, list[tuple[Tensor, Tensor]]] = {}

    @hookimpl
    def lossbench_component(self, step: int, terms: Mapping[str, Tensor], images: Mapping[str, Tensor]) -> None:
        """Keep the image that a term acts on first: the translation, for idt the identity."""
        if step in AT:
            for name, some in pushes(terms, images).items():
                for label, gradient in some.items():
                    if name in ("A2B/fake", "A2B/idt") and label.startswith("A2B/"):
                        pair = images[name].detach().clone(), gradient
                        self.found.setdefault(label.partition("/")[2], []).append(pair)


def main() -> None:
    """Train and draw."""
    collect = Collect()
    with tempfile.TemporaryDirectory() as place:
        train(PLUGINS, settings={"train.steps": STEPS, "train.keep": 0}, out=Path(place) / "run", observers=[collect])
    for name, pairs in collect.found.items():
        image, gradient = (torch.cat(some) for some in zip(*pairs, strict=True))
        picture = draw("identity" if name == "idt" else "translation", image, {name: gradient})
        picture.axes[1].set_title(name, fontsize=8)
        picture.savefig(IMAGES / f"push-{name}.png", dpi=70, bbox_inches="tight", metadata={"Software": None})


if __name__ == "__main__":
    main()
