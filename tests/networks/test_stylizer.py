"""The style network: sizes and parameters by hand, where it is padded and where it is not, what is refused."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from lossbench.errors import OptionError
from lossbench.hookspecs import Recipe
from lossbench.networks import Network, check, patch_discriminator, style_generator, stylizer
from lossbench.networks.generators import ResidualBlock
from lossbench.networks.stylizer import CroppingBlock
from lossbench.registry import load

BOTH = ("start", "each")


def images(*shape: int) -> Tensor:
    return torch.rand(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(0)) * 2 - 1


def count(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def without_norms(module: nn.Module) -> nn.Module:
    """Put nothing in the place of the norms: through one every pixel would see the whole image's mean."""
    for parent in module.modules():
        for name, child in parent.named_children():
            if isinstance(child, nn.InstanceNorm2d):
                setattr(parent, name, nn.Identity())
    return module.double()


def shapes(network: Network, size: int) -> list[tuple[int, int]]:
    """Return channels and side after each layer."""
    with torch.device("meta"):
        image = torch.zeros(1, 3, size, size)
        return [tuple(each.shape[1:3]) for each in network.to("meta").features(image, range(len(network.layers)))]


def distinct(found: list[tuple[int, int]]) -> list[tuple[int, int]]:
    return [each for each, before in zip(found, [None, *found], strict=False) if each != before]


# Layers ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("padding", BOTH)
@pytest.mark.parametrize("n", [4, 32])
def test_parameters_are_those_of_the_papers_layers(padding, n):
    down = (3 * n * 81 + n) + (n * 2 * n * 9 + 2 * n) + (2 * n * 4 * n * 9 + 4 * n)
    blocks = 5 * 2 * (4 * n * 4 * n * 9 + 4 * n)
    up = (4 * n * 2 * n * 9 + 2 * n) + (2 * n * n * 9 + n) + (n * 3 * 81 + 3)
    assert count(stylizer(ngf=n, padding=padding)) == down + blocks + up


def test_johnsons_network_has_1_676_035_parameters_and_starts_padded():
    with torch.device("meta"):
        network = style_generator(3)
    assert count(network) == 1_676_035  # of which 0 in the norms
    assert isinstance(network.layers[0], nn.ReflectionPad2d)
    assert [layer.out_channels for block in network.layers if isinstance(block, CroppingBlock) for layer in block.layers
            if isinstance(layer, nn.Conv2d)] == [128] * 10  # fmt: skip


def test_padded_at_the_start_the_blocks_take_it_away_again():
    assert distinct(shapes(stylizer(ngf=4), 48)) == [
        (3, 128), (4, 128), (8, 64), (16, 32), (16, 28), (16, 24), (16, 20), (16, 16), (16, 12), (8, 24), (4, 48), (3, 48),
    ]  # fmt: skip


def test_padded_each_time_the_blocks_keep_the_size():
    found = distinct(shapes(stylizer(ngf=4, padding="each"), 48))
    assert found == [
        (3, 56), (4, 48), (4, 50), (8, 24), (8, 26), (16, 12), (8, 24), (4, 48), (4, 56), (3, 48)
    ]  # fmt: skip


@pytest.mark.parametrize(("padding", "kind"), [("start", CroppingBlock), ("each", ResidualBlock)])
@pytest.mark.parametrize(("norm", "norms"), [("instance", nn.InstanceNorm2d), ("batch", nn.BatchNorm2d)])
def test_there_are_five_blocks_and_a_norm_behind_every_convolution_but_the_last(padding, kind, norm, norms):
    network = stylizer(ngf=2, padding=padding, norm=norm)
    assert sum(isinstance(layer, kind) for layer in network.layers) == 5
    modules = list(network.modules())
    assert sum(isinstance(each, norms) for each in modules) == 3 + 5 * 2 + 2
    assert sum(isinstance(each, nn.Conv2d | nn.ConvTranspose2d) for each in modules) == 3 + 5 * 2 + 2 + 1
    assert sum(isinstance(each, nn.ReLU) for each in modules) == 3 + 5 + 2
    assert [type(layer) for layer in network.layers][-1] is nn.Tanh


@pytest.mark.parametrize(
    ("padding", "sizes"), [("start", [(44, 44), (48, 64), (100, 44)]), ("each", [(8, 8), (48, 64), (44, 20)])]
)
def test_images_keep_their_size_and_come_out_from_minus_1_to_1(padding, sizes):
    torch.manual_seed(0)
    network = stylizer(ngf=2, padding=padding)
    for size in sizes:
        fake = network(100 * torch.randn(2, 3, *size))
        assert fake.shape == (2, 3, *size)
        assert fake.abs().max() <= 1
        assert fake.std() > 0


