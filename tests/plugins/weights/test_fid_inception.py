"""The real Inception: in torchmetrics' network it gives the FID of torchmetrics' documentation."""

from __future__ import annotations

import pytest
import torch
from lossbench_plugins.weights.fid_inception import renamed, without_classes

CASES = {
    "conv": "Conv2d_1a_3x3",
    "conv_4": "Conv2d_4a_3x3",
    "mixed.conv": "Mixed_5b.branch1x1",
    "mixed_1.tower.conv_1": "Mixed_5c.branch5x5_2",
    "mixed_2.tower_1.conv_2": "Mixed_5d.branch3x3dbl_3",
    "mixed_2.tower_2.conv": "Mixed_5d.branch_pool",
    "mixed_3.conv": "Mixed_6a.branch3x3",
    "mixed_3.tower.conv": "Mixed_6a.branch3x3dbl_1",
    "mixed_4.tower_1.conv_2": "Mixed_6b.branch7x7dbl_3",
    "mixed_7.tower.conv_2": "Mixed_6e.branch7x7_3",
    "mixed_8.tower_1.conv_3": "Mixed_7a.branch7x7x3_4",
    "mixed_9.tower_mixed_conv_1": "Mixed_7b.branch3x3_2b",
    "mixed_10.tower_1_mixed_conv": "Mixed_7c.branch3x3dbl_3a",
    "mixed_10.tower_2_conv": "Mixed_7c.branch_pool",
}


@pytest.mark.parametrize("layer", CASES)
def test_tensorflows_names_become_torch_fidelitys(layer):
    assert renamed(layer) == CASES[layer]


def test_the_official_file_loses_its_classes(tmp_path):
    state = {
        "Mixed_7c.branch_pool.bn.weight": torch.ones(1),
        "fc.weight": torch.ones(1),
        "bn.num_batches_tracked": torch.tensor(0),
    }
    torch.save(state, tmp_path / "a.pth")
    assert without_classes(tmp_path / "a.pth").keys() == {"Mixed_7c.branch_pool.bn.weight"}


@pytest.fixture
def network(real_weights, tmp_path):
    """Return a file that torch-fidelity's network takes: with a layer for classes, which FID does not use."""
    path = tmp_path / "inception.pth"
    torch.save(
        real_weights("fid-inception") | {"fc.weight": torch.zeros(1008, 2048), "fc.bias": torch.zeros(1008)}, path
    )
    return str(path)


def test_the_fid_is_that_of_torchmetrics_documentation(network):
    pytest.importorskip("torch_fidelity")
    from torchmetrics.image.fid import FrechetInceptionDistance

    torch.manual_seed(42)
    fid = FrechetInceptionDistance(feature=64, feature_extractor_weights_path=network)
    first = torch.randint(0, 200, (100, 3, 299, 299), dtype=torch.uint8)
    second = torch.randint(100, 255, (100, 3, 299, 299), dtype=torch.uint8)
    for images, real in ((first, True), (second, False)):
        for few in images.split(20):
            fid.update(few, real=real)
    assert float(fid.compute()) == pytest.approx(12.6388, abs=5e-5)
