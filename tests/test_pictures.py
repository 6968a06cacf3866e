"""What a run shows: every image of a grid is found in it again."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from PIL import Image

from lossbench.pictures import SHOWN, sample_grid


@pytest.mark.parametrize(("width", "height"), [(20, 20), (64, 64), (100, 60), (128, 128)])
def test_the_layout_of_a_grid_finds_every_pixel_of_every_image(tmp_path, width, height):
    draw = torch.Generator().manual_seed(0)
    rows = {
        name: torch.randint(0, 256, (5, 3, height, width), dtype=torch.uint8, generator=draw)
        for name in ("input", "truth")
    }
    sample_grid(tmp_path / "grid.png", rows)
    with Image.open(tmp_path / "grid.png") as picture:
        layout, pixels = json.loads(picture.text["layout"]), np.asarray(picture.convert("RGB"))
    assert (layout["rows"], layout["count"]) == (["input", "truth"], 5)
    every = slice(None, None, layout["enlarged"])
    for row, images in enumerate(rows.values()):
        for column, image in enumerate(images):
            y = row * (layout["height"] + layout["gap"])
            x = layout["left"] + column * (layout["width"] + layout["gap"])
            shown = pixels[y : y + layout["height"], x : x + layout["width"]]
            assert (shown[every, every] == image.permute(1, 2, 0).numpy()).all()


def test_large_images_are_made_smaller_without_aliasing(tmp_path):
    stripes = torch.arange(512).remainder(2).mul(255).to(torch.uint8).expand(1, 3, 512, 512)
    sample_grid(tmp_path / "grid.png", {"input": stripes})
    with Image.open(tmp_path / "grid.png") as picture:
        layout, pixels = json.loads(picture.text["layout"]), np.asarray(picture.convert("RGB"))
    assert (layout["width"], layout["height"], layout["enlarged"]) == (SHOWN, SHOWN, 1)
    assert np.abs(pixels[8:120, layout["left"] + 8 : layout["left"] + 120].astype(int) - 127).max() < 8
