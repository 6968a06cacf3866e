"""Two-scale round trip: details and large shapes come back, and the log shows how many pixels were off."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from lossbench import LossSpec, Term, hookimpl


def parts_with_counts() -> Term:
    """``fine`` and ``coarse`` L1, and ``off``, pixels off by more than 0.5; images -> scalars."""

    def term(rec: Tensor, real: Tensor) -> dict[str, Tensor]:
        difference = rec - real
        return {
            "fine": difference.abs().mean(),
            "coarse": F.avg_pool2d(difference, 4).abs().mean(),
            "off": (difference.detach().abs() > 0.5).sum(),
        }

    return term


CAUGHT_BY = "scalar"


@hookimpl
def lossbench_loss() -> LossSpec:
    """Two-scale round trip at weight 5."""
    return LossSpec(parts_with_counts, weight=5.0)
