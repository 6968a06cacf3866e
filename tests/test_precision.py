"""Float32 is float32 on every device, unless a run asks for TF32; what PyTorch was told before is told again after."""

from __future__ import annotations

from contextlib import contextmanager, suppress

import pytest
import torch

from lossbench.errors import OptionError
from lossbench.precision import tf32
from lossbench.prepare import prepare
from lossbench.translation import apply


def switches():
    return torch.backends.cudnn.allow_tf32, torch.backends.cudnn.benchmark, torch.get_float32_matmul_precision()


@pytest.fixture(autouse=True)
def _put_back():
    before = switches()
    yield
    torch.backends.cudnn.allow_tf32, torch.backends.cudnn.benchmark = before[:2]
    torch.set_float32_matmul_precision(before[2])


@pytest.mark.parametrize("allowed", [False, True])
def test_on_cuda_both_switches_are_pinned_and_put_back(allowed):
    torch.backends.cudnn.benchmark = True
    for there, precision in ((True, "high"), (False, "highest"), (True, "medium")):
        torch.backends.cudnn.allow_tf32 = there
        torch.set_float32_matmul_precision(precision)
        with suppress(ValueError), tf32(torch.device("cuda"), allowed):
            assert switches() == (allowed, True, "high" if allowed else "highest")
            raise ValueError
        assert switches() == (there, True, precision)


def test_elsewhere_nothing_is_touched():
    before = switches()
    with tf32(torch.device("cpu"), True):
        assert switches() == before


@pytest.mark.parametrize("precision", ["float32", "tf32", "bf16"])
def test_all_of_a_step_is_computed_so_and_translations_never_in_tf32(tiny, monkeypatch, precision):
    told, within = [], []

    @contextmanager
    def noted(device, allowed=False):
        told.append(allowed)
        within.append(True)
        yield
        within.pop()

    for module in ("trainer", "translation"):
        monkeypatch.setattr(f"lossbench.{module}.tf32", noted)
    run = tiny("cycle", {"look": (lambda fake: fake.mean() * len(within), 1.0)})
    run.trainer.settings = run.trainer.settings.model_copy(update={"precision": precision})
    values = run.trainer.gradients(1, run.objective.active(1, 0.0))
    assert told == [precision == "tf32"]
    assert values["A2B/look"] != 0
    apply(run.networks.G["A2B"], run.dataset.test["A"][:1], noise=False, seed=0)
    assert told[1:] == [False]


def test_tf32_is_for_cuda():
    with pytest.raises(OptionError, match="Use --precision float32 on cpu"):
        prepare("cycle", settings={"train.precision": "tf32"})
