"""Generators of pytorch-CycleGAN-and-pix2pix: read from weights alone, equal to networks built plainly from the papers."""

from __future__ import annotations

import os

import cv2
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

import lossbench
from lossbench.errors import OptionError, RunError
from lossbench.foreign import read_generator
from lossbench.networks import patch_discriminator

# The papers' networks with that repository's names ------------------------------------------------------------------


class Block(nn.Module):
    def __init__(self, *layers):
        super().__init__()
        self.conv_block = nn.Sequential(*layers)

    def forward(self, x):
        return x + self.conv_block(x)


class Level(nn.Module):
    def __init__(self, *layers, outermost=False):
        super().__init__()
        self.model = nn.Sequential(*layers)
        self.outermost = outermost

    def forward(self, x):
        return self.model(x) if self.outermost else torch.cat([x, self.model(x)], 1)


class Named(nn.Module):
    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, x):
        return self.model(x)


class Halve(nn.Module):
    """A blur by [1 2 1] x [1 2 1] / 16 and every second pixel, as CUT has it."""

    def __init__(self, channels):
        super().__init__()
        taps = torch.tensor([1.0, 2, 1])
        self.register_buffer("filt", (torch.outer(taps, taps) / 16).expand(channels, 1, 3, 3).clone())

    def forward(self, x):
        return F.conv2d(F.pad(x, (1, 1, 1, 1), "reflect"), self.filt, stride=2, groups=x.shape[1])


class Double(nn.Module):
    """Zeros between pixels, and [1 3 3 1] x [1 3 3 1] / 16 over them."""

    def __init__(self, channels):
        super().__init__()
        taps = torch.tensor([1.0, 3, 3, 1])
        self.register_buffer("filt", (torch.outer(taps, taps) / 16).expand(channels, 1, 4, 4).clone())

    def forward(self, x):
        padded = F.pad(x, (1, 1, 1, 1), "replicate")
        return F.conv_transpose2d(padded, self.filt, stride=2, padding=3, groups=x.shape[1])


def instance(channels):
    return nn.InstanceNorm2d(channels)


def batch(channels):
    return nn.BatchNorm2d(channels)


def old_instance(channels):
    return nn.InstanceNorm2d(channels, track_running_stats=True)


