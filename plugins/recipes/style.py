"""Style transfer in one pass: content of the source, style of one image, no discriminator (Johnson et al., 2016).

The style is ``--set style.image=FILE``; of the data only one domain is used, A.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lossbench import Recipe, hookimpl
from lossbench.networks import patch_discriminator, style_generator


def defaults(size: int) -> Mapping[str, Any]:
    """Return weights for torchvision's VGG16, and Adam as in the paper, whose 1e-3 does not decay."""
    return {
        "content.weight": 1.0,
        "style.weight": 1.5e4,
        "tv.weight": 1.0,
        "train.lr": 1e-3,
        "train.beta1": 0.9,
        "train.constant": 1.0,
        "train.batch": 4,
        "model.ngf": 32,
        "data.flip": False,
    }


@hookimpl
def lossbench_recipe() -> Recipe:
    """Johnson's network with content, style and a little total variation."""
    return Recipe(
        networks=(style_generator, patch_discriminator),
        directions=("A2B",),
        targets=False,
        losses=("content", "style", "tv"),
        adversary=None,
        metrics=(),  # there is no truth and no second domain; look at the pictures
        defaults=defaults,
        quick={"train.steps": 300},
    )
