"""Edges: magnitudes by hand and by scikit-image, orientations pixel by pixel and by the HOG of scikit-image."""

from __future__ import annotations

import inspect
import math

import cv2
import numpy as np
import pytest
import skimage
import torch
from kornia.filters import gaussian_blur2d
from lossbench_plugins.edges import descriptors, votes
from torch import Tensor

import lossbench
from lossbench.registry import load
from lossbench.testing import parametrize_loss_checks

AGAINST = {"truth": ["fake", "truth"], "real": ["fake", "real"], "cycle": ["rec", "real"]}
MODES = ("magnitude", "orientations")


def images(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed)) * 2 - 1


def smooth(side: int, seed: int = 0) -> Tensor:
    return 3 * gaussian_blur2d(images(1, 1, side, side, seed=seed), 13, (2.0, 2.0)).expand(-1, 3, -1, -1)


def grey(rows: Tensor) -> Tensor:  # [H, W] -> [1, 3, H, W]
    return rows.double().expand(1, 3, -1, -1)


def loss(fake: Tensor, real: Tensor, mode: str, **options) -> Tensor:
    return lossbench.load_loss("edges", mode=mode, **options)(fake=fake, real=real)


def stripes(side: int, period: int = 8) -> Tensor:
    return grey((2 * math.pi * torch.arange(side) / period).sin().expand(side, -1))


