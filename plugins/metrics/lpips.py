"""LPIPS: how different from the truth people would find a translation, by a network fitted to their answers."""

from __future__ import annotations

from lossbench import MetricSpec, hookimpl
from lossbench.metrics import Images

from ._lpips import PROTOCOL, WEIGHTS, apart


def lpips(fake: Images, truth: Images) -> list[float]:
    """``sum over layers of mean w . (unit phi(fake) - unit phi(truth))^2``, from 0 on (Zhang et al., 2018).

    Features phi of AlexNet, at the images' own size; values of different sizes do not compare. What was trained with
    the loss `lpips` on AlexNet wins for free.
    """
    return apart(fake, truth)


@hookimpl
def lossbench_metric() -> MetricSpec:
    """Mean over images."""
    return MetricSpec(lpips, better="lower", protocol=PROTOCOL, weights=WEIGHTS)
