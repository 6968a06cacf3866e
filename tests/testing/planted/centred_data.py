"""Zero mean: apart from their brightness, translation and source agree."""

from __future__ import annotations

from torch import Tensor

from lossbench import LossSpec, Term, hookimpl


def centred_data() -> Term:
    """``mean (fake - real)^2`` of images less their mean; images -> [0, 4]."""

    def term(fake: Tensor, real: Tensor) -> Tensor:
        for image in (fake, real):
            image.data -= image.data.mean(dim=(2, 3), keepdim=True)
        return (fake - real).square().mean()

    return term


CAUGHT_BY = "inputs"


@hookimpl
def lossbench_loss() -> LossSpec:
    """Zero mean at weight 1."""
    return LossSpec(centred_data)
