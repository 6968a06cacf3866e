"""LPIPS is the package's own with the same weights, image by image."""

from __future__ import annotations

from types import SimpleNamespace

import lpips
import numpy as np
import pytest
import torch
import torchvision
from lossbench_plugins.metrics._lpips import apart
from torch import nn

from lossbench.metrics import chosen
from tests.plugins.metrics.conftest import measured, plain, smooth, value


@pytest.fixture
def theirs(real_weights, monkeypatch) -> nn.Module:
    """Return the package's network with our weights, so that nothing is fetched or drawn for it."""
    with torch.device("meta"):
        features = torchvision.models.alexnet(weights=None).features
    tensors = {key.removeprefix("features."): each for key, each in real_weights("alexnet").items()}
    features.load_state_dict(tensors, assign=True)
    monkeypatch.setattr(torchvision.models, "alexnet", lambda **_: SimpleNamespace(features=features))
    network = lpips.LPIPS(net="alex", pretrained=False, pnet_rand=True, verbose=False)
    assert network.load_state_dict(real_weights("lpips-alex"), strict=False).unexpected_keys == []
    return network.eval()


@pytest.mark.parametrize("size", [(31, 31), (64, 64), (90, 130)])
def test_it_is_the_packages_for_each_image(theirs, size):
    fake, truth = smooth(1, 3, *size), smooth(2, 3, *size)
    with torch.no_grad():
        expected = theirs(fake / 127.5 - 1, truth / 127.5 - 1).flatten()
    assert 0.02 < float(expected.min()) < float(expected.max()) < 1.5
    np.testing.assert_allclose(apart(fake, truth), expected.numpy(), rtol=0, atol=1e-6)
    found = measured("lpips", fake=fake, truth=truth)
    assert (found["value"], found["n"]) == (pytest.approx(float(expected.mean()), abs=1e-6), 3)


@pytest.mark.usefixtures("theirs")
def test_equal_images_have_0_and_others_the_same_both_ways():
    fake, truth = smooth(1, 1), smooth(2, 1)
    assert value("lpips", fake=fake, truth=fake) == 0
    assert value("lpips", fake=plain(0), truth=plain(0)) == 0
    assert value("lpips", fake=fake, truth=truth) == pytest.approx(value("lpips", fake=truth, truth=fake), rel=1e-6)


@pytest.mark.usefixtures("theirs")
def test_images_may_have_sizes_of_their_own():
    fake, truth = [smooth(1, 1)[0], smooth(1, 1, 64, 48)[0]], [smooth(2, 1)[0], smooth(2, 1, 64, 48)[0]]
    expected = [value("lpips", fake=[a], truth=[b]) for a, b in zip(fake, truth, strict=True)]
    assert value("lpips", fake=fake, truth=truth) == pytest.approx(np.mean(expected))


@pytest.mark.usefixtures("theirs")
def test_images_too_small_for_the_network_are_said():
    found = measured("lpips", fake=smooth(1, 2, 30, 40), truth=smooth(2, 2, 30, 40))
    assert found["value"] is None
    assert found["reason"] == "an image has 40 x 30 px; LPIPS by AlexNet needs 31 or more a side"


def test_it_says_what_it_depends_on():
    (metric,) = chosen(["lpips"])
    facts = metric.facts()
    assert (facts["better"], facts["protocol"]) == ("lower", "lpips 0.1, alexnet, at the images' own size")
    assert facts["weights"].keys() == {"alexnet", "lpips-alex"}
