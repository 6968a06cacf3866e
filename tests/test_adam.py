"""Adam: bit for bit what torch.optim makes of the same gradients, and no compiler on the way to a first step."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch
from torch import nn

from lossbench.adam import Adam

BETAS = (0.5, 0.999)


def weights():
    torch.manual_seed(0)
    return [nn.Parameter(torch.randn(3, 2)), nn.Parameter(torch.randn(4)), nn.Parameter(torch.randn(2, 3, 4, 4))]


def test_it_moves_as_torchs_own_to_the_bit():
    ours, theirs = weights(), weights()
    mine, other = Adam(ours, BETAS), torch.optim.Adam(theirs, 1.0, BETAS)
    for step in range(5):
        for place, (one, two) in enumerate(zip(ours, theirs, strict=True)):
            grad = None if place == 1 and step in (0, 3) else torch.randn(one.shape)  # one that is left out at times
            one.grad, two.grad = grad, None if grad is None else grad.clone()
        mine.step(0.1 / (step + 1))
        other.param_groups[0]["lr"] = 0.1 / (step + 1)
        other.step()
        assert all(torch.equal(one, two) for one, two in zip(ours, theirs, strict=True))
    mine.zero_grad()
    assert all(each.grad is None for each in ours)


def test_without_a_gradient_nothing_moves():
    ours = weights()
    before = [each.detach().clone() for each in ours]
    optimiser = Adam(ours, BETAS)
    optimiser.step(0.1)
    assert all(torch.equal(one, two) for one, two in zip(ours, before, strict=True))
    assert optimiser.moments == {}


def test_it_goes_on_from_earlier_moments():
    first, second = Adam(weights(), BETAS), Adam(weights(), BETAS)
    for each in first.parameters:
        each.grad = torch.ones_like(each)
    first.step(0.1)
    second.load(first.moments)
    for place, moments in first.moments.items():
        assert all(torch.equal(moments[name], second.moments[place][name]) for name in moments)
        assert all(moments[name] is not second.moments[place][name] for name in moments)


@pytest.mark.parametrize(
    "moments",
    [{9: {}}, {0: {}}, {0: {"step": torch.ones(()), "exp_avg": torch.ones(7), "exp_avg_sq": torch.ones(3, 2)}}],
)
def test_moments_of_other_parameters_are_refused_and_nothing_is_taken(moments):
    optimiser = Adam(weights(), BETAS)
    with pytest.raises((KeyError, RuntimeError)):
        optimiser.load(moments)
    assert optimiser.moments == {}


def test_a_run_reaches_its_first_step_without_the_compiler():
    code = (
        "import sys\nfrom lossbench.prepare import prepare\n"
        "run = prepare('cycle,idt,circularity', settings={'data.size': 32, 'data.load_size': 32})\n"
        "run.trainer.step(1)\nprint('torch._dynamo' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
