"""The built-in sets, held against the numbers they are specified by and against supersampling."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.stats import kstest, norm

from lossbench.data import VARIANTS, Dataset, Shapes
from lossbench.data.shapes import Ellipses, discs, ellipses, style_a, style_b

MANY = 4000
STRIPES = 0.55 + 0.45 * (0.5 + 0.5 * np.sin(np.arange(64) / 2.2))  # the specification's, by pixel column


@pytest.fixture(scope="module")
def sets() -> dict[str, Dataset]:
    return {variant: Shapes(variant, seed=0).dataset(64, 64) for variant in VARIANTS}


def unit(images: torch.Tensor) -> np.ndarray:
    """uint8 [N, 3, H, W] -> [N, H, W, 3] in 0..1."""
    return images.permute(0, 2, 3, 1).numpy() / 255.0


def share_of_disc(images: np.ndarray) -> np.ndarray:
    """Plain discs, [N, H, W, 3] -> how much of each pixel is disc: the ground is a corner, the disc the centre."""
    ground = images[:, :1, :1]
    along = images[:, 32:33, 32:33] - ground
    return ((images - ground) * along).sum(-1) / (along**2).sum(-1)


def mask(images: np.ndarray) -> np.ndarray:
    """Pixels at least half of whose column's strongest contrast to the ground they show (stripes differ by column)."""
    distance = np.linalg.norm(images - images[:, :1, :1], axis=-1)
    strongest = np.maximum(distance.max(axis=1, keepdims=True), 0.2)
    return distance > strongest / 2


def aspect(masks: np.ndarray) -> np.ndarray:
    """[N, H, W] -> ratio of the axes, by second moments."""
    return np.array([_aspect(*np.nonzero(each)) for each in masks])


def _aspect(y: np.ndarray, x: np.ndarray) -> float:
    small, large = np.linalg.eigvalsh(np.cov(np.stack([x, y])))
    return math.sqrt(large / small)


def supersampled(shapes: Ellipses, index: int, times: int = 10) -> np.ndarray:
    """How much of each of 64 x 64 pixels lies inside, by counting points."""
    at = (np.arange(64 * times) + 0.5) / (64 * times)
    dx, dy = at[None, :] - shapes.x[index], at[:, None] - shapes.y[index]
    cos, sin = np.cos(shapes.angle[index]), np.sin(shapes.angle[index])
    u, v = (cos * dx + sin * dy) / shapes.a[index], (cos * dy - sin * dx) / shapes.b[index]
    return (u**2 + v**2 <= 1).reshape(64, times, 64, times).mean((1, 3))


def clipped(mean: np.ndarray | float, spread: np.ndarray | float) -> np.ndarray:
    """Expectation of a normal colour after it is clipped to 0..1."""
    low, high = (0 - np.asarray(mean)) / spread, (1 - np.asarray(mean)) / spread
    inside = mean * (norm.cdf(high) - norm.cdf(low)) - spread * (norm.pdf(high) - norm.pdf(low))
    return inside + norm.sf(high)


# Geometry -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [discs, ellipses])
def test_coverage_is_the_share_of_each_pixel_that_lies_inside(kind):
    shapes = kind(12, np.random.default_rng(0))
    coverage = shapes.coverage()
    error = np.abs(coverage - np.stack([supersampled(shapes, index) for index in range(12)]))
    assert error.max() < 0.08
    assert error.mean() < 0.001
    assert coverage.min() == 0
    assert coverage.max() == 1


def test_coverage_adds_up_to_the_area():
    shapes = discs(200, np.random.default_rng(0))
    np.testing.assert_allclose(shapes.coverage().mean((1, 2)), np.pi * shapes.a**2, rtol=3e-3)


def test_the_law_of_discs_is_radius_18_to_34_and_centre_38_to_62_hundredths():
    shapes = discs(MANY, np.random.default_rng(0))
    assert (shapes.a == shapes.b).all()
    assert kstest(shapes.a, "uniform", (0.18, 0.34 - 0.18)).pvalue > 0.001
    for centre in (shapes.x, shapes.y):
        assert kstest(centre, "uniform", (0.38, 0.62 - 0.38)).pvalue > 0.001
    assert abs(np.corrcoef([shapes.x, shapes.y, shapes.a]) - np.eye(3)).max() < 0.06


