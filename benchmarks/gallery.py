"""Draws the pictures of the gallery of losses: where each one that is built in pushes, in runs on the built-in images.

    python benchmarks/gallery.py             # all, a quarter of an hour on one core
    python benchmarks/gallery.py cut         # those of one recipe

docs/images/push-NAME.png: two translations of A into B (for idt, images of B through the same generator), and beside
each where minus the loss's gradient points, red brighter and blue darker.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from lossbench_plugins.observers.heatmaps import draw, pushes
from torch import Tensor

from lossbench import hookimpl, train

IMAGES = Path(__file__).parent.parent / "docs" / "images"
RUNS = (  # recipe, its losses, and those of them that are drawn
    ("cyclegan", "cycle,idt,tv,circularity", ("gan", "cycle", "idt", "tv", "circularity")),
    ("cyclegan", "cycle,idt,edges,colour,content", ("edges", "colour", "content")),
    ("cyclegan", "cycle,idt,style", ("style",)),
    ("pix2pix", "l1,ssim,lpips", ("l1", "ssim", "lpips")),
    ("cut", "patchnce", ("patchnce",)),
)
STEPS, AT = 300, (280, 300)


class Collect:
    """Keeps, of some steps, the image that each loss acts on first, the translation or for idt the identity."""

    def __init__(self, names: Sequence[str]) -> None:
        self.found: dict[str, dict[int, tuple[Tensor, Tensor]]] = {name: {} for name in names}

    @hookimpl
    def lossbench_component(self, step: int, terms: Mapping[str, Tensor], images: Mapping[str, Tensor]) -> None:
        """Keep an image and the push of all parts of a loss at it."""
        if step not in AT:
            return
        for image, some in pushes(terms, images).items():
            for name, found in self.found.items():
                parts = [gradient for label, gradient in some.items() if label.split("/")[:2] == ["A2B", name]]
                if parts and image == ("A2B/idt" if name == "idt" else "A2B/fake"):
                    found[step] = images[image].detach().clone(), torch.stack(parts).sum(0)


def main() -> None:
    """Train and draw."""
    for recipe, plugins, names in RUNS:
        if recipe in sys.argv[1:] or not sys.argv[1:]:
            collect = Collect(names)
            settings = {"train.steps": STEPS, "train.keep": 0}
            with tempfile.TemporaryDirectory() as place:
                train(plugins, recipe=recipe, settings=settings, out=Path(place) / "run", observers=[collect])
            for name, found in collect.found.items():
                _save(name, [found[step] for step in AT])


def _save(name: str, pairs: Sequence[tuple[Tensor, Tensor]]) -> None:
    image, gradient = (torch.cat(some) for some in zip(*pairs, strict=True))
    picture = draw("identity" if name == "idt" else "translation", image, {name: gradient})
    picture.axes[1].set_title(name, fontsize=8)
    picture.savefig(IMAGES / f"push-{name}.png", dpi=70, bbox_inches="tight", metadata={"Software": None})


if __name__ == "__main__":
    main()
