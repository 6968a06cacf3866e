"""What only a GPU can show: `pytest -m gpu`."""

from __future__ import annotations

import pytest
import torch

from lossbench.data import Batches
from lossbench.profiling import profile

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]


@pytest.mark.parametrize("strategy", ["component", "fused"])
def test_a_float64_step_equals_that_of_the_cpu(tiny, strategy):
    values = []
    for device in ("cpu", "cuda"):
        run = tiny(
            "cycle,idt,tv,circularity", train__precision="float64", train__device=device, train__strategy=strategy
        )
        raw = run.trainer.gradients(1, run.objective.active(1, 0.0))
        values.append({label: value.item() for label, value in raw.items()})
    assert values[1] == pytest.approx(values[0], abs=1e-9)


def test_batches_on_the_device_are_those_of_the_cpu(monkeypatch):
    images = {domain: torch.randint(256, (6, 3, 20, 20), dtype=torch.uint8) for domain in "AB"}
    cut = {"batch": 3, "size": 16, "flip": True, "paired": False, "seed": 0}
    here, there = Batches(images, **cut), Batches(images, **cut, device="cuda")
    monkeypatch.setattr("lossbench.data.batches.ROOM", 0.0)
    copied = Batches(images, **cut, device="cuda")
    assert [each.images["A"].is_cuda for each in (here, there, copied)] == [False, True, False]
    for step in range(4):
        for domain, expected in here[step].items():
            for each in (there, copied):
                assert each[step][domain].is_cuda
                torch.testing.assert_close(each[step][domain].cpu(), expected, atol=1e-6, rtol=0)


def test_the_device_decides_for_fused(tiny):
    run = tiny(train__device="cuda")
    batches = []
    for generator in run.networks.G.values():
        generator.register_forward_pre_hook(lambda module, args: batches.append(len(args[0])))
    run.trainer.step(1)
    assert sorted(batches) == [1, 1, 2, 2]


@pytest.mark.parametrize("mode", ["lsgan", "wgangp"])
def test_bf16_trains_and_losses_stay_float32(tiny, mode):
    seen = []
    term = lambda fake: seen.append(fake.dtype) or fake.square().mean()  # noqa: E731 - one line, one use
    settings = {"gan__mode": mode, "gan__critic_steps": 1}
    run = tiny("cycle,idt", {"dtype": (term, 1.0)}, train__device="cuda", train__precision="bf16", **settings)
    run.trainer.step(1)
    assert set(seen) == {torch.float32}


def test_dropout_on_the_device_leaves_its_random_state_alone(tiny):
    run = tiny("cycle", train__device="cuda", model__dropout=0.5)
    before = torch.cuda.get_rng_state()
    run.trainer.step(1)
    assert torch.equal(before, torch.cuda.get_rng_state())


@pytest.mark.parametrize("other", ["cuda", "cpu"])
def test_a_state_goes_on_on_any_device(tiny, other):
    """Saved on a GPU, loaded on another device: the next step sees the same values."""
    settings = {"train__precision": "float64", "train__strategy": "component"}
    run = tiny("cycle,idt", train__device="cuda", **settings)
    for step in (1, 2):
        run.trainer.step(step)
    again = tiny("cycle,idt", train__device=other, **settings)
    again.trainer.load(run.trainer.state())
    one, two = (each.trainer.gradients(3, each.objective.active(3, 0.5)) for each in (run, again))
    assert {k: v.item() for k, v in two.items()} == pytest.approx({k: v.item() for k, v in one.items()}, abs=1e-9)


def test_a_profile_is_of_the_device(tiny):
    profiled = profile(tiny("cycle,tv", train__device="cuda"), rounds=2)
    assert 0 <= profiled["step"]["idle"] < 1
    assert profiled["step"]["mb"] > 0
    assert {"G_A2B", "D_A2B", "cycle", "images"} <= {part["name"] for part in profiled["parts"]}
    assert sum(part["seconds"] for part in profiled["parts"]) == pytest.approx(
        profiled["step"]["seconds"]["median"], rel=0.5
    )


def test_float32_is_float32_unless_tf32_is_asked_for(tiny):
    weights = {}
    for precision in ("float64", "float32", "tf32"):
        run = tiny("cycle,idt", train__device="cuda", train__precision=precision)
        run.trainer.gradients(1, run.objective.active(1, 0.0))
        weights[precision] = torch.cat([each.grad.flatten().double() for each in run.trainer.parameters["generators"]])
    exact, apart = weights["float64"], {}
    for precision in ("float32", "tf32"):
        apart[precision] = ((weights[precision] - exact).norm() / exact.norm()).item()
    assert apart["float32"] < 1e-4 < apart["tf32"] < 1e-1