# Padding --------------------------------------------------------------------------------------------------------------


def test_a_block_adds_what_it_computes_to_what_it_leaves_of_its_input():
    torch.manual_seed(0)
    block, x = CroppingBlock(3, "instance").double(), images(1, 3, 9, 8)
    torch.testing.assert_close(block(x) - block.layers(x), x[:, :, 2:7, 2:6])


def test_blocks_know_nothing_of_a_border():
    torch.manual_seed(0)
    blocks = without_norms(nn.Sequential(*(CroppingBlock(2, "instance") for _ in range(5))))
    x = images(1, 2, 29, 27)
    torch.testing.assert_close(blocks(x)[..., 3:-3, 2:-1], blocks(x[..., 3:-3, 2:-1]), rtol=1e-10, atol=1e-12)


def test_padded_at_the_start_the_image_is_mirrored_by_40_px():
    image = images(1, 3, 44, 48)
    (padded,) = stylizer(ngf=2).features(image, (0,))
    rows, columns = ([*range(40, 0, -1), *range(n), *range(n - 2, n - 42, -1)] for n in (44, 48))
    torch.testing.assert_close(padded, image[:, :, rows][..., columns], rtol=0, atol=0)


@pytest.mark.parametrize(("padding", "first"), [("start", 1), ("each", 0)])
def test_before_the_way_up_each_keeps_a_flat_image_flat_and_start_its_middle(padding, first):
    torch.manual_seed(0)
    network = without_norms(stylizer(ngf=2, padding=padding))
    place = max(n for n, layer in enumerate(network.layers) if isinstance(layer, CroppingBlock | ResidualBlock))
    (found,) = network.features(torch.full((1, 3, 64, 64), 0.5).double(), (place,))
    assert found.shape[2:] == (16, 16)
    middle = found[..., 4 * first : 16 - 4 * first, 4 * first : 16 - 4 * first]
    torch.testing.assert_close(middle, middle[..., :1, :1].expand_as(middle), rtol=1e-9, atol=1e-9)
    assert found.std() > 1e-6  # over channels: not all is 0


@pytest.mark.parametrize("padding", BOTH)
def test_the_convolutions_of_start_but_not_of_each_are_padded_with_zeros(padding):
    layers = [layer for layer in stylizer(ngf=2, padding=padding).layers if isinstance(layer, nn.Conv2d)]
    expected = [(4, 4), (1, 1), (1, 1), (4, 4)] if padding == "start" else [(0, 0)] * 4
    assert [layer.padding for layer in layers] == expected
    assert [layer.stride for layer in layers] == [(1, 1), (2, 2), (2, 2), (1, 1)]
    assert [layer.kernel_size for layer in layers] == [(9, 9), (3, 3), (3, 3), (9, 9)]


# What is refused ------------------------------------------------------------------------------------------------------


def recipe() -> Recipe:
    return Recipe(networks=(style_generator, patch_discriminator), directions=("A2B",))


@pytest.mark.parametrize(
    ("size", "padding", "said"),
    [
        (40, "start", "data.size=40: these networks cannot take such images ("),
        (16, "start", "data.size=16: these networks cannot take such images ("),
        (46, "start", "data.size=46: this generator takes multiples of 4 px. Use --size 48."),
        (46, "each", "data.size=46: this generator takes multiples of 4 px. Use --size 48."),
    ],
)
def test_sizes_that_it_cannot_take_are_refused_in_one_line(size, padding, said):
    with pytest.raises(OptionError) as error:
        check(recipe(), options(padding), size)
    assert str(error.value).startswith(said)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(("size", "padding"), [(44, "start"), (32, "each")])
def test_sizes_that_it_can_take_are_not(size, padding):
    check(recipe(), options(padding), size)


def options(padding: str) -> dict[str, object]:
    return {
        "ngf": 2, "padding": padding, "norm": "instance", "init": "normal",
        "discriminator": "n_layers", "ndf": 2, "n_layers": 2, "antialias": False,
    }  # fmt: skip


def test_the_recipe_has_this_network_with_the_papers_width():
    spec = load("recipes", "style").spec
    assert spec.networks[0] is style_generator
    assert spec.defaults(256)["model.ngf"] == 32
