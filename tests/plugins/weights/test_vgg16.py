"""The real VGG16: its shapes are those of torchvision's network, and its features known ones."""

from __future__ import annotations

WIDTHS = (64, 64, 128, 128, 256, 256, 256, 512, 512, 512, 512, 512, 512)  # Simonyan & Zisserman (2015), table 1, D
PLACES = (0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28)


def test_shapes_are_the_papers(real_weights):
    shapes = {name: tuple(tensor.shape) for name, tensor in real_weights("vgg16").items()}
    expected = {}
    for place, (before, width) in zip(PLACES, zip((3, *WIDTHS), WIDTHS, strict=False), strict=True):
        expected |= {f"features.{place}.weight": (width, before, 3, 3), f"features.{place}.bias": (width,)}
    assert shapes == expected


def test_torchvision_takes_them(real_weights):
    from torchvision.models import vgg16

    found = vgg16(weights=None).load_state_dict(real_weights("vgg16"), strict=False)
    assert found.unexpected_keys == []
    assert {name.partition(".")[0] for name in found.missing_keys} == {"classifier"}
