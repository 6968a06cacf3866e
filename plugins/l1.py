"""L1: each pixel of the translation is that of the truth."""

from __future__ import annotations

from typing import Literal

from torch import Tensor

from lossbench import LossSpec, Term, hookimpl


def l1(*, power: Literal[1, 2] = 1) -> Term:
    """Pixels against the truth, ``mean |fake - truth|^power`` (Isola et al., 2017, eq. 3); for paired recipes.

    ``power`` 1 goes to the median of what may be true, 2 to the mean, which is blurred more. Images [B, C, H, W] in
    [-1, 1] -> scalar in [0, 2^power], a mean, so it does not depend on the resolution. It fails where pairs are not
    aligned to the pixel: a shifted edge costs as much as a missing one.
    """

    def term(fake: Tensor, truth: Tensor) -> Tensor:
        return (fake - truth).abs().pow(power).mean()

    return term


@hookimpl
def lossbench_loss() -> LossSpec:
    """L1 to the truth, weight 100 as in pix2pix."""
    return LossSpec(l1, weight=100.0)
