"""The U-Net: its size, its levels, skips, dropout, what its norm does in translation, and names that are refused."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch
from torch import nn

from lossbench.errors import OptionError
from lossbench.networks import unet, unet_generator


def count(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def by_hand(depth: int, ngf: int, skips: bool) -> int:
    """Count weights of 4 x 4 convolutions, batch norms' pairs, and the last layer's bias."""
    widths = [min(2**n, 8) * ngf for n in range(depth)]
    total = 3 * ngf * 16 + (2 if skips else 1) * ngf * 3 * 16 + 3
    for level, (outer, inner) in enumerate(pairwise(widths), start=2):
        innermost = level == depth
        total += outer * inner * 16 + (0 if innermost else 2 * inner)
        total += inner * (1 if innermost or not skips else 2) * outer * 16 + 2 * outer
    return total


@pytest.mark.parametrize(
    ("depth", "ngf", "skips"), [(8, 64, True), (8, 64, False), (7, 64, True), (3, 4, True), (2, 4, True)]
)
def test_the_parameters_are_those_counted_by_hand(depth, ngf, skips):
    with torch.device("meta"):
        assert count(unet(depth=depth, ngf=ngf, skips=skips)) == by_hand(depth, ngf, skips)


def test_the_u_net_of_256_px_has_the_parameters_of_the_reference():
    with torch.device("meta"):
        assert count(unet_generator(3)) == 54_413_955  # it prints 54.414 M


@pytest.mark.parametrize("skips", [True, False])
def test_without_skips_nothing_but_the_bottleneck_tells_of_the_image(skips):
    torch.manual_seed(0)
    network = unet_generator(3, generator="unet_16", ngf=4, dropout=0.0, norm="instance", skips=skips).double()
    bottom = [module for module in network.modules() if isinstance(module, nn.Conv2d)][-1]
    bottom.register_forward_hook(lambda module, given, out: out * 0)
    one, other = network(torch.randn(2, 3, 32, 32, dtype=torch.float64))
    assert torch.allclose(one, other) is not skips


def test_dropout_follows_the_widest_steps_up_but_the_innermost():
    drops = [module.p for module in unet(depth=8, ngf=2).modules() if isinstance(module, nn.Dropout)]
    assert drops == [0.5, 0.5, 0.5]
    assert not unet(depth=8, ngf=2, dropout=0.0).draws
    assert unet(depth=8, ngf=2).draws


def test_batch_norm_takes_the_statistics_of_the_image_in_translation_too():
    torch.manual_seed(0)
    network = unet_generator(3, generator="unet_8", ngf=4, dropout=0.0)
    image = torch.randn(1, 3, 16, 16)
    trained = network.train()(image)
    assert torch.equal(network.eval()(image), trained)
    assert network.counts
    assert not any("running" in name for name in network.state_dict())


@pytest.mark.parametrize("size", [16, 48])
def test_it_returns_an_image_of_the_same_size_from_minus_1_to_1(size):
    torch.manual_seed(0)
    network = unet_generator(3, generator="unet_16", ngf=4)
    fake = network(100 * torch.randn(2, 3, size, size))
    assert fake.shape == (2, 3, size, size)
    assert fake.abs().max() <= 1
    assert network.multiple == 16


@pytest.mark.parametrize("init", ["normal", "xavier"])
def test_initial_weights_are_small_and_norms_near_one(init):
    torch.manual_seed(0)
    network = unet_generator(3, generator="unet_32", ngf=16, init=init)
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
            fans = sum(nn.init._calculate_fan_in_and_fan_out(module.weight))
            expected = 0.02 if init == "normal" else 0.02 * (2 / fans) ** 0.5
            assert module.weight.std().item() == pytest.approx(expected, rel=0.2)
        elif isinstance(module, nn.BatchNorm2d):
            assert module.weight.mean().item() == pytest.approx(1, abs=0.02)
            assert module.weight.std() > 0
            assert (module.bias == 0).all()


@pytest.mark.parametrize("name", ["unet", "unet_", "unet_2", "unet_100", "unet_256 ", "resnet_9blocks"])
def test_another_name_is_refused(name):
    with pytest.raises(OptionError) as error:
        unet_generator(3, generator=name)
    assert str(error.value) == f"model.generator={name!r}: write unet_256, or another power of two from 4 on."
