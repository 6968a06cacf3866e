"""Clean KID: at 299 px, where nothing is resized, it is KID; elsewhere it is another number."""

from __future__ import annotations

import pytest
from lossbench_plugins.metrics.kid import kid
from lossbench_plugins.metrics.kid_clean import kid_clean

from lossbench.metrics import chosen


def test_of_images_that_need_no_resizing_it_is_kid(features, few):
    fake, target = few["as they are"]
    assert kid_clean(fake, target, features) == pytest.approx(kid(fake, target, features), abs=1e-6)


def test_of_others_it_is_another_number(features, few):
    fake, target = few["resized"]
    assert kid_clean(fake, target, features) != pytest.approx(kid(fake, target, features), rel=1e-4)


def test_it_says_what_it_depends_on():
    (metric,) = chosen(["kid_clean"])
    facts = metric.facts()
    assert facts["shown"] == 100
    assert facts["protocol"] == (
        "inception-2015-12-05, bicubic 299, antialiased, float, clamped, 2048 features, cubic kernel, u-statistic"
    )
    assert facts["weights"].keys() == {"fid-inception"}