def test_ellipses_have_the_areas_of_discs_an_aspect_of_1_5_to_2_2_and_any_angle():
    shapes = ellipses(MANY, np.random.default_rng(0))
    assert kstest(np.sqrt(shapes.a * shapes.b), "uniform", (0.18, 0.34 - 0.18)).pvalue > 0.001
    assert kstest(shapes.a / shapes.b, "uniform", (1.5, 2.2 - 1.5)).pvalue > 0.001
    assert kstest(shapes.angle, "uniform", (0, np.pi)).pvalue > 0.001
    for centre in (shapes.x, shapes.y):
        assert kstest(centre, "uniform", (0.38, 0.62 - 0.38)).pvalue > 0.001


def test_squashing_divides_the_height_by_1_8_and_leaves_the_width():
    shapes = discs(5, np.random.default_rng(0))
    squashed = shapes.squashed()
    np.testing.assert_array_equal(squashed.a, shapes.a)
    np.testing.assert_allclose(squashed.b, shapes.b / 1.8)


def test_an_angle_turns_the_long_axis_from_x_towards_y():
    one = np.array([0.5])
    coverage = Ellipses(one, one, np.array([0.4]), np.array([0.1]), np.array([np.pi / 4])).coverage()[0]
    assert coverage[44, 44] == 1  # down to the right, as y counts downwards
    assert coverage[44, 19] == 0


# Images ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_set_has_400_images_a_side_and_64_test_pairs_of_64_px(sets, variant):
    drawn = sets[variant]
    assert {domain: images.shape for domain, images in drawn.train.items()} == dict.fromkeys("AB", (400, 3, 64, 64))
    assert {domain: images.shape for domain, images in drawn.test.items()} == dict.fromkeys("AB", (64, 3, 64, 64))
    assert {images.dtype for images in (*drawn.train.values(), *drawn.test.values())} == {torch.uint8}
    assert drawn.name == variant
    assert drawn.paired_test
    assert drawn.test_names["A"] == drawn.test_names["B"]
    assert len(set(drawn.test_names["A"])) == 64


@pytest.mark.parametrize("variant", VARIANTS)
def test_no_image_is_drawn_twice(sets, variant):
    images = torch.cat((*sets[variant].train.values(), *sets[variant].test.values()))
    assert len(images.flatten(1).unique(dim=0)) == len(images)


def test_the_images_of_a_show_discs_of_the_specified_sizes(sets):
    share = share_of_disc(unit(sets["shapes"].train["A"]))
    radius = np.sqrt(share.mean((1, 2)) / np.pi)
    assert kstest(radius, "uniform", (0.18, 0.34 - 0.18)).pvalue > 0.001
    np.testing.assert_allclose(aspect(share > 0.5), 1, atol=0.04)  # a pixel is 3 % of a small disc


def test_the_images_of_b_show_ellipses_of_the_specified_aspect(sets):
    masks = mask(unit(sets["shapes"].train["B"]))
    whole = ~(masks[:, 0].any(1) | masks[:, -1].any(1) | masks[:, :, 0].any(1) | masks[:, :, -1].any(1))
    found = aspect(masks[whole])
    assert whole.sum() > 300
    assert 1.4 < found.min() < 1.6
    assert 2.1 < found.max() < 2.3
    assert np.median(found) == pytest.approx(1.85, abs=0.06)


def test_the_colours_of_a_are_red_on_cream(sets):
    images = unit(sets["shapes"].train["A"])
    expected = clipped(np.array([0.85, 0.25, 0.20]), 0.1)
    np.testing.assert_allclose(images[:, 32, 32].mean(0), expected, atol=4 * 0.1 / 20)
    assert images[:, 32, 32, 1].std() == pytest.approx(0.1, rel=0.15)  # green: far from both ends
    expected = clipped(np.array([0.92, 0.90, 0.85]), 0.04)
    np.testing.assert_allclose(images[:, 0, 0].mean(0), expected, atol=4 * 0.04 / 20)
    assert images[:, 0, 0, 2].std() == pytest.approx(0.04, rel=0.15)


def test_the_ground_of_b_is_blue(sets):
    ground = unit(sets["shapes"].train["B"])[:, 0, 0]
    np.testing.assert_allclose(np.median(ground, axis=0), (0.12, 0.20, 0.35), atol=0.012)
    assert kstest(ground[:, 2], norm(0.35, 0.04).cdf).pvalue > 0.001


def test_channels_vary_by_themselves(sets):
    images = unit(sets["shapes"].train["A"])
    colours = np.concatenate([images[:, 0, 0], images[:, 32, 32]], axis=1)
    assert np.abs(np.corrcoef(colours.T) - np.eye(6)).max() < 0.2


