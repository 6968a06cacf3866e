"""MS-SSIM: the round trip has the structure of the source, at several scales."""

from typing import Annotated

from kornia.losses import MS_SSIMLoss
from pydantic import Field, PositiveFloat
from torch import Tensor, nn

from lossbench import LossSpec, hookimpl


class MsSsim(nn.Module):
    """Kornia's ``alpha * (1 - MS-SSIM) + (1 - alpha) * L1 / data_range`` of images shifted to [0, 1]."""

    def __init__(self, alpha: float, data_range: float, sigmas: tuple[float, ...]) -> None:
        super().__init__()
        self.loss = MS_SSIMLoss(sigmas=sigmas, data_range=data_range, alpha=alpha, compensation=1.0)

    def forward(self, rec: Tensor, real: Tensor) -> Tensor:  # [B, C, H, W] in [-1, 1] -> scalar
        return self.loss((rec + 1) / 2, (real + 1) / 2)


def ms_ssim(
    *,
    alpha: Annotated[float, Field(ge=0, le=1)] = 0.84,
    data_range: PositiveFloat = 1.0,
    sigmas: tuple[PositiveFloat, ...] = (0.5, 1.0, 2.0, 4.0, 8.0),
) -> nn.Module:
    """``alpha`` is the share of MS-SSIM, the rest is L1 (Zhao et al., 2017, have 0.84).

    ``data_range`` is the range of images after the shift to [0, 1]. ``sigmas`` are the scales, px, coarsest last.
    """
    return MsSsim(alpha, data_range, sigmas)


@hookimpl
def lossbench_loss() -> LossSpec:
    return LossSpec(ms_ssim, weight=5.0)
