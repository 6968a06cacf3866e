"""KID is torch-fidelity's own and torchmetrics', where their one subset is the whole set."""

from __future__ import annotations

import pytest
from lossbench_plugins.metrics._inception import TENSORFLOW
from lossbench_plugins.metrics.kid import kid
from torchmetrics.image.kid import KernelInceptionDistance

from lossbench.metrics import chosen
from tests.plugins.metrics.conftest import Given


def test_it_is_that_of_torch_fidelitys_command(features, sets, command):
    expected = command["kernel_inception_distance_mean"]
    assert abs(expected) > 0.01
    assert kid(*sets, features) == pytest.approx(expected, abs=1e-6)


@pytest.mark.filterwarnings("ignore:Metric `Kernel Inception Distance`:UserWarning")  # of its memory
def test_it_is_that_of_torchmetrics(features, sets, theirs):
    metric = KernelInceptionDistance(feature=Given(), subsets=1, subset_size=len(sets[0]))
    for seen, real in zip(theirs, (False, True), strict=True):
        metric.update(seen, real=real)
    assert kid(*sets, features) == pytest.approx(float(metric.compute()[0]), abs=1e-6)


def test_a_set_against_itself_is_below_0_by_its_own_spread(features, sets):
    # the statistic leaves out pairs of an image with itself within each set, and cannot know them across
    x = features(TENSORFLOW, sets[0])
    similar = (x @ x.T / x.shape[1] + 1) ** 3
    n = len(x)
    apart = (similar.sum() - similar.trace()) / (n * (n - 1))
    assert kid(sets[0], sets[0], features) == pytest.approx(float(2 * apart - 2 * similar.mean()), abs=1e-9)


def test_people_are_shown_100_times_the_value():
    (metric,) = chosen(["kid"])
    facts = metric.facts()
    assert (facts["better"], facts["shown"]) == ("lower", 100)
    assert facts["protocol"] == "inception-2015-12-05, tf1 bilinear 299, 2048 features, cubic kernel, u-statistic"
    assert facts["weights"].keys() == {"fid-inception"}
