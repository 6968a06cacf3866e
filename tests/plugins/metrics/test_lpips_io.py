"""LPIPS in to out: of translation and source; a copy has 0."""

from __future__ import annotations

import pytest
from lossbench_plugins.metrics._lpips import apart

from tests.plugins.metrics.conftest import measured, narrow, smooth


@pytest.fixture(autouse=True)
def _narrow(monkeypatch):
    narrow(monkeypatch)


def test_it_is_of_the_translation_and_its_source():
    real, fake = smooth(1, 2), smooth(2, 2)
    expected = apart(fake, real)
    found = measured("lpips_io", fake=fake, real=real, truth=smooth(3, 2), target=smooth(4, 2))
    assert (found["value"], found["n"]) == (pytest.approx(sum(expected) / 2, rel=1e-6), 2)
    assert found["value"] > 0.01


def test_a_copy_has_0():
    assert measured("lpips_io", fake=smooth(1, 2), real=smooth(1, 2))["value"] == 0
