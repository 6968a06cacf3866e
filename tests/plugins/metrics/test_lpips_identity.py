"""LPIPS of the identity: of what the generator makes of target images, and those images."""

from __future__ import annotations

import pytest
from lossbench_plugins.metrics._lpips import apart

from tests.plugins.metrics.conftest import measured, narrow, smooth


@pytest.fixture(autouse=True)
def _narrow(monkeypatch):
    narrow(monkeypatch)


def darker(images):
    return images // 2


def test_it_is_of_the_generators_image_of_a_target_image():
    target = smooth(2, 3)
    expected = apart(darker(target), target)
    found = measured("lpips_identity", real=smooth(1, 2), target=target, translate=darker)
    assert (found["value"], found["n"]) == (pytest.approx(sum(expected) / 3, rel=1e-6), 3)
    assert found["value"] > 0.01


def test_a_generator_that_does_nothing_has_0():
    assert measured("lpips_identity", real=smooth(1, 2), target=smooth(2, 2), translate=lambda x: x)["value"] == 0


def test_without_target_images_it_is_unavailable():
    found = measured("lpips_identity", real=smooth(1, 2), translate=darker)
    assert (found["value"], found["reason"]) == (None, "there are no images of the target domain")
