"""LPIPS of the identity: how different people would find a target image that the generator was given."""

from __future__ import annotations

from lossbench import MetricSpec, hookimpl
from lossbench.metrics import Images

from ._lpips import PROTOCOL, WEIGHTS, apart


def lpips_identity(idt: Images, target: Images) -> list[float]:
    """LPIPS by AlexNet of G(target) and target, from 0 on (Zhang et al., 2018).

    A generator that does nothing has 0.
    """
    return apart(idt, target)


@hookimpl
def lossbench_metric() -> MetricSpec:
    """Mean over the images of the target domain; it needs the generator."""
    return MetricSpec(lpips_identity, better="lower", protocol=PROTOCOL, weights=WEIGHTS)
