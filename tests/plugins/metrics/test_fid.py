"""FID is torch-fidelity's own and torchmetrics' with the same weights, on images of several sizes."""

from __future__ import annotations

import pytest
from lossbench_plugins.metrics.fid import fid
from torchmetrics.image.fid import FrechetInceptionDistance

from lossbench.metrics import chosen
from tests.plugins.metrics.conftest import Given, measured


def test_it_is_that_of_torch_fidelitys_command(features, sets, command):
    expected = command["frechet_inception_distance"]
    assert expected > 50
    assert fid(*sets, features) == pytest.approx(expected, rel=1e-4)


def test_it_is_that_of_torchmetrics(features, sets, theirs):
    metric = FrechetInceptionDistance(feature=Given())
    for seen, real in zip(theirs, (False, True), strict=True):
        metric.update(seen, real=real)
    assert fid(*sets, features) == pytest.approx(float(metric.compute()), rel=1e-4)


def test_a_set_against_itself_has_0(features, sets):
    assert fid(sets[0], sets[0], features) == pytest.approx(0, abs=1e-6)


def test_it_is_the_same_both_ways(features, sets):
    fake, target = sets
    assert fid(target, fake, features) == pytest.approx(fid(fake, target, features), rel=1e-9)


def test_it_says_what_it_depends_on():
    (metric,) = chosen(["fid"])
    facts = metric.facts()
    assert facts["protocol"] == "inception-2015-12-05, tf1 bilinear 299, 2048 features, covariances of n - 1"
    assert (facts["better"], facts["shown"]) == ("lower", 1)
    assert facts["weights"].keys() == {"fid-inception"}


def test_one_image_has_no_distance(real_weights, sets):
    real_weights("fid-inception")
    found = measured("fid", fake=sets[0][:1], target=sets[1][:2])
    assert found["value"] is None
    assert found["reason"] == "sets of 1 and 2 images have no distance; each needs 2 or more"
