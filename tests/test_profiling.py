"""The profile says who works: by a clock that only the test moves, FLOP and bytes as they are by hand."""

from __future__ import annotations

import json
import math
from collections import Counter

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from lossbench.prepare import prepare
from lossbench.profiling import Count, Ledger, peak, profile
from tests.conftest import TINY


class Clock:
    """A time that passes when it is told to."""

    now = 0.0


@pytest.fixture
def clock(monkeypatch):
    """Return a clock that every ledger reads; it stands still but for what works under it."""
    clock = Clock()
    monkeypatch.setattr(Ledger, "stamp", lambda ledger: clock.now)
    monkeypatch.setattr("lossbench.profiling.peak", lambda device, precision: ("convolution", 1e9))
    return clock


def slow(clock, forward, backward):
    """Return a term that takes so long each way."""

    class Wait(torch.autograd.Function):
        @staticmethod
        def forward(ctx, image):
            clock.now += forward
            return image.mean()

        @staticmethod
        def backward(ctx, gradient):
            clock.now += backward
            return gradient.expand(1, 3, 32, 32) / 3072

    def term(fake):
        return Wait.apply(fake)

    return term


def found(part, profiled, key="parts"):
    return next(each for each in profiled[key] if each["name"] == part)


def test_time_goes_to_the_loss_that_takes_it_and_is_what_the_loss_costs(tiny, clock):
    profiled = profile(tiny("cycle", {"slow": (slow(clock, 2.0, 5.0), 1.0)}), rounds=3)
    assert profiled["step"]["seconds"] == {"median": 14.0, "quartiles": [14.0, 14.0], "n": 3}
    part = found("slow", profiled)
    assert (part["forward"], part["backward"], part["seconds"], part["share"]) == (4.0, 10.0, 14.0, 1.0)
    assert {part["name"] for part in profiled["parts"] if part["seconds"]} == {"slow"}
    costs = {loss["name"]: loss["seconds"]["median"] for loss in profiled["losses"]}
    assert costs == {"cycle": 0.0, "slow": 14.0, "gan": 0.0}


def test_time_of_networks_is_theirs_and_not_of_the_loss_that_asks(tiny, clock):
    run = tiny("cycle,idt")
    for name, network in run.networks.named().items():
        network.layers[1].register_forward_hook(waiting(clock, {"G": 1.0, "D": 0.25}[name[0]], 3.0))
    profiled = profile(run, rounds=2)
    parts = {part["name"]: (part["forward"], part["backward"]) for part in profiled["parts"]}
    # each generator translates, goes back and paints its own domain; each D looks at a fake, and then at two at once
    assert parts["G_A2B"] == parts["G_B2A"] == (3.0, 9.0)
    assert parts["D_A2B"] == parts["D_B2A"] == (0.5, 6.0)
    assert parts["cycle"] == parts["idt"] == parts["gan"] == (0.0, 0.0)
    assert profiled["step"]["seconds"]["median"] == sum(map(sum, (parts[name] for name in run.networks.named())))
    # without the cycle two forwards and backwards of generators are missing, without gan all of D
    assert found("cycle", profiled, "losses")["seconds"]["median"] == 2 * (1 + 3)
    assert found("gan", profiled, "losses")["seconds"]["median"] == 2 * (0.5 + 6.0)


def waiting(clock, forward, backward):
    """Return a layer's hook that takes so long each way."""

    def wait(seconds):
        clock.now += seconds

    def hook(layer, given, out):
        wait(forward)
        if out.requires_grad:
            out.register_hook(lambda gradient: wait(backward))

    return hook


def test_flop_are_torchs_own_and_a_loss_costs_those_of_the_networks_it_makes_run(tiny):
    run = tiny("cycle,idt,tv")
    profiled = profile(run, rounds=2)
    active = run.trainer.objective.active(6, 0.0)
    with FlopCounterMode(display=False) as counter:
        run.trainer.gradients(6, active)
    assert profiled["step"]["flop"] == counter.get_total_flops() == sum(part["flop"] for part in profiled["parts"])
    costs = {loss["name"]: loss["flop"] for loss in profiled["losses"]}
    assert costs["tv"] == 0
    forward = torch.randn(1, 3, 32, 32)
    with FlopCounterMode(display=False) as counter:
        run.networks.G["A2B"](forward).mean().backward()
    assert costs["idt"] == 2 * counter.get_total_flops()


