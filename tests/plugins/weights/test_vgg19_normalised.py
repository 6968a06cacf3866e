"""The real normalised VGG19: the paper's widths, after a layer that makes Caffe's images."""

from __future__ import annotations

import torch

WIDTHS = (3, 64, 64, 128, 128, *(256,) * 4, *(512,) * 8)  # Simonyan & Zisserman (2015), table 1, E, after 3 colours


def test_shapes_are_the_papers(real_weights):
    found = real_weights("vgg19-normalised")
    kernels = [
        tensor for _, tensor in sorted((int(name.split(".")[0]), found[name]) for name in found if "weight" in name)
    ]
    sides = (1, *(3,) * 16)
    assert [tuple(kernel.shape) for kernel in kernels] == [
        (width, before, side, side) for before, width, side in zip((3, *WIDTHS), WIDTHS, sides, strict=False)
    ]


def test_the_first_layer_makes_caffes_images(real_weights):
    found = real_weights("vgg19-normalised")
    red = torch.nn.functional.conv2d(
        torch.tensor([1.0, 0.5, 0.0]).reshape(1, 3, 1, 1), found["0.weight"], found["0.bias"]
    )
    torch.testing.assert_close(red.flatten(), torch.tensor([0 - 103.939, 127.5 - 116.779, 255 - 123.68]))  # BGR
