"""pix2pix: paired images, a translation one way, a discriminator that sees the source too (Isola et al., 2017)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from lossbench import Recipe, hookimpl
from lossbench.networks import patch_discriminator, unet_generator


def defaults(size: int) -> Mapping[str, Any]:
    """Return the paper's U-Net, as deep as the size allows, batch norm, the vanilla loss and no pool."""
    return {
        "model.generator": f"unet_{min(256, 2 ** int(math.log2(size)))}",
        "model.norm": "batch",
        "gan.mode": "vanilla",
        "pool.size": 0,
    }


QUICK = {"train.steps": 1000, "model.ngf": 32, "model.ndf": 32}


@hookimpl
def lossbench_recipe() -> Recipe:
    """pix2pix: L1 and a conditional adversary, dropout as the only noise, on in translation too."""
    return Recipe(
        networks=(unet_generator, patch_discriminator),
        directions=("A2B",),
        paired=True,
        conditional=True,
        losses=("l1",),
        metrics=("l1", "psnr", "ssim", "colour", "sharpness"),
        noise_at_test=True,
        defaults=defaults,
        quick=QUICK,
    )
