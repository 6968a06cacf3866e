"""L1 by hand."""

from __future__ import annotations

import pytest

from tests.plugins.metrics.conftest import measured, plain, value


def test_l1_is_in_units_of_images_from_minus_1_to_1():
    found = measured("l1", fake=plain(0, 255, 100), truth=plain(255, 255, 49))
    assert (found["value"], found["n"]) == (pytest.approx((2 + 0 + 51 / 127.5) / 3), 3)


def test_l1_knows_no_sign():
    assert value("l1", fake=plain(3), truth=plain(250)) == pytest.approx(247 / 127.5)
    assert value("l1", fake=plain(250), truth=plain(3)) == pytest.approx(247 / 127.5)
