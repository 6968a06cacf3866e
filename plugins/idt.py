"""Identity: an image that is already in the target domain stays as it is."""

from __future__ import annotations

from torch import Tensor

from lossbench import LossSpec, Term, hookimpl


def idt() -> Term:
    """L1 of the identity mapping, ``mean |G(target) - target|`` (Taigman et al., 2017; Zhu et al., 2017, 5.2).

    Images [B, C, H, W] in [-1, 1] -> scalar in [0, 2]. It keeps colours; it works against a translation that has to
    change them. One more generator batch per direction and step.
    """

    def term(target: Tensor, idt: Tensor) -> Tensor:
        return (idt - target).abs().mean()

    return term


@hookimpl
def lossbench_loss() -> LossSpec:
    """Identity, weight 5: half of the cycle's, as in the paper."""
    return LossSpec(idt, weight=5.0)
