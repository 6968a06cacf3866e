"""Not found: the share of sources with an object whose translation has none."""

from __future__ import annotations

import pytest
import torch

from tests.plugins.metrics.conftest import disc, measured, plain, value


def test_it_is_a_share_of_the_sources_with_an_object():
    real = torch.cat((disc(8), disc(9), disc(10), plain(0), plain(0)))
    fake = torch.cat((plain(0), disc(9), plain(7), plain(0), disc(8)))
    found = measured("not_found", fake=fake, real=real)
    assert (found["value"], found["n"]) == (pytest.approx(2 / 3), 3)


def test_an_object_elsewhere_and_in_other_colours_is_found():
    assert value("not_found", fake=255 - disc(8, x=12, y=18), real=disc(8)) == 0


def test_without_an_object_in_any_source_there_is_nothing_to_measure():
    assert measured("not_found", fake=disc(8), real=plain(5))["value"] is None
