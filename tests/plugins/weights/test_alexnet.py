"""The real AlexNet: its shapes are those of the one-column network."""

from __future__ import annotations

LAYERS = {0: (64, 3, 11, 11), 3: (192, 64, 5, 5), 6: (384, 192, 3, 3), 8: (256, 384, 3, 3), 10: (256, 256, 3, 3)}


def test_shapes_are_the_papers(real_weights):
    shapes = {name: tuple(tensor.shape) for name, tensor in real_weights("alexnet").items()}
    weights = {f"features.{place}.weight": shape for place, shape in LAYERS.items()}
    biases = {f"features.{place}.bias": shape[:1] for place, shape in LAYERS.items()}
    assert shapes == weights | biases


def test_torchvision_takes_them(real_weights):
    from torchvision.models import alexnet

    found = alexnet(weights=None).load_state_dict(real_weights("alexnet"), strict=False)
    assert found.unexpected_keys == []
    assert {name.partition(".")[0] for name in found.missing_keys} == {"classifier"}
