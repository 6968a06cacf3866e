"""Images of any size, in tiles: as if translated whole, and where that cannot be, without a seam."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch
import torch.nn.functional as F
from skimage.data import astronaut
from torch import nn

from lossbench.data import to_tensor
from lossbench.errors import OptionError
from lossbench.networks import Network, resnet, unet
from lossbench.tiles import Tiles, check_side, least_side, pad, ramps, tiles_for


def noted(tiles, network, image):
    """Translate without gradients; return the result and the sizes that the network was given."""
    sizes = []

    def forward(tile):
        sizes.append(tuple(tile.shape[-2:]))
        return network(tile)

    with torch.no_grad():
        return tiles(forward, image, lambda: None), sizes


@pytest.fixture
def local():
    """Return a network without norms that sees 1 + 2 + 4 + 2 = 9 px to each side, with strides."""
    torch.manual_seed(0)
    layers = nn.Sequential(
        nn.Conv2d(3, 6, 3, padding=1), nn.ReLU(), nn.Conv2d(6, 6, 3, stride=2, padding=1), nn.ReLU(),
        nn.Conv2d(6, 6, 3, stride=2, padding=1), nn.ReLU(), nn.Upsample(scale_factor=4), nn.Conv2d(6, 3, 3, padding=1),
    )  # fmt: skip
    return Network(layers, multiple=4)


@pytest.mark.parametrize(("height", "width"), [(160, 160), (128, 400), (200, 132)])
def test_tiles_are_the_whole_where_the_network_sees_no_further_than_they_overlap(local, height, width):
    image = torch.rand(1, 3, height, width) * 2 - 1
    tiled, sizes = noted(tiles_for(local, 64, 40), local, image)
    with torch.no_grad():
        whole = local(image)
    assert len(sizes) > 3
    assert set(sizes) == {(64, 64)}
    torch.testing.assert_close(tiled, whole, atol=1e-5, rtol=0)


def test_tiles_that_overlap_too_little_are_not_the_whole(local):
    """So the test above can fail: hard tiles, and an overlap whose outer quarter is narrower than what is seen."""
    image = torch.rand(1, 3, 160, 160) * 2 - 1
    with torch.no_grad():
        whole = local(image)
    for overlap in (0, 8):
        assert (noted(tiles_for(local, 64, overlap), local, image)[0] - whole).abs().max() > 1e-3


@pytest.mark.parametrize("length", [40, 64, 65, 67, 100, 127, 128, 129, 200, 1001])
@pytest.mark.parametrize(
    ("multiple", "tile", "overlap"), [(4, 64, 16), (1, 64, 63), (4, 64, 0), (32, 64, 16), (64, 64, 16), (4, 64, 33)]
)
def test_tiles_cover_a_side_overlap_and_share_each_pixel(length, multiple, tile, overlap):
    side, starts = Tiles(multiple, multiple, tile, overlap).axis(length)
    steps = [after - before for before, after in pairwise(starts)]
    assert starts[0] == 0
    assert side % multiple == 0
    assert length <= starts[-1] + side < length + multiple
    assert all(0 < step <= tile - overlap for step in steps)
    if tile - overlap >= multiple:
        assert all(start % multiple == 0 for start in starts)
    shares = ramps(starts, side)
    assert shares.min() >= 0
    total = torch.zeros(starts[-1] + side, dtype=torch.float64)
    for start, share in zip(starts, shares, strict=True):
        total[start : start + side] += share
    torch.testing.assert_close(total, torch.ones_like(total))


def test_no_more_tiles_than_are_needed():
    assert Tiles(4, 8, 512, 128).axis(512) == (512, [0])
    assert Tiles(4, 8, 512, 128).axis(896) == (512, [0, 384])  # 384 = 512 - 128
    assert Tiles(4, 8, 512, 128).axis(897)[1] == [0, 192, 388]  # 388 = 900 - 512, halved and a multiple of 4
    assert Tiles(4, 8, 512, 128).count(896, 897) == 6


def test_a_ramp_rises_over_the_middle_half_of_the_overlap():
    first, second = ramps([0, 8], 16)
    assert second[:8].tolist() == [0, 0, 0.125, 0.375, 0.625, 0.875, 1, 1]  # of 8 px, the outer quarters are not used
    torch.testing.assert_close(first[8:], 1 - second[:8], atol=1e-12, rtol=0)
    assert first[:8].tolist() == second[8:].tolist() == [1] * 8


def inverting(photo):
    """Return a resnet with instance norm that has learnt, in 60 steps, to invert a photo."""
    torch.manual_seed(0)
    network = resnet(blocks=1, ngf=8)
    optimiser = torch.optim.Adam(network.parameters(), 5e-3)
    for _ in range(60):
        top, left = torch.randint(photo.shape[-1] - 96, (2,)).tolist()
        patch = photo[..., top : top + 96, left : left + 96]
        optimiser.zero_grad()
        (network(patch) + patch).abs().mean().backward()
        optimiser.step()
    return network


def test_no_line_at_the_borders_of_tiles_stands_out():
    """Across the lines where tiles begin and end as much changes, against elsewhere, as in the image translated whole."""
    photo = to_tensor(torch.from_numpy(astronaut()[:384, 64:448].copy()).permute(2, 0, 1)[None])
    network = inverting(photo)
    with torch.no_grad():
        whole = network(photo)

    def outstanding(fake, starts):
        lines = [start - 1 for start in starts[1:]] + [start + 127 for start in starts[:-1]]
        elsewhere = torch.ones(383, dtype=torch.bool)
        elsewhere[lines] = False
        both = fake.diff(dim=-1).abs().mean((0, 1, 2)), fake.diff(dim=-2).abs().mean((0, 1, 3))
        return torch.stack([change[lines].mean() / change[elsewhere].mean() for change in both])

    ratios = {}
    for overlap in (0, 32):
        tiles = tiles_for(network, 128, overlap)
        starts = tiles.axis(384)[1]
        ratios[overlap] = outstanding(noted(tiles, network, photo)[0], starts) / outstanding(whole, starts)
    assert ratios[0].min() > 2
    assert 0.9 < ratios[32].min() <= ratios[32].max() < 1.1


@pytest.mark.parametrize(("height", "width"), [(7, 5), (4, 64), (33, 50), (9, 31)])
def test_an_image_keeps_its_size_whatever_it_is(height, width):
    network = Network(nn.Sequential(nn.Identity()), multiple=32)
    image = torch.rand(1, 3, height, width)
    fake, sizes = noted(Tiles(32, 32, 64, 16), network, image)
    assert torch.equal(fake, image)
    assert sizes == [(-(-height // 32) * 32, -(-width // 32) * 32)]


def test_an_image_that_is_too_small_for_the_network_is_padded_to_what_it_takes():
    network = resnet(blocks=1, ngf=2)
    fake, sizes = noted(tiles_for(network), network, torch.rand(1, 3, 4, 5))
    assert fake.shape[-2:] == (4, 5)
    assert sizes == [(8, 8)]


def test_padding_reflects_and_repeats_the_border_of_what_is_too_small():
    row = torch.tensor([[[[1.0, 2, 3, 4]]]]).expand(1, 1, 4, 4)
    assert pad(row, 4, 8)[0, 0, 0].tolist() == [3, 2, 1, 2, 3, 4, 3, 2]
    assert pad(row, 4, 12)[0, 0, 0].tolist() == [1, 1, 1, 1, 1, 2, 3, 4, 4, 4, 4, 4]
    assert pad(row, 4, 5)[0, 0, 0].tolist() == [1, 2, 3, 4, 3]


@pytest.mark.parametrize(
    ("network", "least", "tile"),
    [
        (resnet(blocks=1, ngf=2), 8, 512),  # at 4 px its blocks have one pixel, which cannot be reflected
        (unet(depth=3, ngf=2), 8, 512),
        (unet(depth=10, ngf=2), 1024, 1024),
    ],
)
def test_the_smallest_side_and_the_tile_suit_the_network(network, least, tile):
    assert least_side(network) == least
    assert tiles_for(network).tile == tile
    assert tiles_for(network).overlap == tile // 4
    with torch.no_grad():
        assert network(torch.rand(1, 3, least, least)).shape[-1] == least


def test_a_side_is_tried_without_data_and_changes_nothing():
    network = unet(depth=2, ngf=2, dropout=0.5)
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    state = torch.get_rng_state()
    check_side(network, 8192, "--size")
    assert torch.equal(torch.get_rng_state(), state)
    for name, tensor in network.state_dict().items():
        assert tensor.device.type == "cpu"
        assert torch.equal(tensor, before[name])


@pytest.mark.parametrize(
    ("tile", "overlap", "message"),
    [
        (0, None, r"--tile 0: a side has 4 to 8192 px\."),
        (-8, None, r"--tile -8: a side has 4 to 8192 px\."),
        (30, None, r"--tile 30: this generator takes multiples of 4 px\. Use --tile 32\."),
        (4, None, r"--tile 4: this generator cannot: .*\. Use --tile 8 or more\."),
        (64, 64, r"--overlap 64: tiles of 64 px overlap by 0 to 63 px\."),
        (64, -1, r"--overlap -1: tiles of 64 px overlap by 0 to 63 px\."),
        (None, 512, r"--overlap 512: tiles of 512 px overlap by 0 to 511 px\."),
    ],
)
def test_tiles_that_cannot_be_are_one_line(tile, overlap, message):
    with pytest.raises(OptionError, match=message):
        tiles_for(resnet(blocks=1, ngf=2), tile, overlap)


def test_a_network_that_takes_no_image_is_one_line():
    with pytest.raises(OptionError, match=r"takes no image of up to 16 px: it returns 8 px\."):
        least_side(Network(nn.Sequential(nn.AvgPool2d(2))))
    with pytest.raises(OptionError, match=r"This generator takes no image of up to 16 px: "):
        least_side(Network(nn.Sequential(nn.Conv2d(1, 3, 1))))


def test_the_network_sees_no_more_than_a_tile():
    image = torch.rand(1, 3, 100, 300)
    tiles = tiles_for(resnet(blocks=1, ngf=2), 64, 16)
    fake, sizes = noted(tiles, lambda tile: F.avg_pool2d(tile, 1), image)
    assert max(max(size) for size in sizes) == 64
    assert len(sizes) == tiles.count(100, 300)
    torch.testing.assert_close(fake, image)
