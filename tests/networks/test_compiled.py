"""Compiled networks: when, which, and what happens where it cannot be done. That they equal plain ones is law 5's test."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from lossbench import hookimpl
from lossbench.errors import OptionError
from lossbench.networks import compiled, resnet
from lossbench.networks.generators import ToPixels
from lossbench.networks.network import InstanceNorm
from lossbench.settings import TrainSettings


@pytest.fixture
def able(monkeypatch):
    """Let networks be marked as compiled without a compiler; return what refuses."""
    monkeypatch.setattr(compiled, "refusal", lambda device: "")
    monkeypatch.setattr(compiled, "forward", lambda layout: lambda network, image: network.straight(image, layout))


def names(run):
    return {name for name, network in run.networks.named().items() if network.compiled}


@pytest.mark.parametrize(
    ("steps", "batch", "size", "device", "answer"),
    [
        (500, 1, 64, "cpu", False), (200_000, 1, 256, "cpu", True), (200_000, 1, 256, "cuda", False),
        (1000, 1, 256, "cpu", True), (1000, 1, 64, "cpu", False), (1000, 32, 64, "cpu", True),
    ],
)  # fmt: skip
def test_by_itself_long_runs_on_the_cpu_are_compiled(steps, batch, size, device, answer):
    train = TrainSettings(steps=steps, batch=batch, device=device)
    assert compiled.pays(resnet(3, ngf=32), train, size) is answer


def test_by_itself_a_short_run_is_not_and_nothing_is_tried(tiny, monkeypatch):
    monkeypatch.setattr(compiled, "refusal", lambda device: pytest.fail("tried"))
    assert names(tiny()) == set()
    assert names(tiny(train__compile="off", train__steps=10**9)) == set()


def test_a_long_run_is_unless_nothing_can_be_compiled(tiny, able, monkeypatch):
    long = {"train__steps": 10**9}
    assert names(tiny(**long)) == {"G_A2B", "G_B2A", "D_A2B", "D_B2A"}
    monkeypatch.setattr(compiled, "refusal", lambda device: "no compiler")
    assert names(tiny(**long)) == set()
    said = r"^train\.compile=on: nothing can be compiled here \(no compiler\)\. Leave it out, or say off\.$"
    with pytest.raises(OptionError, match=said):
        tiny(train__compile="on")


def test_a_discriminator_that_terms_handle_stays_as_it_is(tiny, able):
    assert names(tiny("cycle,r1", train__compile="on")) == {"G_A2B", "G_B2A"}


@pytest.mark.parametrize("option", [{"model__dropout": 0.5}, {"model__norm": "batch"}])
def test_a_network_that_draws_or_counts_stays_as_it_is(tiny, able, option):
    assert not {"G_A2B", "G_B2A"} & names(tiny(train__compile="on", **option))


def test_only_training_is_compiled(tiny, able):
    run = tiny(train__compile="on")
    network = run.networks.G["A2B"]
    image, seen = torch.zeros(1, 3, 32, 32), []
    network.compiled = lambda network, image: seen.append(image) or image
    with torch.no_grad():
        network(image)
    network.eval()
    network(image)
    assert seen == []
    network.train()
    network(image)
    assert len(seen) == 1


def steep(fake, pred_fake):
    """A term that goes back through a backward, which compiled networks cannot."""
    (slope,) = torch.autograd.grad(pred_fake.sum(), fake, create_graph=True)
    return slope.square().mean()


def test_a_run_whose_terms_differentiate_twice_goes_on_as_it_is(tiny):
    if reason := compiled.refusal("cpu"):
        pytest.skip(f"nothing can be compiled here: {reason}")
    runs = [tiny("cycle", losses={"steep": steep}, train__compile=how) for how in ("on", "off")]
    assert names(runs[0]) == {"G_A2B", "G_B2A", "D_A2B", "D_B2A"}
    for run in runs:
        run.trainer.step(1)
    assert names(runs[0]) == set()
    for one, other in zip(*(run.networks.G["A2B"].parameters() for run in runs), strict=True):
        assert torch.equal(one, other)


def test_observers_see_the_gradients_of_compiled_networks(tiny):
    if reason := compiled.refusal("cpu"):
        pytest.skip(f"nothing can be compiled here: {reason}")
    found = []

    class Watcher:
        @hookimpl
        def lossbench_component(self, step, terms, images):
            fake = images.get("A2B/fake")
            if fake is not None and "A2B/cycle" in terms:
                found.append(torch.autograd.grad(terms["A2B/cycle"], fake, retain_graph=True)[0].norm().item())

    for how in ("on", "off"):
        run = tiny("cycle", train__compile=how)
        run.hooks.register(Watcher())
        run.trainer.step(1)
    assert found[0] == pytest.approx(found[1], rel=1e-4)


def test_why_nothing_can_be_compiled_is_one_line(monkeypatch):
    def none(function):
        raise RuntimeError("no\n  C++ compiler")

    monkeypatch.setattr(torch, "compile", none)
    assert compiled.refusal.__wrapped__("cpu") == "no C++ compiler"


def test_kernels_are_shown_and_cleared(cache, lossbench):
    assert "Compiled" not in lossbench("cache")[1]
    (cache / "compiled" / "ab").mkdir(parents=True)
    (cache / "compiled" / "ab" / "kernel.so").write_bytes(bytes(2_000_000))
    assert f"Compiled networks: 2.0 MB in {cache / 'compiled'}\n" in lossbench("cache")[1]
    assert lossbench("cache", "--clear")[1] == f"Freed 2.0 MB in {cache}\n"
    assert not (cache / "compiled").exists()


# The layers -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("kernel", "size"), [(7, (14, 18)), (7, (13, 12)), (3, (10, 8)), (1, (4, 4)), (4, (9, 9))])
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("bias", [True, False])
def test_pixels_are_those_of_the_plain_convolution(kernel, size, layout, bias):
    torch.manual_seed(0)
    ours = ToPixels(5, 3, kernel, bias=bias).double()
    plain = nn.Conv2d(5, 3, kernel, bias=bias).double()
    plain.load_state_dict(ours.state_dict())
    image = torch.randn(2, 5, *size, dtype=torch.float64).to(memory_format=layout)
    found = []
    for convolution in (ours, plain):
        x = image.clone().requires_grad_()
        out = convolution(x)
        out.square().sum().backward()
        found.append([out, x.grad, *(each.grad for each in convolution.parameters())])
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other, atol=1e-12, rtol=1e-12)


def test_a_norm_of_channels_that_lie_last_is_the_same_and_leaves_them_there():
    image = 5 + 3 * torch.randn(2, 4, 6, 6, dtype=torch.float64)
    last = image.to(memory_format=torch.channels_last)
    norm = InstanceNorm(4)
    torch.testing.assert_close(norm(last), nn.InstanceNorm2d(4)(image), atol=1e-12, rtol=0)
    assert norm(last).is_contiguous(memory_format=torch.channels_last)
    assert torch.equal(norm(image), nn.InstanceNorm2d(4)(image))


def test_a_norm_in_reduced_precision_adds_up_in_full():
    image = (100 + torch.randn(1, 2, 64, 64)).bfloat16().to(memory_format=torch.channels_last)
    exact = nn.InstanceNorm2d(2)(image.double().contiguous())
    found = InstanceNorm(2)(image)
    assert found.dtype == torch.bfloat16
    assert (found.double() - exact).abs().max() < 0.02
