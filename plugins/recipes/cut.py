"""CUT: unpaired images, a translation one way, contents kept patch by patch (Park et al., 2020)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lossbench import Recipe, hookimpl
from lossbench.networks import patch_discriminator, resnet_generator


def defaults(size: int) -> Mapping[str, Any]:
    """Return the paper's networks, 6 residual blocks up to 128 px, half of their width up to 64 px, and no pool."""
    return {
        "model.generator": "resnet_6blocks" if size <= 128 else "resnet_9blocks",
        "model.ngf": 32 if size <= 64 else 64,
        "model.antialias": True,
        "model.init": "xavier",
        "pool.size": 0,
    }


QUICK = {
    "train.steps": 400,
    "train.lr": 5e-4,
    "model.generator": "resnet_5blocks",
    "model.ngf": 16,
    "model.ndf": 32,
}  # about two minutes on two cores


@hookimpl
def lossbench_recipe() -> Recipe:
    """CUT: PatchNCE of translation and identity beside the adversary."""
    return Recipe(
        networks=(resnet_generator, patch_discriminator),
        directions=("A2B",),
        losses=("patchnce",),
        defaults=defaults,
        quick=QUICK,
    )
