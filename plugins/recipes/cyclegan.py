"""CycleGAN: two unpaired domains, a translation each way (Zhu et al., 2017)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lossbench import Recipe, hookimpl
from lossbench.networks import patch_discriminator, resnet_generator


def defaults(size: int) -> Mapping[str, Any]:
    """Return the paper's depth, 6 residual blocks up to 128 px and 9 above; half of its width up to 64 px."""
    return {
        "model.generator": "resnet_6blocks" if size <= 128 else "resnet_9blocks",
        "model.ngf": 32 if size <= 64 else 64,
    }


QUICK = {
    "train.steps": 500,
    "train.lr": 5e-4,
    "model.generator": "resnet_3blocks",
    "model.ngf": 32,
    "model.ndf": 32,
}  # about two minutes on two cores


def junyanz(*, lambda_A: float = 10.0, lambda_B: float = 10.0, lambda_idt: float = 0.5) -> Mapping[str, float]:
    """Weights as pytorch-CycleGAN-and-pix2pix multiplies them.

    Its ``loss_idt_A`` is G_A on images of B, the identity of A2B, and is multiplied by ``lambda_B * lambda_idt``.
    """
    return {
        "gan.weight": 1.0,
        "cycle.weight.A2B": lambda_A,
        "cycle.weight.B2A": lambda_B,
        "idt.weight.A2B": lambda_B * lambda_idt,
        "idt.weight.B2A": lambda_A * lambda_idt,
    }


def mmagic(*, cycle: float = 10.0, idt: float = 0.5) -> Mapping[str, float]:
    """Weights as mmagic's CycleGAN: the identity is not multiplied by the weight of the cycle."""
    return {"gan.weight": 1.0, "cycle.weight": cycle, "idt.weight": idt}


@hookimpl
def lossbench_recipe() -> Recipe:
    """CycleGAN, the networks and losses of its paper."""
    return Recipe(
        networks=(resnet_generator, patch_discriminator),
        losses=("cycle", "idt"),
        defaults=defaults,
        quick=QUICK,
        presets={"junyanz": junyanz, "mmagic": mmagic},
    )