# Magnitudes -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("width", [8, 16])
def test_a_step_over_the_whole_range_is_one_in_each_of_two_columns(width):
    step = grey((torch.arange(width) >= width // 2).double().mul(2).sub(1).expand(6, -1))
    expected = 2 / width * (math.sqrt(1 + 1e-6) - 1e-3)
    value = lossbench.load_loss("edges")(fake=step, real=torch.zeros_like(step))
    assert value.shape == ()
    assert float(value) == pytest.approx(expected, rel=1e-9)


def test_magnitudes_are_those_of_scikit_image():
    one, other = images(2, 3, 12, 17), images(2, 3, 12, 17, seed=1)

    def magnitude(image: Tensor) -> np.ndarray:
        luma = cv2.cvtColor(image.permute(1, 2, 0).float().numpy(), cv2.COLOR_RGB2GRAY)
        return np.sqrt(
            skimage.filters.sobel(luma.astype(float)) ** 2 / 2 + 1e-6
        )  # theirs: twice the slope, over root 2

    expected = np.mean([np.abs(magnitude(a) - magnitude(b)) for a, b in zip(one, other, strict=True)])
    assert float(loss(one, other, "magnitude")) == pytest.approx(expected, rel=1e-5)


# Orientations ---------------------------------------------------------------------------------------------------------


def by_pixel(image: Tensor, bins: int, cell: int) -> np.ndarray:
    """Return the blocks of one image, [rows, columns, bins, 2, 2], as the paper tells it, one pixel after another."""
    luma = np.tensordot([0.299, 0.587, 0.114], image.numpy(), 1)
    height, width = luma.shape
    around = np.pad(luma, 1, mode="edge")
    shape = math.ceil(height / cell), math.ceil(width / cell), bins
    total, count = np.zeros(shape), np.zeros(shape[:2])
    for y in range(height):
        for x in range(width):
            dx, dy = (around[y + 1, x + 2] - around[y + 1, x]) / 2, (around[y + 2, x + 1] - around[y, x + 1]) / 2
            place = math.degrees(math.atan2(dy, dx)) % 180 / (180 / bins) - 0.5
            below = math.floor(place)
            slope = math.sqrt(dx * dx + dy * dy + 1e-6) - 1e-3
            total[y // cell, x // cell, below % bins] += slope * (1 - (place - below))
            total[y // cell, x // cell, (below + 1) % bins] += slope * (place - below)
            count[y // cell, x // cell] += 1
    cells = total / count[:, :, None]
    blocks = [[cells[r : r + 2, c : c + 2] for c in range(shape[1] - 1)] for r in range(shape[0] - 1)]
    return np.array([[b.transpose(2, 0, 1) / np.sqrt((b**2).sum() + 1e-4) for b in row] for row in blocks])


@pytest.mark.parametrize(
    ("bins", "cell", "size"), [(9, 8, (24, 24)), (9, 8, (19, 22)), (6, 5, (11, 16)), (2, 4, (8, 9))]
)
def test_orientations_are_those_counted_pixel_by_pixel(bins, cell, size):
    one, other = images(2, 3, *size), images(2, 3, *size, seed=1)
    blocks = [np.stack([by_pixel(image, bins, cell) for image in batch]) for batch in (one, other)]
    ours = descriptors(one, bins, cell).numpy()
    np.testing.assert_allclose(ours, np.moveaxis(blocks[0].reshape(2, -1, 4 * bins), 1, 2), rtol=1e-6, atol=1e-9)
    expected = ((blocks[0] - blocks[1]) ** 2).sum((3, 4, 5)).mean() / 2
    assert float(loss(one, other, "orientations", bins=bins, cell=cell)) == pytest.approx(expected, rel=1e-6)


def hog(image: Tensor, bins: int = 9) -> np.ndarray:
    """Return the inner blocks of scikit-image, whose slopes are 0 along the border: [rows, columns, bins, 2, 2]."""
    grey = image[0, 0].numpy()
    found = skimage.feature.hog(grey, bins, (8, 8), (2, 2), block_norm="L2", feature_vector=False)
    return found.transpose(0, 1, 4, 2, 3)[1:-1, 1:-1]


def inner(image: Tensor, bins: int = 9) -> np.ndarray:
    side = image.shape[-1] // 8 - 1
    found = descriptors(image, bins, 8)[0].view(bins, 2, 2, side, side).permute(3, 4, 0, 1, 2)
    return found.numpy()[1:-1, 1:-1]


@pytest.mark.parametrize("nth", range(9))
def test_a_ramp_up_the_middle_of_a_bin_is_that_bin_alone_as_in_scikit_image(nth):
    along, angle = torch.arange(40.0, dtype=torch.float64), (nth + 0.5) * math.pi / 9
    ramp = grey(100 * (along * math.cos(angle) + along[:, None] * math.sin(angle)))  # steep: no slope counts as flat
    np.testing.assert_allclose(inner(ramp), hog(ramp), atol=1e-4)
    np.testing.assert_allclose(inner(ramp)[:, :, nth], 0.5, atol=1e-4)


def test_blocks_go_with_those_of_scikit_image_which_takes_the_nearest_bin():
    image = smooth(96)
    assert np.corrcoef(inner(image).ravel(), hog(image).ravel())[0, 1] > 0.9


def test_votes_of_a_pixel_add_up_to_its_slope():
    image = images(1, 3, 12, 12)
    torch.testing.assert_close(votes(image, 9).sum(1), votes(image, 4).sum(1))


def test_a_quarter_turn_rolls_the_bins_by_half():
    image = images(1, 3, 12, 12)
    turned = votes(image.rot90(1, (2, 3)), 8)
    torch.testing.assert_close(turned, votes(image, 8).rot90(1, (2, 3)).roll(4, 1))


def test_a_mirror_turns_the_bins_round():
    image = images(1, 3, 12, 12)
    torch.testing.assert_close(votes(image.flip(3), 9), votes(image, 9).flip(3).flip(1))


def test_orientations_do_not_see_brightness_contrast_and_sign():
    image = stripes(32)
    assert float(loss(image * 0.5 + 0.25, image * 0.5, "orientations")) < 1e-12
    assert float(loss(-image, image, "orientations")) < 1e-12
    assert float(loss(image * 0.3, image, "orientations")) < 1e-4
    assert float(loss(image * 1e-3, image, "orientations")) > 0.4  # so faint that it counts as flat


def test_flat_costs_a_half_and_across_costs_one():
    image = stripes(32)
    assert float(loss(torch.zeros_like(image), image, "orientations")) == pytest.approx(0.5, abs=0.01)
    assert float(loss(image.mT, image, "orientations")) == pytest.approx(1, abs=0.01)


# Both -----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", MODES)
def test_equal_images_cost_nothing_and_it_is_symmetric(mode):
    one, other = images(2, 3, 20, 20), images(2, 3, 20, 20, seed=1)
    assert float(loss(one, one.clone(), mode)) == 0
    torch.testing.assert_close(loss(one, other, mode), loss(other, one, mode))
    assert float(loss(one, other, mode)) > 0.05


@pytest.mark.parametrize("mode", MODES)
def test_the_gradient_is_that_of_differences(mode):
    fake, real = images(1, 3, 6, 7).requires_grad_(), images(1, 3, 6, 7, seed=1)
    term = lossbench.load_loss("edges", mode=mode, cell=3)
    assert torch.autograd.gradcheck(term, (fake, real))


@pytest.mark.parametrize("height", [0.0, 1e-30, 1e-22, 1e-12, 1e-6, 1e-3])
@pytest.mark.parametrize("mode", MODES)
def test_flat_images_and_faint_dots_have_a_finite_gradient(mode, height):
    fake = torch.zeros(1, 3, 20, 20)
    fake[..., 5, 5] = height
    fake.requires_grad_()
    loss(fake, stripes(20).float(), mode).backward()
    assert fake.grad.isfinite().all()
    assert fake.grad.abs().max() < 10


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(("against", "asked"), AGAINST.items())
def test_it_asks_for_what_it_compares(mode, against, asked):
    term = lossbench.load_loss("edges", mode=mode, against=against)
    assert list(inspect.signature(term).parameters) == asked
    one, other = images(1, 3, 20, 20), images(1, 3, 20, 20, seed=1)
    torch.testing.assert_close(term(**dict(zip(asked, (one, other), strict=True))), loss(one, other, mode))


def test_magnitudes_of_the_source_with_9_bins_and_8_px_are_the_defaults():
    assert list(inspect.signature(lossbench.load_loss("edges")).parameters) == AGAINST["real"]
    one, other = images(1, 3, 20, 20), images(1, 3, 20, 20, seed=1)
    plain = lossbench.load_loss("edges", mode="orientations")(fake=one, real=other)
    torch.testing.assert_close(plain, loss(one, other, "orientations", bins=9, cell=8))


def test_its_weight_is_10_by_itself():
    assert load("losses", "edges").spec.weight == 10


@pytest.mark.parametrize("option", [{"bins": 1}, {"cell": 0}])
def test_bins_and_cells_that_cannot_be_are_refused(option):
    with pytest.raises(lossbench.OptionError, match=rf"edges\.{next(iter(option))}="):
        lossbench.load_loss("edges", mode="orientations", **option)


@parametrize_loss_checks("edges", options={"mode": "orientations"})
def test_orientations_are_sound(check):
    check()
