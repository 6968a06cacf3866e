"""FD EfficientNet-lite0: how far translations are from real images of the target domain, seen by another network."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
import torch.nn.functional as F
from torch import Tensor

from lossbench import MetricSpec, hookimpl, pretrained
from lossbench.metrics import Images, Space, frechet

PREPROCESSING = "bicubic 224, antialiased, clamped, ImageNet mean and deviation"
MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of ImageNet in [0, 1]
BLOCKS = 16
HALVING = (1, 3, 5, 11)  # the blocks with a stride of 2
CONVOLUTIONS = (("_expand_conv", "_bn0"), ("_depthwise_conv", "_bn1"), ("_project_conv", "_bn2"))


def build(device: torch.device) -> Callable[[Tensor], Tensor]:
    """Return the network up to its classifier: uint8 [B, 3, H, W] -> [B, 1280]."""
    tensors = {name: tensor.to(device) for name, tensor in pretrained("efficientnet-lite0").items()}
    return lambda images: seen(tensors, standardised(images).to(memory_format=torch.channels_last))


def standardised(images: Tensor) -> Tensor:  # uint8 [B, 3, H, W] -> [B, 3, 224, 224]
    """Bring images to the network's size, whatever their shape, and to the range that its package names."""
    small = F.interpolate(images.float(), (224, 224), mode="bicubic", antialias=True).clamp(0, 255) / 255
    mean, deviation = (small.new_tensor(some).view(3, 1, 1) for some in (MEAN, DEVIATION))
    return (small - mean) / deviation


def seen(tensors: Mapping[str, Tensor], x: Tensor) -> Tensor:
    """Return what the classifier is given, [B, 1280] (Tan & Le, 2019; "lite" has ReLU6 and no squeeze and excite)."""
    x = F.relu6(layer(tensors, x, "_conv_stem", "_bn0", 2))
    for place in range(BLOCKS):
        x = block(tensors, x, f"_blocks.{place}.", 2 if place in HALVING else 1)
    return F.relu6(layer(tensors, x, "_conv_head", "_bn1")).mean((2, 3))


def block(tensors: Mapping[str, Tensor], x: Tensor, name: str, stride: int) -> Tensor:
    """Widen, convolve each channel, narrow; add the input where it fits."""
    y = x
    for convolution, norm in CONVOLUTIONS:
        if f"{name}{convolution}.weight" in tensors:  # the first block does not widen
            y = layer(tensors, y, name + convolution, name + norm, stride if "depth" in convolution else 1)
            y = y if "project" in convolution else F.relu6(y)
    return x + y if x.shape == y.shape else y


def layer(tensors: Mapping[str, Tensor], x: Tensor, convolution: str, norm: str, stride: int = 1) -> Tensor:
    """Convolve, the norm folded in; of an uneven border the larger part is right and below, as TensorFlow has it."""
    weight = tensors[f"{convolution}.weight"]
    border = max((-(-x.shape[-1] // stride) - 1) * stride + weight.shape[-1] - x.shape[-1], 0)
    x = F.pad(x, (border // 2, border - border // 2) * 2)
    mean, variance, scale, shift = (
        tensors[f"{norm}.{part}"] for part in ("running_mean", "running_var", "weight", "bias")
    )
    factor = scale * (variance + 1e-3).rsqrt()
    weight = weight * factor.view(-1, 1, 1, 1)
    return F.conv2d(x, weight, shift - mean * factor, stride=stride, groups=x.shape[1] // weight.shape[1])


SPACE = Space("efficientnet-lite0", PREPROCESSING, build)


def fd_efficientnet_lite0(fake: Images, target: Images, features: Callable[..., Tensor]) -> float:
    """Squared Frechet distance of the 1280 features before the classifier, from 0 on.

    It is no FID and no number of it compares with one: a second opinion where a loss may have learned to please
    Inception. With few images it is too large, as FID is.
    """
    return frechet(features(SPACE, fake), features(SPACE, target))


@hookimpl
def lossbench_metric() -> MetricSpec:
    """All translations against all images of the target domain."""
    return MetricSpec(
        fd_efficientnet_lite0,
        better="lower",
        protocol=f"efficientnet-lite0, {PREPROCESSING}, 1280 features, covariances of n - 1",
        weights=("efficientnet-lite0",),
    )
