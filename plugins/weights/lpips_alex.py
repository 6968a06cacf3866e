"""LPIPS v0.1's weights for the channels of `alexnet`, fitted to what people see.

Each is for squared differences of features of unit length; `alexnet` computes the features.
"""

from __future__ import annotations

from lossbench import Download, Weights, hookimpl

from ._originals import tensors


@hookimpl
def lossbench_weights() -> Weights:
    """``lin0.model.1.weight`` [1, 64, 1, 1] to ``lin4.model.1.weight`` [1, 256, 1, 1] (Zhang et al., 2018)."""
    official = Download(
        "https://github.com/richzhang/PerceptualSimilarity/raw/master/lpips/weights/v0.1/alex.pth",
        "df73285e35b22355a2df87cdb6b70b343713b667eddbda73e1977e0c860835c0",
        tensors,
    )
    copy = Download(
        "lpips==0.1.4",
        "fd537af5828b69d2e6ffc0a397bd506dbc28ca183543617690844c08e102ec5e",
        tensors,
        member="lpips/weights/v0.1/alex.pth",
    )
    return Weights(
        (official, copy),
        "255d6454292d155a069f693a111769acec003d588617b250f24775369c816e04",
        "BSD-2-Clause (PerceptualSimilarity)",
    )
