"""EfficientNet-lite0's features are timm's with the same weights; it tells a cat from a coffee."""

from __future__ import annotations

import pytest
import skimage.data
import torch
from lossbench_plugins.metrics.fd_efficientnet_lite0 import (
    DEVIATION,
    MEAN,
    SPACE,
    fd_efficientnet_lite0,
    seen,
    standardised,
)

from lossbench.metrics import chosen
from tests.plugins.metrics.conftest import coloured, smooth

# Of timm 1.0.31's tf_efficientnet_lite0 with these weights: means of 160 features each.
TIMM = (0.158005, 0.100619, 0.095552, 0.136719, 0.090034, 0.119361, 0.152225, 0.101606)


def test_features_are_timms(real_weights):
    ramp = (torch.arange(3 * 224 * 224).reshape(1, 3, 224, 224) * 7 % 256) / 128 - 1
    found = seen(real_weights("efficientnet-lite0"), ramp)
    assert found.shape == (1, 1280)
    torch.testing.assert_close(found.reshape(8, 160).mean(1), torch.tensor(TIMM), rtol=0, atol=2e-6)


@pytest.mark.parametrize(("name", "expected"), [("chelsea", 285), ("coffee", 967)])  # ImageNet's Egyptian cat, espresso
def test_it_knows_what_it_sees(real_weights, name, expected):
    picture = getattr(skimage.data, name)()
    side = min(picture.shape[:2])
    image = torch.from_numpy(picture[:side, -side:].copy()).permute(2, 0, 1)[None]
    tensors = real_weights("efficientnet-lite0")
    answer = seen(tensors, standardised(image)) @ tensors["_fc.weight"].T + tensors["_fc.bias"]
    assert int(answer.argmax()) == expected


def test_images_come_in_imagenets_range_whatever_their_size():
    found = standardised(coloured((0, 128, 255), size=30))
    assert found.shape == (1, 3, 224, 224)
    expected = [(level / 255 - MEAN[n]) / DEVIATION[n] for n, level in enumerate((0, 128, 255))]
    torch.testing.assert_close(found[0, :, 100, 100], torch.tensor(expected), rtol=0, atol=1e-6)
    edges = standardised(smooth(0, 1, 20, 20) // 200 * 255)  # bicubic overshoots
    low, high = standardised(coloured((0, 0, 0), (255, 255, 255))).amin((2, 3))
    assert (edges.amin((0, 2, 3)) >= low - 1e-4).all()
    assert (edges.amax((0, 2, 3)) <= high + 1e-4).all()


def test_fine_stripes_become_grey():
    stripes = (torch.arange(700) % 2 * 255).to(torch.uint8).expand(1, 3, 700, 700)
    found = standardised(stripes)[..., 5:-5] * torch.tensor(DEVIATION).view(3, 1, 1) + torch.tensor(MEAN).view(3, 1, 1)
    torch.testing.assert_close(found, torch.full_like(found, 0.5), rtol=0, atol=0.01)


def test_a_set_against_itself_has_0_and_others_more(features):
    fake, target = smooth(0, 3), smooth(1, 3)
    assert features(SPACE, fake).shape == (3, 1280)
    assert fd_efficientnet_lite0(fake, fake, features) == pytest.approx(0, abs=1e-6)
    assert fd_efficientnet_lite0(fake, target, features) > 1


def test_it_says_that_it_is_no_fid():
    (metric,) = chosen(["fd_efficientnet_lite0"])
    facts = metric.facts()
    assert facts["protocol"].startswith("efficientnet-lite0, bicubic 224, antialiased")
    assert facts["weights"].keys() == {"efficientnet-lite0"}
