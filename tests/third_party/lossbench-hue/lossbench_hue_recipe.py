"""One way: a translation from A to B and no way back."""

from lossbench import Recipe, hookimpl
from lossbench.networks import patch_discriminator, resnet_generator


@hookimpl
def lossbench_recipe() -> Recipe:
    return Recipe(
        networks=(resnet_generator, patch_discriminator),
        directions=("A2B",),
        losses=("hue",),
        conditional=True,
        defaults=lambda size: {"pool.size": 0, "gan.mode": "vanilla", "train.lr": 1e-3},
    )
