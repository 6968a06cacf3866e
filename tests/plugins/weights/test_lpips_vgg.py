"""LPIPS's weights of VGG16's channels are those that torchmetrics ships."""

from __future__ import annotations

from pathlib import Path

import torch
from torchmetrics.functional.image import lpips


def test_they_are_torchmetrics(real_weights):
    found = real_weights("lpips-vgg")
    shipped = torch.load(
        Path(lpips.__file__).parent / "lpips_models" / "vgg.pth", map_location="cpu", weights_only=True
    )
    torch.testing.assert_close(found, dict(shipped), rtol=0, atol=0)
    assert all((tensor >= 0).all() for tensor in found.values())  # Zhang et al. (2018): weights are not negative
