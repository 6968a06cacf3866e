"""Generators of pytorch-CycleGAN-and-pix2pix and of CUT: a .pth file in, a network out.

Such a file holds weights only. What network they are of is read from their names and shapes: `model.1.weight` is the
first convolution of a ResNet, `model.10.conv_block.1.weight` one of its blocks', `model.model.0.weight` the first of a
U-Net, whose levels are nested as `model.model.1.model.3.model...`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from torch import Tensor

from lossbench import rng
from lossbench.checkpoint import check_finite, read_state
from lossbench.errors import RunError
from lossbench.networks import Network, Norm, resnet, unet
from lossbench.networks.build import CHANNELS

SUFFIX = ".pth"
SIZE = 256  # px, the default there
DROPOUT = 0.5  # there is no other
CYCLEGAN = re.compile(
    r"_G_[AB]$"
)  # how its files end; its default is no dropout, of which a U-Net's weights tell nothing
KIND = "a generator of pytorch-CycleGAN-and-pix2pix"
UNUSED = re.compile(r"running_mean|running_var|num_batches_tracked|filt")  # statistics of training, fixed blurs
RESNET, UNET = "model.1.weight", "model.model.0.weight"


def read_generator(path: Path) -> Network:
    """Return the generator that a .pth file holds, on the CPU. Nothing in the file can run.

    Statistics that norms gathered in training are dropped: there, too, translations use those of the image itself.

    Raises:
        RunError: no such file, code, damage, a discriminator, or what else is no such generator.
    """
    state = _state(path)
    with rng.isolated("foreign"):  # initial weights are drawn, and replaced
        network = _unet(path, state) if UNET in state else _resnet(path, state)
    prefix = "model." if UNET in state else ""
    renamed = {
        re.sub(r"\b(model|conv_block)\b", "layers", key.removeprefix(prefix)): tensor
        for key, tensor in state.items()
        if not UNUSED.fullmatch(key.rpartition(".")[2])
    }
    try:
        network.load_state_dict(renamed)
    except RuntimeError as error:
        reason = str(error).splitlines()[-1].strip()
        raise RunError(f"{path} holds a generator that lossbench does not have: {reason:.200}") from None
    return network


def _state(path: Path) -> dict[str, Tensor]:
    """Return the weights by name, without the prefix of torch's data parallel wrappers."""
    try:
        state = read_state(path)
    except RunError as error:
        raise RunError(str(error).replace("a state of lossbench's", KIND)) from None
    tensors = {str(key).removeprefix("module."): value for key, value in state.items() if isinstance(value, Tensor)}
    if len(tensors) < len(state) or not {RESNET, UNET} & tensors.keys():
        found = "a discriminator" if "model.0.weight" in tensors else f"not {KIND}, `{RESNET}` or `{UNET}`"
        raise RunError(f"{path} holds {found}. Name a file such as latest_net_G_A.pth or latest_net_G.pth.")
    check_finite(path, tensors)
    return tensors


def _resnet(path: Path, state: Mapping[str, Tensor]) -> Network:
    blocks = {key.split(".")[1] for key in state if ".conv_block." in key}
    shifted = not any(
        key.endswith("conv_block.5.weight") for key in state
    )  # by a dropout before the second convolution
    return resnet(
        blocks=len(blocks),
        ngf=_width(path, state[RESNET]),
        dropout=DROPOUT if blocks and shifted else 0.0,
        norm=_norm(state, RESNET),
        antialias=any(key.endswith(".filt") for key in state),
    )


def _unet(path: Path, state: Mapping[str, Tensor]) -> Network:
    depth = max(key.split(".").count("model") for key in state) - 1
    if depth < 2:
        raise RunError(f"{path} holds a U-Net of one level, which lossbench does not have.")
    dropout = 0.0 if CYCLEGAN.search(path.stem) else DROPOUT
    return unet(depth=depth, ngf=_width(path, state[UNET]), norm=_norm(state, UNET), dropout=dropout)


def _width(path: Path, first: Tensor) -> int:
    """Return the channels that a first convolution makes of an image."""
    if first.ndim != 4 or first.shape[1] != CHANNELS:
        shape = " x ".join(map(str, first.shape))
        raise RunError(f"{path}: its first weights are {shape}; lossbench translates images of {CHANNELS} channels.")
    return first.shape[0]


def _norm(state: Mapping[str, Tensor], first: str) -> Norm:
    """Return the norm: there, convolutions before an instance norm have a bias, and others have none."""
    return "instance" if first.replace("weight", "bias") in state else "batch"
