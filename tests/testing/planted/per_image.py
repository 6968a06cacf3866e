"""Round trip by image: each image of the batch comes back."""

from __future__ import annotations

from torch import Tensor

from lossbench import LossSpec, Term, hookimpl


def per_image() -> Term:
    """Mean |rec - real| of each image; images -> [0, 2]."""

    def term(rec: Tensor, real: Tensor) -> Tensor:
        return (rec - real).abs().mean(dim=(1, 2, 3))

    return term


CAUGHT_BY = "scalar"


@hookimpl
def lossbench_loss() -> LossSpec:
    """Round trip by image at weight 5."""
    return LossSpec(per_image, weight=5.0)
