"""LPIPS v0.1's weights for the channels of `vgg16`, fitted to what people see.

Each is for squared differences of features of unit length; `vgg16` computes the features.
"""

from __future__ import annotations

from lossbench import Download, Weights, hookimpl

from ._originals import tensors


@hookimpl
def lossbench_weights() -> Weights:
    """``lin0.model.1.weight`` [1, 64, 1, 1] to ``lin4.model.1.weight`` [1, 512, 1, 1] (Zhang et al., 2018)."""
    official = Download(
        "https://github.com/richzhang/PerceptualSimilarity/raw/master/lpips/weights/v0.1/vgg.pth",
        "a78928a0af1e5f0fcb1f3b9e8f8c3a2a5a3de244d830ad5c1feddc79b8432868",
        tensors,
    )
    copy = Download(
        "lpips==0.1.4",
        "fd537af5828b69d2e6ffc0a397bd506dbc28ca183543617690844c08e102ec5e",
        tensors,
        member="lpips/weights/v0.1/vgg.pth",
    )
    return Weights(
        (official, copy),
        "4fbb0122b8b7c419838e12f9d9414a590916757773a1dc835cef7adef85e8933",
        "BSD-2-Clause (PerceptualSimilarity)",
    )
