"""Antialiased networks: the two filters by plain loops, the order of layers, and the default that stays as it was."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from lossbench.networks import Network, initialised, normed, patch_discriminator, resnet, resnet_generator
from lossbench.networks.generators import Blur, ResidualBlock

TAPS = ((1, 2, 1), (2, 4, 2), (1, 2, 1))  # of 16


def random(*shape: int) -> Tensor:
    return torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


def reflected(place: int, side: int) -> int:
    """Return where a place beyond the border is looked up: the border itself is not repeated."""
    return abs(place) if place < side else 2 * (side - 1) - place


def doubled(row: list[float]) -> list[float]:
    """[1 3 3 1] / 4 between pixels, the border repeated."""
    wide = [row[0], *row, row[-1]]
    return [
        value
        for before, here, after in zip(wide, row, wide[2:], strict=False)
        for value in ((before + 3 * here) / 4, (3 * here + after) / 4)
    ]


def upsample() -> nn.Module:
    return next(layer for layer in resnet(3, blocks=0, ngf=2, antialias=True).layers if isinstance(layer, nn.Upsample))


# The filters ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("height", "width"), [(6, 8), (5, 7), (2, 3)])
def test_a_blur_is_every_second_pixel_of_the_weighted_mean_of_its_neighbours(height, width):
    image = random(2, 3, height, width)
    found = Blur().double()(image)
    assert found.shape == (2, 3, (height + 1) // 2, (width + 1) // 2)
    for y in range(found.shape[2]):
        for x in range(found.shape[3]):
            expected = sum(
                TAPS[i + 1][j + 1] / 16 * image[..., reflected(2 * y + i, height), reflected(2 * x + j, width)]
                for i in (-1, 0, 1)
                for j in (-1, 0, 1)
            )
            torch.testing.assert_close(found[..., y, x], expected)


def test_stripes_of_one_pixel_are_blurred_away():
    stripes = torch.tensor([1.0, -1.0]).repeat(8).expand(1, 2, 16, 16)
    assert not Blur()(stripes).any()


def test_doubling_is_the_filter_of_four_taps_along_rows_and_columns():
    image = random(1, 1, 3, 4)
    rows = torch.tensor([doubled(row) for row in image[0, 0].tolist()], dtype=torch.float64)
    expected = torch.tensor([doubled(column) for column in rows.T.tolist()], dtype=torch.float64).T
    torch.testing.assert_close(upsample()(image)[0, 0], expected)


@pytest.mark.parametrize("layer", [Blur(), upsample()])
def test_a_constant_stays_constant_up_to_the_border(layer):
    found = layer(torch.full((1, 2, 6, 8), 0.75))
    torch.testing.assert_close(found, torch.full_like(found, 0.75), rtol=0, atol=1e-7)


def test_the_gradient_of_a_blur_is_its_slope():
    assert torch.autograd.gradcheck(Blur().double(), random(1, 2, 5, 6).requires_grad_())


# The networks ---------------------------------------------------------------------------------------------------------


def kinds(network: Network) -> list[str]:
    return [type(layer).__name__ for layer in network.layers]


def test_the_generators_layers_stand_as_in_cut():
    with torch.device("meta"):
        found = kinds(resnet_generator(3, antialias=True))
    stage = ["Conv2d", "InstanceNorm", "ReLU"]
    expected = ["ReflectionPad2d", *stage, *stage, "Blur", *stage, "Blur", *["ResidualBlock"] * 9]
    assert found == [*expected, "Upsample", *stage, "Upsample", *stage, "ReflectionPad2d", "ToPixels", "Tanh"]
    named = [found[layer] for layer in (0, 4, 8, 12, 16)]
    assert named == ["ReflectionPad2d", "Conv2d", "Conv2d", "ResidualBlock", "ResidualBlock"]


def test_the_discriminators_layers_stand_as_in_cut():
    with torch.device("meta"):
        found = kinds(patch_discriminator(3, antialias=True))
    stage = ["Conv2d", "InstanceNorm", "LeakyReLU"]
    assert found == ["Conv2d", "LeakyReLU", "Blur", *stage, "Blur", *stage, "Blur", *stage, "Conv2d"]


@pytest.mark.parametrize(("make", "parameters"), [(resnet_generator, 11_378_179), (patch_discriminator, 2_764_737)])
def test_there_are_as_many_parameters_as_without_and_no_convolution_strides(make, parameters):
    with torch.device("meta"):
        network, plain = make(3, antialias=True), make(3)
    shapes = [[(name, each.shape) for name, each in one.state_dict().items()] for one in (network, plain)]
    assert sum(each.numel() for each in network.parameters()) == parameters == sum(map(torch.numel, plain.parameters()))
    assert len(shapes[0]) == len(shapes[1])  # no filter among what is saved
    convolutions = [each for each in network.modules() if isinstance(each, nn.Conv2d)]
    assert {each.stride for each in convolutions} == {(1, 1)}
    assert not any(isinstance(each, nn.ConvTranspose2d) for each in network.modules())


def test_features_shrink_where_the_blurs_are():
    network = resnet(3, blocks=5, ngf=2, antialias=True)
    found = network.features(torch.zeros(1, 3, 32, 32), (0, 4, 8, 12, 16))
    assert [each.shape[1:] for each in found] == [(3, 38, 38), (4, 32, 32), (8, 16, 16), (8, 8, 8), (8, 8, 8)]


@pytest.mark.parametrize("size", [16, 36])
@pytest.mark.parametrize("norm", ["instance", "batch"])
def test_the_generator_returns_an_image_of_the_same_size(size, norm):
    network = resnet_generator(3, generator="resnet_1blocks", ngf=4, norm=norm, antialias=True)
    assert network.multiple == 4
    assert network(torch.zeros(2, 3, size, size)).shape == (2, 3, size, size)


def test_256_px_are_judged_in_30_x_30_patches():
    with torch.device("meta"):
        assert patch_discriminator(3, antialias=True)(torch.zeros(2, 3, 256, 256)).shape == (2, 1, 30, 30)


def test_the_pixel_discriminator_has_nothing_to_blur():
    assert "Blur" not in kinds(patch_discriminator(3, discriminator="pixel", ndf=2, antialias=True))


def test_a_lean_network_gives_the_same_bits(monkeypatch):
    monkeypatch.setattr("lossbench.networks.network.LARGE", 0)
    network, image = resnet(3, blocks=1, ngf=4, antialias=True), torch.rand(1, 3, 16, 16, requires_grad=True)
    results = []
    for network.lean in (False, True):
        fake = network(image)
        results.append([fake, *torch.autograd.grad(fake.square().mean(), [image, *network.parameters()])])
    assert all(torch.equal(one, other) for one, other in zip(*results, strict=True))


# The default ----------------------------------------------------------------------------------------------------------


def generator_as_it_was(ngf: int) -> nn.Sequential:
    def stage(convolution: nn.Module) -> list[nn.Module]:
        return [*normed(convolution, "instance"), nn.ReLU()]

    return nn.Sequential(
        nn.ReflectionPad2d(3), *stage(nn.Conv2d(3, ngf, 7)),
        *stage(nn.Conv2d(ngf, 2 * ngf, 3, stride=2, padding=1)),
        *stage(nn.Conv2d(2 * ngf, 4 * ngf, 3, stride=2, padding=1)),
        ResidualBlock(4 * ngf, 0.0, "instance"),
        *stage(nn.ConvTranspose2d(4 * ngf, 2 * ngf, 3, stride=2, padding=1, output_padding=1)),
        *stage(nn.ConvTranspose2d(2 * ngf, ngf, 3, stride=2, padding=1, output_padding=1)),
        nn.ReflectionPad2d(3), nn.Conv2d(ngf, 3, 7), nn.Tanh(),
    )  # fmt: skip


def discriminator_as_it_was(ndf: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(3, ndf, 4, stride=2, padding=1), nn.LeakyReLU(0.2),
        nn.Conv2d(ndf, 2 * ndf, 4, stride=2, padding=1), nn.InstanceNorm2d(2 * ndf), nn.LeakyReLU(0.2),
        nn.Conv2d(2 * ndf, 4 * ndf, 4, stride=1, padding=1), nn.InstanceNorm2d(4 * ndf), nn.LeakyReLU(0.2),
        nn.Conv2d(4 * ndf, 1, 4, padding=1),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("now", "as_it_was"),
    [
        (lambda: resnet_generator(3, generator="resnet_1blocks", ngf=4), lambda: generator_as_it_was(4)),
        (lambda: patch_discriminator(3, ndf=4, n_layers=2), lambda: discriminator_as_it_was(4)),
    ],
)
def test_without_antialias_parameters_and_outputs_are_what_they_were_to_the_bit(now, as_it_was):
    torch.manual_seed(0)
    network = now()
    torch.manual_seed(0)
    plain = initialised(as_it_was())
    mine = dict(network.layers.named_parameters())
    assert mine.keys() == dict(plain.named_parameters()).keys()
    assert all(torch.equal(mine[name], each) for name, each in plain.named_parameters())
    image = random(2, 3, 32, 32).float()
    assert torch.equal(network(image), plain(image))
