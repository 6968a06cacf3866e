"""LPIPS of the cycle: of the round trip and its source."""

from __future__ import annotations

import pytest
from lossbench_plugins.metrics._lpips import apart

from tests.plugins.metrics.conftest import measured, narrow, smooth


@pytest.fixture(autouse=True)
def _narrow(monkeypatch):
    narrow(monkeypatch)


def darker(images):
    return images // 2


def turned(images):
    return images.flip(-1)


def test_it_is_of_the_round_trip_and_its_source():
    real = smooth(1, 2)
    expected = apart(turned(darker(real)), real)
    found = measured("lpips_cycle", real=real, translate=darker, translate_back=turned)
    assert (found["value"], found["n"]) == (pytest.approx(sum(expected) / 2, rel=1e-6), 2)
    assert found["value"] > 0.01


def test_a_round_trip_that_comes_back_has_0():
    assert measured("lpips_cycle", real=smooth(1, 2), translate=turned, translate_back=turned)["value"] == 0


def test_without_a_way_back_it_is_unavailable():
    found = measured("lpips_cycle", real=smooth(1, 2), translate=darker)
    assert (found["value"], found["reason"]) == (None, "there is no generator back")