def test_memory_is_that_of_tensors_alive_at_once():
    ledger = Ledger(torch.device("cpu"))
    given = torch.zeros(1000)
    count = Count(ledger, torch.device("cpu"))
    with count:
        ledger.owner = ("one", "")
        a = given + 1
        view = a[:10]
        a.add_(1)
        ledger.owner = ("two", "")
        b = torch.cat((a, a))
        del a
        assert count.now == 12000  # the view keeps its whole
        del view, b
        c = given * 2
    assert count.peak == 12000
    assert count.fullest == Counter({("one", ""): 4000, ("two", ""): 8000})
    assert count.now == c.nbytes == 4000


def test_a_loss_that_keeps_more_costs_its_bytes(tiny):
    def hoard(fake):
        return fake.repeat(1, 1, 8, 8).exp().mean()  # kept for the backward

    profiled = profile(tiny("cycle", {"hoard": (hoard, 1.0)}), rounds=2)
    assert found("hoard", profiled, "losses")["mb"] > 3 * 32 * 32 * 64 * 4 / 1e6
    assert found("cycle", profiled, "losses")["mb"] >= 0


def test_a_run_with_every_sort_of_network_is_profiled_and_moves_as_if_it_were_not():
    for recipe, plugins in (("cyclegan", "cycle"), ("pix2pix", "l1"), ("cut", "patchnce")):
        settings = {key: value for key, value in TINY.items() if key != "model.generator" or recipe != "pix2pix"}
        run, other = (prepare(plugins, recipe=recipe, settings=settings) for _ in range(2))
        profiled = profile(run, rounds=2)
        for step in range(1, 6):
            other.trainer.step(step)
        for name, network in run.networks.named().items():
            for (key, value), same in zip(
                network.named_parameters(), other.networks.named()[name].parameters(), strict=True
            ):
                assert torch.equal(value, same), (recipe, key)
        assert 0 <= profiled["step"]["idle"] <= 1
        assert profiled["step"]["images_per_second"] * profiled["step"]["seconds"]["median"] == pytest.approx(1)
        assert math.isclose(sum(part["share"] for part in profiled["parts"]), 1, abs_tol=0.2)


def test_a_critics_own_steps_hide_no_loss(tiny):
    profiled = profile(tiny("cycle", gan__mode="wgangp", gan__critic_steps=3), rounds=2)
    assert [loss["name"] for loss in profiled["losses"]] == ["gan", "cycle"]
    assert found("cycle", profiled, "losses")["flop"] > 0


def test_the_command_prints_tables_or_json_and_leaves_nothing(lossbench, tmp_path):
    words = [word for key, value in TINY.items() for word in ("--set", f"{key}={value}")]
    code, out, err = lossbench("profile", "--plugins", "cycle,tv", "--rounds", 2, *words)
    assert (code, err) == (0, "")
    for said in (
        "who works",
        "what a loss costs",
        "G_A2B",
        "GFLOP",
        "1 thread",
        "shapes at 32 px, batch 1",
        "of CPU time",
    ):
        assert said in out
    code, out, err = lossbench("profile", "--plugins", "cycle,tv", "--rounds", 2, "--json", *words)
    assert [loss["name"] for loss in json.loads(out)["losses"]] == ["gan", "cycle", "tv"]
    assert list(tmp_path.iterdir()) == []


def test_bad_input_is_told(lossbench):
    for words, said in (
        (("--plugins", "cycel"), "cycle"),
        (("--rounds", "1"), "--rounds"),
        (("--device", "gpu"), "train.device"),
        (("--set", "cycle.weight=0", "--set", "gan.weight=0", "--plugins", "cycle"), "loss"),
    ):
        code, _, err = lossbench("profile", *words)
        assert code == 2
        assert said in err
        assert err.count("\n") == 1


@pytest.mark.parametrize("precision", ["float32", "float64", "bf16"])
def test_the_peak_is_what_the_faster_of_two_reaches(precision, monkeypatch):
    seconds = iter([0.5, 0.25, 0.5, 0.5, 0.5, 4.0, 4.0, 4.0, 4.0, 4.0])
    monkeypatch.setattr("lossbench.profiling.ROWS", {False: 8})
    monkeypatch.setattr("lossbench.profiling.SIDE", 4)
    monkeypatch.setattr(Ledger, "timed", lambda ledger, work: (work(), next(seconds))[1])
    assert peak(torch.device("cpu"), precision) == ("convolution", 2 * 2 * 256 * 256 * 9 * 4 * 4 / 0.25)