def plain_resnet(blocks, ngf, norm, dropout=False, antialias=False, channels=3):
    bias = norm in (instance, old_instance)
    stride = 1 if antialias else 2

    def block(c):
        noise = [nn.Dropout(0.5)] if dropout else []
        return Block(
            nn.ReflectionPad2d(1), nn.Conv2d(c, c, 3, bias=bias), norm(c), nn.ReLU(True), *noise,
            nn.ReflectionPad2d(1), nn.Conv2d(c, c, 3, bias=bias), norm(c),
        )  # fmt: skip

    def up(c):
        if antialias:
            return [Double(c), nn.Conv2d(c, c // 2, 3, 1, 1, bias=bias)]
        return [nn.ConvTranspose2d(c, c // 2, 3, 2, 1, 1, bias=bias)]

    layers = [nn.ReflectionPad2d(3), nn.Conv2d(channels, ngf, 7, bias=bias), norm(ngf), nn.ReLU(True)]
    for c in (ngf, 2 * ngf):
        layers += [nn.Conv2d(c, 2 * c, 3, stride, 1, bias=bias), norm(2 * c), nn.ReLU(True)]
        layers += [Halve(2 * c)] if antialias else []
    layers += [block(4 * ngf) for _ in range(blocks)]
    for c in (4 * ngf, 2 * ngf):
        layers += [*up(c), norm(c // 2), nn.ReLU(True)]
    return Named(nn.Sequential(*layers, nn.ReflectionPad2d(3), nn.Conv2d(ngf, channels, 7), nn.Tanh()))


def plain_unet(depth, ngf, norm, dropout=True):
    bias = norm in (instance, old_instance)
    wide = ngf * 8

    def level(outer, inner, below, noise=False):
        down = [nn.LeakyReLU(0.2, True), nn.Conv2d(outer, inner, 4, 2, 1, bias=bias)]
        if below is None:
            up = [nn.ReLU(True), nn.ConvTranspose2d(inner, outer, 4, 2, 1, bias=bias), norm(outer)]
            return Level(*down, *up)
        up = [nn.ReLU(True), nn.ConvTranspose2d(2 * inner, outer, 4, 2, 1, bias=bias), norm(outer)]
        return Level(*down, norm(inner), below, *up, *([nn.Dropout(0.5)] if noise else []))

    below = level(wide, wide, None)
    for _ in range(depth - 5):
        below = level(wide, wide, below, noise=dropout)
    for outer in (4 * ngf, 2 * ngf, ngf):
        below = level(outer, 2 * outer, below)
    layers = [nn.Conv2d(3, ngf, 4, 2, 1, bias=bias), below, nn.ReLU(True), nn.ConvTranspose2d(2 * ngf, 3, 4, 2, 1)]
    return Named(Level(*layers, nn.Tanh(), outermost=True))


@pytest.fixture(autouse=True)
def _seeded():
    torch.manual_seed(0)


def saved(path, network, **options):
    torch.save(network.state_dict(), path, **options)
    return path


def lively(network):
    """Give norms weights and statistics that are not 1 and 0."""
    for tensor in network.state_dict().values():
        if tensor.ndim == 1 and tensor.is_floating_point():
            tensor.uniform_(0.5, 1.5)
    return network


def same(network, plain, side):
    """Compare in train mode, with the same draws, as that repository translates."""
    image = torch.rand(1, 3, side, side) * 2 - 1
    outputs = []
    for each in (network, plain):
        torch.manual_seed(1)
        with torch.no_grad():
            outputs.append(each.train()(image.clone()))
    torch.testing.assert_close(*outputs, atol=1e-6, rtol=0)
    assert outputs[0].std() > 1e-3


# What is read -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("norm", [instance, batch, old_instance])
@pytest.mark.parametrize("dropout", [False, True])
@pytest.mark.parametrize("blocks", [1, 6, 9])
def test_a_resnet_is_that_of_the_paper(tmp_path, norm, dropout, blocks):
    plain = lively(plain_resnet(blocks, 4, norm, dropout))
    network = read_generator(saved(tmp_path / "latest_net_G_A.pth", plain))
    assert (network.draws, network.counts, network.multiple) == (dropout, norm is batch, 4)
    same(network, plain, 32)


@pytest.mark.parametrize("norm", [instance, batch])
@pytest.mark.parametrize("depth", [5, 7, 8])
def test_a_unet_is_that_of_the_paper(tmp_path, norm, depth):
    plain = lively(plain_unet(depth, 2, norm))
    network = read_generator(saved(tmp_path / "latest_net_G.pth", plain))
    assert (network.draws, network.counts, network.multiple) == (depth > 5, norm is batch, 2**depth)
    same(network, plain, 2**depth)


def test_a_unet_of_cyclegan_has_no_dropout_there(tmp_path):
    plain = lively(plain_unet(6, 2, batch, dropout=False))
    network = read_generator(saved(tmp_path / "latest_net_G_B.pth", plain))
    assert not network.draws
    same(network, plain, 64)


def test_an_antialiased_resnet_is_that_of_cut(tmp_path):
    plain = lively(plain_resnet(9, 4, instance, antialias=True))
    same(read_generator(saved(tmp_path / "latest_net_G.pth", plain)), plain, 32)


@pytest.mark.parametrize("options", [{}, {"_use_new_zipfile_serialization": False}])
def test_files_of_data_parallel_and_of_old_torch_are_read(tmp_path, options):
    plain = plain_resnet(1, 4, instance)
    network = read_generator(saved(tmp_path / "latest_net_G_B.pth", nn.DataParallel(plain), **options))
    same(network, plain, 16)


def test_reading_draws_nothing(tmp_path):
    path = saved(tmp_path / "latest_net_G.pth", plain_unet(5, 2, batch))
    state = torch.get_rng_state()
    read_generator(path)
    assert torch.equal(torch.get_rng_state(), state)


# What is refused ----------------------------------------------------------------------------------------------------


class Code:
    def __reduce__(self):
        return os.system, ("touch ran",)


def tampered(change):
    state = plain_resnet(1, 4, instance).state_dict()
    change(state)
    return state


REFUSED = {
    "a discriminator": (
        {key.replace("layers", "model"): value for key, value in patch_discriminator(3, ndf=4).state_dict().items()},
        r"holds a discriminator\. Name a file such as latest_net_G_A\.pth",
    ),
    "another repository's": (
        nn.Conv2d(3, 3, 3).state_dict(),
        r"holds not a generator of pytorch-CycleGAN-and-pix2pix, `model\.1\.weight` or `model\.model\.0\.weight`\. Name",
    ),
    "a whole training state": (
        {"epoch": 3, "model": plain_resnet(1, 4, instance).state_dict()},
        "holds not a generator",
    ),
    "numbers beside weights": (tampered(lambda state: state.update(epoch=3)), "holds not a generator"),
    "an odd key": (
        tampered(lambda state: state.update({3: torch.zeros(1)})),
        r"does not have: Unexpected key\(s\) in state_dict: \"3\"",
    ),
    "a list": ([torch.zeros(1)], r"is not a generator of pytorch-CycleGAN-and-pix2pix\."),
    "code": (Code(), r"holds code, not only tensors and plain values\. It was not opened\."),
    "grey images": (
        plain_resnet(1, 4, instance, channels=1).state_dict(),
        r"its first weights are 4 x 1 x 7 x 7; lossbench translates images of 3 channels\.",
    ),
    "a missing layer": (
        tampered(lambda state: state.pop("model.10.conv_block.1.weight")),
        r"holds a generator that lossbench does not have: Missing key\(s\) in state_dict: \"layers\.10\.layers\.1\.weight\"",
    ),
    "weights of another shape": (
        tampered(lambda state: state.update({"model.4.weight": torch.zeros(2, 2, 3, 3)})),
        r"does not have: size mismatch for layers\.4\.weight",
    ),
    "a vector": (tampered(lambda state: state.update({"model.1.weight": torch.zeros(4)})), r"its first weights are 4;"),
    "nan": (
        tampered(lambda state: state["model.1.weight"].fill_(float("nan"))),
        r"model\.1\.weight is not finite\. Use weights from before they diverged\.",
    ),
    "a shallow unet": ({"model.model.0.weight": torch.zeros(4, 3, 4, 4)}, r"a U-Net of one level"),
    "no norm": (plain_resnet(9, 4, lambda c: nn.Identity()).state_dict(), r"does not have: Missing key"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_no_such_generator_is_one_line(lossbench, tmp_path, name):
    content, message = REFUSED[name]
    torch.save(content, tmp_path / "latest_net_G.pth")
    cv2.imwrite(str(tmp_path / "a.png"), np.zeros((8, 8, 3), np.uint8))
    with pytest.raises(RunError, match=message):
        read_generator(tmp_path / "latest_net_G.pth")
    code, out, err = lossbench("translate", "latest_net_G.pth", "a.png", "--out", "out")
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert not (tmp_path / "out").exists()
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("length", [0, 10, 100, 2000])
def test_a_file_that_is_cut_short_is_one_line(tmp_path, length):
    path = saved(tmp_path / "latest_net_G.pth", plain_resnet(1, 4, instance))
    path.write_bytes(path.read_bytes()[:length])
    with pytest.raises(
        RunError, match=r"latest_net_G\.pth is damaged, or not a generator of pytorch-CycleGAN-and-pix2pix\."
    ):
        read_generator(path)


def test_a_file_that_is_not_there_is_one_line(tmp_path):
    with pytest.raises(RunError, match=r"latest_net_G\.pth cannot be read: No such file or directory\."):
        read_generator(tmp_path / "latest_net_G.pth")


# Translating --------------------------------------------------------------------------------------------------------


@pytest.fixture
def picture(tmp_path):
    path = tmp_path / "a.png"
    cv2.imwrite(str(path), np.random.default_rng(0).integers(0, 256, (20, 28, 3), np.uint8))
    return path


def test_images_are_translated_at_256_px_or_at_their_own(tmp_path, picture):
    file = saved(tmp_path / "latest_net_G_A.pth", plain_resnet(1, 2, instance))
    (square,) = lossbench.translate(file, picture, out=tmp_path / "square")
    assert cv2.imread(str(square)).shape == (256, 256, 3)
    (small,) = lossbench.translate(file, picture, out=tmp_path / "small", size=32)
    assert cv2.imread(str(small)).shape == (32, 32, 3)
    (own,) = lossbench.translate(file, picture, out=tmp_path / "own", keep_size=True)
    assert cv2.imread(str(own)).shape == (20, 28, 3)


def test_a_unet_draws_as_it_did_there_one_image_at_a_time(tmp_path, picture):
    file = saved(tmp_path / "latest_net_G.pth", plain_unet(6, 2, batch))

    def pixels(seed, out):
        (path,) = lossbench.translate(file, picture, out=tmp_path / out, size=64, seed=seed)
        return cv2.imread(str(path))

    first = pixels(None, "first")
    assert np.array_equal(pixels(0, "again"), first)
    assert not np.array_equal(pixels(1, "other"), first)


@pytest.mark.parametrize("option", ["direction", "recipe"])
def test_what_belongs_to_a_run_is_refused(tmp_path, picture, option):
    file = saved(tmp_path / "latest_net_G_A.pth", plain_resnet(1, 2, instance))
    word = "A2B" if option == "direction" else "cyclegan"
    with pytest.raises(OptionError, match=rf"latest_net_G_A\.pth is one generator\. Drop --{option}: it is a run's\."):
        lossbench.translate(file, picture, out=tmp_path / "out", **{option: word})
