"""The real EfficientNet-lite0 has as many parameters as its authors say."""

from __future__ import annotations


def test_it_has_4_7_million_parameters(real_weights):
    found = real_weights("efficientnet-lite0")
    assert round(sum(tensor.numel() for name, tensor in found.items() if "running" not in name) / 1e6, 1) == 4.7
    assert found["_conv_stem.weight"].shape == (32, 3, 3, 3)
    assert found["_fc.weight"].shape == (1000, 1280)
    assert all(tensor.isfinite().all() for tensor in found.values())