def test_the_object_of_b_is_orange_times_vertical_stripes():
    one, huge = np.full(2000, 0.5), np.full(2000, 50.0)
    images = np.stack(style_b(Ellipses(one, one, huge, huge, one), np.random.default_rng(0))) / 255.0
    assert (images == images[:, :1]).all()  # the same in every row
    columns = images[:, 0].mean(0)  # [64, 3]
    stripes = STRIPES[:, None]
    expected = clipped(np.array([0.95, 0.60, 0.10]) * stripes, 0.08 * stripes)
    np.testing.assert_allclose(columns, expected, atol=4 * 0.08 / math.sqrt(2000))
    green = images[:, 0, :, 1]
    np.testing.assert_allclose(green.std(0), 0.08 * STRIPES, rtol=0.08)


def test_an_object_that_covers_half_of_a_pixel_is_mixed_with_the_ground():
    shapes = discs(1, np.random.default_rng(0))
    (image,) = style_a(shapes, np.random.default_rng(1))
    share = share_of_disc(image[None] / 255.0)[0]
    np.testing.assert_allclose(share, shapes.coverage()[0], atol=0.02)


@pytest.mark.parametrize("variant", ["shapes", "shapes-same"])
def test_the_truth_of_a_test_image_is_its_own_shape(sets, variant):
    discs_of_a, truth = (mask(unit(sets[variant].test[domain])) for domain in "AB")
    overlap = (discs_of_a & truth).sum((1, 2)) / (discs_of_a | truth).sum((1, 2))
    assert overlap.min() > 0.95


def test_the_truth_is_painted_in_the_style_of_b(sets):
    train, truth = (unit(images["B"])[:, 0, 0].mean(0) for images in (sets["shapes"].train, sets["shapes"].test))
    np.testing.assert_allclose(truth, train, atol=0.02)


def test_both_domains_of_shapes_same_show_discs(sets):
    for domain in "AB":
        assert aspect(mask(unit(sets["shapes-same"].train[domain]))).max() < 1.05


def test_the_domain_b_of_shapes_squash_shows_flat_shapes(sets):
    np.testing.assert_allclose(aspect(mask(unit(sets["shapes-squash"].train["B"]))), 1.8, atol=0.12)


def test_the_truth_of_shapes_squash_is_the_disc_squashed_in_height_about_its_centre(sets):
    test = sets["shapes-squash"].test
    disc, flat = mask(unit(test["A"])), mask(unit(test["B"]))
    width, height = (np.array([each.any(axis).sum() for each in flat]) for axis in (0, 1))
    diameter = np.array([each.any(0).sum() for each in disc])
    np.testing.assert_allclose(width, diameter, atol=3)
    np.testing.assert_allclose(height, diameter / 1.8, atol=3)
    for one, other in zip(disc, flat, strict=True):
        np.testing.assert_allclose(np.argwhere(one).mean(0), np.argwhere(other).mean(0), atol=0.6)


# Seeds and sizes ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_seed_draws_the_same_images_whatever_was_drawn_before(sets, variant):
    np.random.default_rng(9).random(10)
    torch.rand(10)
    assert Shapes(variant, seed=0).dataset(64, 64).fingerprint == sets[variant].fingerprint


def test_another_seed_and_another_variant_draw_other_images(sets):
    other = Shapes("shapes", seed=1).dataset(64, 64)
    fingerprints = {drawn.fingerprint for drawn in (*sets.values(), other)}
    assert len(fingerprints) == 4


def test_one_changed_value_changes_the_fingerprint():
    drawn = Shapes("shapes", seed=0).dataset(64, 64)
    changed = {domain: images.clone() for domain, images in drawn.test.items()}
    changed["B"][63, 2, 63, 63] ^= 1
    assert replace(drawn, test=changed).fingerprint != drawn.fingerprint


def test_another_size_is_an_area_average_of_the_same_images(sets):
    small = Shapes("shapes", seed=0).dataset(32, 16)
    pooled = torch.nn.functional.avg_pool2d(sets["shapes"].test["A"].double(), 2)
    assert (small.test["A"] - pooled).abs().max() <= 0.5
    assert {images.shape[-1] for images in small.train.values()} == {16}


def test_a_first_run_is_short_and_does_not_mirror_the_stripes():
    defaults = Shapes("shapes", seed=0).defaults(None)
    assert defaults["data.size"] == defaults["data.load_size"] == 64
    assert defaults["data.flip"] is False
    assert Shapes("shapes", seed=0).defaults(32)["data.size"] == 32
