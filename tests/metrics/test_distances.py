"""Distances of sets of features: closed forms, other libraries, and properties."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.linalg import sqrtm
from torch import Tensor
from torchmetrics.image.kid import poly_mmd

from lossbench.errors import DataError
from lossbench.metrics import frechet, kernel


def normal(seed: int, n: int, d: int) -> Tensor:
    """Return features [n, d] of unlike spreads that depend on each other."""
    draw = torch.Generator().manual_seed(seed)
    mix = torch.randn(d, d, generator=draw, dtype=torch.float64) / d**0.5
    return torch.randn(n, d, generator=draw, dtype=torch.float64) @ mix + seed / 10


def by_roots(x: Tensor, y: Tensor) -> float:
    """Return the Frechet distance as it is written, by scipy's root of a matrix."""
    sx, sy = (np.cov(each.numpy(), rowvar=False) for each in (x, y))
    away = (x.mean(0) - y.mean(0)).square().sum()
    return float(away) + np.trace(sx + sy - 2 * sqrtm(sx @ sy).real)


# Frechet --------------------------------------------------------------------------------------------------------------


def test_in_one_dimension_it_is_the_difference_of_means_and_of_deviations():
    x, y = torch.tensor([[1.0], [2.0], [3.0]]), torch.tensor([[10.0], [14.0]])
    assert frechet(x, y) == pytest.approx((12 - 2) ** 2 + (8**0.5 - 1) ** 2, rel=1e-12)


@pytest.mark.parametrize(("n", "m"), [(50, 30), (11, 200), (10, 10), (7, 40), (6, 6), (40, 2)])
def test_it_is_that_of_scipys_root(n, m):
    x, y = normal(1, n, 10), normal(2, m, 10)
    assert frechet(x, y) == pytest.approx(by_roots(x, y), rel=1e-6)
    assert frechet(y, x) == pytest.approx(frechet(x, y), rel=1e-12)


def test_more_dimensions_than_images_are_computed_the_same():
    x, y = normal(1, 30, 10), normal(2, 25, 10)
    wide = [torch.cat((each, torch.zeros(len(each), 40)), dim=1) for each in (x, y)]
    assert frechet(*wide) == pytest.approx(frechet(x, y), rel=1e-12)


@pytest.mark.parametrize(("n", "d"), [(20, 300), (300, 20), (12, 12), (400, 200)])
def test_a_set_against_itself_has_0(n, d):
    x = normal(3, n, d) * 100
    assert frechet(x, x) == pytest.approx(0, abs=1e-6)
    assert frechet(x, x.flip(0)) == pytest.approx(0, abs=1e-6)


def test_directions_without_spread_lose_no_digits():
    x = normal(1, 300, 100) * torch.logspace(0, -8, 100)
    assert frechet(x, x + 1e-3) == pytest.approx(100 * 1e-6, rel=1e-6)


def test_the_order_of_images_does_not_matter():
    x, y = normal(1, 30, 50), normal(2, 20, 50)
    assert frechet(x.flip(0), y) == pytest.approx(frechet(x, y), rel=1e-12)


def test_float32_features_are_computed_in_float64():
    x, y = normal(1, 30, 50).float() + 1000, normal(2, 20, 50).float() + 1000
    assert frechet(x, y) == frechet(x.double(), y.double())
    assert kernel(x, y) == kernel(x.double(), y.double())


# Kernel ---------------------------------------------------------------------------------------------------------------


def test_it_is_the_mean_over_pairs_by_hand():
    x, y = torch.tensor([[1.0, 0.0], [0.0, 2.0]]), torch.tensor([[1.0, 1.0], [2.0, 0.0], [0.0, -2.0]])
    own_x = (0 / 2 + 1) ** 3
    own_y = ((2 / 2 + 1) ** 3 + (-2 / 2 + 1) ** 3 + (0 / 2 + 1) ** 3) / 3
    across = sum((dot / 2 + 1) ** 3 for dot in (1, 2, 0, 2, 0, -4)) / 6
    assert kernel(x, y) == pytest.approx(own_x + own_y - 2 * across, rel=1e-12)


def test_it_is_torchmetrics():
    x, y = normal(1, 30, 50), normal(2, 30, 50)
    assert kernel(x, y) == pytest.approx(float(poly_mmd(x, y)), abs=1e-12)


def test_its_mean_over_draws_is_the_distance_of_the_distributions():
    # of N(0, 1): E k = 0 + 3 + 0 + 1 with E x, x^2, x^3 = 0, 1, 0; of N(1, 1): 16 + 12 + 3 + 1 with 1, 2, 4; across 7
    draw = torch.Generator().manual_seed(0)
    found = torch.tensor(
        [kernel(torch.randn(6, 1, generator=draw), 1 + torch.randn(4, 1, generator=draw)) for _ in range(4000)]
    )
    spread = float(found.std()) / len(found) ** 0.5
    assert spread < 1
    assert float(found.mean()) == pytest.approx(4 + 32 - 2 * 7, abs=4 * spread)


def test_sets_of_the_same_kind_have_0_on_average():
    draw = torch.Generator().manual_seed(0)
    found = torch.tensor([kernel(*torch.randn(2, 8, 5, generator=draw)) for _ in range(4000)])
    assert float(found.mean()) == pytest.approx(0, abs=4 * float(found.std()) / len(found) ** 0.5)
    assert 0.3 < float((found < 0).double().mean()) < 0.7


# Both -----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("distance", [frechet, kernel])
def test_a_single_image_is_refused(distance):
    with pytest.raises(DataError, match=r"^sets of 5 and 1 images have no distance; each needs 2 or more$"):
        distance(normal(1, 5, 3), normal(1, 1, 3))
