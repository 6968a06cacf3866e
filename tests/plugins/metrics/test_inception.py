"""The Inception that four metrics share: torch-fidelity's but for rounding, and images brought to it as Pillow does."""

from __future__ import annotations

import sys

import numpy as np
import PIL.Image
import pytest
import torch
from lossbench_plugins.metrics import _inception
from lossbench_plugins.metrics._inception import CLEAN, TENSORFLOW, clean, tensorflows

from lossbench.errors import WeightsError
from tests.plugins.metrics.conftest import measured, smooth

FOUR = ("fid", "fid_clean", "kid", "kid_clean")


def test_the_network_is_torch_fidelitys_to_the_bit_and_its_norms_are_folded_in_but_for_rounding(
    real_weights, official, sets
):
    from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

    path = official(real_weights("fid-inception"))
    theirs = FeatureExtractorInceptionV3("inception", ["2048"], feature_extractor_weights_path=path)
    unfolded, ours = _inception.network(), TENSORFLOW.build(torch.device("cpu"))
    for image in sets[0][:4]:  # of four sizes
        with torch.no_grad():
            expected = theirs(image[None])[0]
            found = unfolded((tensorflows(image[None].float()) - 128) / 128)
            torch.testing.assert_close(found, expected, rtol=0, atol=0)
            torch.testing.assert_close(ours(image[None]), expected, rtol=1e-5, atol=1e-5)


def test_no_norm_is_left(real_weights):
    real_weights("fid-inception")
    network = _inception.folded(_inception.network())
    assert not any(isinstance(module, torch.nn.BatchNorm2d) for module in network.modules())


def test_nobodys_draws_are_shifted(real_weights):
    real_weights("fid-inception")
    before = torch.random.get_rng_state()
    _inception.network()
    assert torch.equal(torch.random.get_rng_state(), before)


@pytest.mark.parametrize("size", [(40, 64), (299, 299), (310, 330), (700, 500)])
def test_clean_is_pillows_bicubic_without_rounding(size):
    image = smooth(3, 1, *size)
    image[..., ::3, :] = 255 - image[..., ::3, :]
    expected = [
        np.asarray(PIL.Image.fromarray(channel.numpy().astype(np.float32)).resize((299, 299), PIL.Image.BICUBIC))
        for channel in image[0]
    ]
    expected = torch.from_numpy(np.stack(expected)).clamp(0, 255)
    found = clean(image.float())
    assert found.shape == (1, 3, 299, 299)
    assert (found[0] - expected).abs().max() < 0.005
    assert (found.min() >= 0) & (found.max() <= 255)


def test_tensorflows_begins_at_corners_and_takes_two_pixels():
    ramp = torch.arange(598.0).expand(1, 3, 598, 598)
    torch.testing.assert_close(tensorflows(ramp)[0, 0, 0], torch.arange(0, 598, 2.0))  # every second, unsmoothed
    two = torch.tensor([0.0, 299.0]).expand(1, 1, 1, 2)
    expected = torch.cat((torch.arange(0, 300, 2.0), torch.full((149,), 299.0)))
    torch.testing.assert_close(tensorflows(two)[0, 0, 0], expected)


def test_images_of_299_px_are_left_alone():
    image = smooth(4, 1, 299, 299).float()
    torch.testing.assert_close(tensorflows(image), image, rtol=0, atol=0)
    torch.testing.assert_close(clean(image), image, rtol=0, atol=1e-4)


def test_the_two_ways_are_two_protocols():
    assert TENSORFLOW.weights == CLEAN.weights == "fid-inception"
    assert TENSORFLOW.preprocessing == "tf1 bilinear 299"
    assert CLEAN.preprocessing == "bicubic 299, antialiased, float, clamped"


class Without:
    """An import system that does not have torch-fidelity."""

    @staticmethod
    def find_spec(name, path=None, target=None):
        if name == "torch_fidelity":
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)


@pytest.mark.parametrize("name", FOUR)
def test_without_torch_fidelity_they_are_unavailable(name, monkeypatch):
    for module in [each for each in sys.modules if each.partition(".")[0] == "torch_fidelity"]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setattr(sys, "meta_path", [Without, *sys.meta_path])
    found = measured(name, fake=smooth(0, 3), target=smooth(1, 3))
    assert (found["value"], found["n"]) == (None, 0)
    assert found["reason"] == "it needs the package `torch_fidelity`: pip install torch_fidelity"


@pytest.mark.parametrize("name", FOUR)
def test_without_weights_they_are_unavailable(name, monkeypatch):
    def absent(name):
        raise WeightsError(f"{name} cannot be had.\nTried: nothing")

    monkeypatch.setattr(_inception, "pretrained", absent)
    found = measured(name, fake=smooth(0, 3), target=smooth(1, 3))
    assert found["value"] is None
    assert found["reason"] == "fid-inception cannot be had. Tried: nothing"
