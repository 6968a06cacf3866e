"""Clean FID: at 299 px, where nothing is resized, it is FID; elsewhere it is another number."""

from __future__ import annotations

import pytest
from lossbench_plugins.metrics.fid import fid
from lossbench_plugins.metrics.fid_clean import fid_clean

from lossbench.metrics import chosen


def test_of_images_that_need_no_resizing_it_is_fid(features, few):
    fake, target = few["as they are"]
    assert fid_clean(fake, target, features) == pytest.approx(fid(fake, target, features), rel=1e-5)


def test_of_others_it_is_near_fid(features, few):
    fake, target = few["resized"]
    found, other = fid_clean(fake, target, features), fid(fake, target, features)
    assert found != pytest.approx(other, rel=1e-4)
    assert found == pytest.approx(other, rel=0.1)


def test_it_says_what_it_depends_on():
    (metric,) = chosen(["fid_clean"])
    assert metric.facts()["protocol"] == (
        "inception-2015-12-05, bicubic 299, antialiased, float, clamped, 2048 features, covariances of n - 1"
    )
    assert metric.facts()["weights"].keys() == {"fid-inception"}
