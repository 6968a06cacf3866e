"""R1: by hand for discriminators whose gradient is known, image by image for those that are used."""

from __future__ import annotations

import inspect

import pytest
import torch
from torch import Tensor, nn

import lossbench
from lossbench.networks.discriminators import n_layer_patches


def images(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def penalty(D, seen_real: Tensor, **options) -> Tensor:
    return lossbench.load_loss("r1", **options).discriminator(seen_real=seen_real, D=D)


class Linear(nn.Module):
    """D(x) = <w, x>: its gradient is w everywhere."""

    def __init__(self, weight: Tensor) -> None:
        super().__init__()
        self.weight = nn.Parameter(weight)

    def forward(self, image: Tensor) -> Tensor:
        """[B, C, H, W] -> [B, 1, 1, 1]."""
        return (image * self.weight).sum((1, 2, 3), keepdim=True)


def square(image: Tensor) -> Tensor:
    """D(x) = |x|^2 / 2 in two equal patches, [B, C, H, W] -> [B, 1, 1, 2]: its gradient is x."""
    return (image.square().sum((1, 2, 3), keepdim=True) / 2).expand(-1, 1, 1, 2)


@pytest.mark.parametrize("gamma", [10.0, 2.5, 0.0])
def test_a_linear_discriminator_pays_for_the_square_of_its_weights(gamma):
    D = Linear(images(3, 4, 4))
    value = penalty(D, images(2, 3, 4, 4, seed=1), gamma=gamma)
    assert value.shape == ()
    torch.testing.assert_close(value, gamma / 2 * D.weight.square().sum())


def test_gamma_is_10_by_itself():
    D = Linear(images(3, 4, 4))
    torch.testing.assert_close(penalty(D, images(2, 3, 4, 4, seed=1)), 5 * D.weight.square().sum())


def test_it_trains_the_discriminator():
    D = Linear(images(3, 4, 4))
    penalty(D, images(2, 3, 4, 4, seed=1), gamma=3.0).backward()
    torch.testing.assert_close(D.weight.grad, 3 * D.weight.detach())


def test_it_is_measured_at_the_real_images_averages_over_them_and_over_patches():
    real = images(3, 2, 4, 5)
    torch.testing.assert_close(penalty(square, real, gamma=2.0), real.square().sum((1, 2, 3)).mean())


def test_patches_that_see_their_own_pixels_pay_a_quarter_at_twice_the_size():
    real = images(2, 3, 4, 4)
    small, large = penalty(lambda image: image.square(), real), penalty(torch.square, real.repeat(1, 1, 2, 2))
    torch.testing.assert_close(large, small / 4)


@pytest.mark.parametrize("training", [True, False])
def test_a_patch_discriminator_pays_what_each_image_alone_does(training):
    torch.manual_seed(0)
    D = n_layer_patches(3, 4, 2, "instance").double().train(training)
    real = images(3, 3, 24, 24)
    slopes = [torch.autograd.functional.jacobian(lambda image: D(image[None]).mean(), image) for image in real]
    expected = 10 / 2 * torch.stack([slope.square().sum() for slope in slopes]).mean()
    assert float(expected) > 0
    torch.testing.assert_close(penalty(D, real), expected)


def test_the_gradient_of_the_penalty_is_that_of_differences():
    real = images(2, 2, 3, 3)

    def at(weight: Tensor) -> Tensor:
        return penalty(lambda image: torch.tanh((image * weight).sum((1, 2, 3), keepdim=True)), real, gamma=4.0)

    assert torch.autograd.gradcheck(at, (0.3 * images(2, 3, 3, seed=1)).requires_grad_())


def test_what_others_see_stays_as_it_is():
    real = images(2, 3, 4, 4)
    penalty(Linear(images(3, 4, 4)), real).backward()
    assert not real.requires_grad
    assert real.grad is None


def test_it_has_the_discriminators_side_alone_and_asks_for_the_real_images_and_the_network():
    sides = lossbench.load_loss("r1")
    assert sides.generator is None
    assert sides.critic_steps == 1
    assert list(inspect.signature(sides.discriminator).parameters) == ["seen_real", "D"]


def test_a_negative_gamma_is_refused():
    with pytest.raises(lossbench.OptionError, match=r"r1\.gamma=-1\.0"):
        lossbench.load_loss("r1", gamma=-1.0)


def test_in_a_run_it_trains_discriminators_alike_under_both_strategies(tiny):
    def after(strategy: str, plugins: str):
        trainer = tiny(plugins, train__strategy=strategy).trainer
        values = trainer.gradients(1, trainer.objective.terms)
        trainer.step(1)
        return values, [each.detach().clone() for each in trainer.networks.D["A2B"].parameters()]

    (values, plain), (fused, other), (_, without) = (
        after(*case) for case in (("component", "r1"), ("fused", "r1"), ("component", "cycle"))
    )
    assert float(values["A2B/r1:D"]) > 0
    assert float(values["A2B/r1:D"]) == pytest.approx(float(fused["A2B/r1:D"]), rel=1e-4)
    torch.testing.assert_close(plain, other, atol=1e-5, rtol=1e-3)
    assert any(not torch.equal(a, b) for a, b in zip(plain, without, strict=True))
