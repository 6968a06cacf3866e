"""The adversarial loss: every mode on both sides, by formula on random answers."""

from __future__ import annotations

import inspect
import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import lossbench

MODES = ("lsgan", "vanilla", "minimax", "hinge", "wgangp")


@pytest.fixture
def answers() -> tuple[Tensor, Tensor]:
    """Answers of a patch discriminator to three images, fake and real."""
    draw = torch.Generator().manual_seed(0)
    return tuple(3 * torch.randn(3, 1, 4, 5, dtype=torch.float64, generator=draw) for _ in range(2))


def stream(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def gan(mode: str, **options):
    return lossbench.load_loss("gan", mode=mode, **options)


def as_scalar(value: Tensor, expected: Tensor) -> None:
    assert value.shape == ()
    torch.testing.assert_close(value, expected)


# By formula -----------------------------------------------------------------------------------------------------------


def generator_by_formula(mode: str, fake: Tensor) -> Tensor:
    ones = torch.ones_like(fake)
    if mode == "lsgan":
        return F.mse_loss(fake, ones)
    if mode == "vanilla":
        return F.binary_cross_entropy_with_logits(fake, ones)
    if mode == "minimax":
        return torch.log(1 - torch.sigmoid(fake)).mean()
    return -fake.mean()


def discriminator_by_formula(mode: str, fake: Tensor, real: Tensor) -> Tensor:
    ones, zeros = torch.ones_like(real), torch.zeros_like(fake)
    if mode == "lsgan":
        return (F.mse_loss(real, ones) + F.mse_loss(fake, zeros)) / 2
    if mode == "hinge":
        return (1 - real).clamp(min=0).mean() + (1 + fake).clamp(min=0).mean()
    cross_entropy = F.binary_cross_entropy_with_logits
    return (cross_entropy(real, ones) + cross_entropy(fake, zeros)) / 2


@pytest.mark.parametrize("mode", MODES)
def test_the_generators_side_is_its_formula(answers, mode):
    fake, _ = answers
    as_scalar(gan(mode).generator(pred_fake=fake), generator_by_formula(mode, fake))


@pytest.mark.parametrize("mode", ["lsgan", "vanilla", "minimax", "hinge"])
def test_the_discriminators_side_is_its_formula(answers, mode):
    fake, real = answers
    value = gan(mode).discriminator(pred_fake=fake, pred_real=real)
    as_scalar(value, discriminator_by_formula(mode, fake, real))


@pytest.mark.parametrize(
    ("mode", "fake", "real", "generator", "discriminator"),
    [
        ("lsgan", -2.0, 2.0, 9.0, (4 + 1) / 2),
        ("vanilla", -2.0, 2.0, math.log(1 + math.exp(2)), math.log(1 + math.exp(-2))),
        ("minimax", -2.0, 2.0, -math.log(1 + math.exp(-2)), math.log(1 + math.exp(-2))),
        ("hinge", -2.0, -1.0, 2.0, 2 + 0),  # the real image is 2 below 1; the fake is beyond -1
        ("hinge", 0.5, 3.0, -0.5, 0 + 1.5),
    ],
)
def test_the_values_of_one_answer_are_those_computed_by_hand(mode, fake, real, generator, discriminator):
    sides, fake, real = gan(mode), torch.tensor([[fake]]), torch.tensor([[real]])
    assert float(sides.generator(pred_fake=fake)) == pytest.approx(generator)
    assert float(sides.discriminator(pred_fake=fake, pred_real=real)) == pytest.approx(discriminator)


@pytest.mark.parametrize("mode", ["vanilla", "minimax", "hinge", "lsgan"])
def test_answers_that_are_far_out_stay_finite(mode):
    far = torch.tensor([[-1e4, 1e4]])
    sides = gan(mode)
    assert sides.generator(pred_fake=far).isfinite()
    assert sides.discriminator(pred_fake=far, pred_real=far).isfinite()


def slope(mode: str, answer: float) -> float:
    fake = torch.tensor([[answer]], requires_grad=True)
    gan(mode).generator(pred_fake=fake).backward()
    return float(fake.grad)


def test_where_the_discriminator_is_sure_only_the_form_that_is_trained_has_a_gradient():
    assert slope("vanilla", -10.0) == pytest.approx(-1, abs=1e-3)
    assert slope("minimax", -10.0) == pytest.approx(0, abs=1e-3)


@pytest.mark.parametrize("mode", MODES)
def test_the_generators_side_pulls_answers_up(mode):
    assert slope(mode, 0.3) < 0


# Wasserstein, with the penalty of the gradient ------------------------------------------------------------------------


class Linear(nn.Module):
    """D(x) = <w, x>: its gradient is w everywhere."""

    def __init__(self, weight: Tensor) -> None:
        super().__init__()
        self.weight = nn.Parameter(weight)

    def forward(self, image: Tensor) -> Tensor:
        """[B, C, H, W] -> [B, 1, 1, 1]."""
        return (image * self.weight).sum((1, 2, 3), keepdim=True)


class Square(Linear):
    """D(x) = |x|^2 / 2 in two equal patches: its gradient is x."""

    def forward(self, image: Tensor) -> Tensor:
        """[B, C, H, W] -> [B, 1, 1, 2]."""
        return (image.square().sum((1, 2, 3), keepdim=True) / 2).expand(-1, 1, 1, 2)


def images(*shape: int, seed: int = 1) -> Tensor:
    return torch.randn(shape, dtype=torch.float64, generator=stream(seed))


def critic(D: nn.Module, fake: Tensor, real: Tensor, *, seed: int = 0, **options) -> Tensor:
    term = gan("wgangp", **options).discriminator
    return term(pred_fake=D(fake), pred_real=D(real), seen_fake=fake, seen_real=real, D=D, rng=stream(seed))


@pytest.mark.parametrize("penalty", [10.0, 2.5, 0.0])
def test_the_penalty_of_a_linear_critic_is_that_of_the_length_of_its_weights(penalty):
    D, fake, real = Linear(images(3, 4, 4)), images(2, 3, 4, 4, seed=2), images(2, 3, 4, 4, seed=3)
    expected = D(fake).mean() - D(real).mean() + penalty * (D.weight.norm() - 1) ** 2
    as_scalar(critic(D, fake, real, penalty=penalty), expected)


def test_the_penalty_is_10_by_itself():
    D, fake, real = Linear(images(3, 4, 4)), images(2, 3, 4, 4, seed=2), images(2, 3, 4, 4, seed=3)
    torch.testing.assert_close(critic(D, fake, real), critic(D, fake, real, penalty=10.0))


def test_a_linear_critic_of_length_1_is_not_penalised():
    weight = images(3, 4, 4)
    D, fake = Linear(weight / weight.norm()), images(2, 3, 4, 4, seed=2)
    torch.testing.assert_close(critic(D, fake, fake), torch.zeros((), dtype=torch.float64))


def test_the_penalty_trains_the_discriminator():
    D, fake, real = Linear(images(3, 4, 4)), images(2, 3, 4, 4, seed=2), images(2, 3, 4, 4, seed=3)
    critic(D, fake, real, penalty=10.0).backward()
    length = D.weight.detach().norm()
    by_hand = fake.mean(0) - real.mean(0) + 20 * (length - 1) * D.weight.detach() / length
    torch.testing.assert_close(D.weight.grad, by_hand)


def test_the_penalty_is_measured_on_lines_between_real_and_fake():
    D, real = Square(torch.zeros(1)), torch.zeros(400, 1, 1, 1, dtype=torch.float64)
    fake = real + 2  # the gradient at a point of the line is the point itself, uniform in 0..2
    penalty = critic(D, fake, real, penalty=1.0) - (D(fake).mean() - D(real).mean())
    assert float(penalty.detach()) == pytest.approx(1 / 3, abs=0.06)  # mean of (u - 1)^2


def test_each_image_has_a_point_of_its_own_and_one_for_all_its_pixels():
    points = []

    class Watched(Linear):
        def forward(self, image: Tensor) -> Tensor:
            points.append(image.detach())
            return super().forward(image)

    D = Watched(images(3, 4, 4))
    fake, real = images(5, 3, 4, 4, seed=2), images(5, 3, 4, 4, seed=3)
    critic(D, fake, real)
    along = ((points[-1] - fake) / (real - fake)).flatten(1)  # the last of three calls: fake, real, between
    torch.testing.assert_close(along, along[:, :1].expand_as(along))
    assert len(along[:, 0].unique()) == 5
    assert ((along > 0) & (along < 1)).all()


def test_the_penalty_draws_from_its_own_stream_only():
    D, fake, real = Square(torch.zeros(1)), images(2, 3, 4, 4), images(2, 3, 4, 4, seed=2)
    state = torch.get_rng_state()
    one, same, other = (critic(D, fake, real, seed=seed) for seed in (0, 0, 1))
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(one, same)
    assert not torch.equal(one, other)


# What is asked for, and options ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", MODES)
def test_a_generator_asks_for_the_answer_alone(mode):
    assert list(inspect.signature(gan(mode).generator).parameters) == ["pred_fake"]


def test_only_the_penalty_asks_for_images_the_network_and_a_stream():
    plain = ["pred_fake", "pred_real"]
    for mode in MODES[:-1]:
        assert list(inspect.signature(gan(mode).discriminator).parameters) == plain
    asked = set(inspect.signature(gan("wgangp").discriminator).parameters)
    assert asked == {*plain, "seen_fake", "seen_real", "D", "rng"}


def test_least_squares_is_the_mode_by_itself(answers):
    fake, real = answers
    sides = lossbench.load_loss("gan")
    torch.testing.assert_close(sides.generator(fake), F.mse_loss(fake, torch.ones_like(fake)))
    torch.testing.assert_close(sides.discriminator(fake, real), discriminator_by_formula("lsgan", fake, real))


@pytest.mark.parametrize(("mode", "steps"), [*((mode, 1) for mode in MODES[:-1]), ("wgangp", 5)])
def test_a_critic_takes_5_steps_for_one_and_the_others_1(mode, steps):
    assert gan(mode).critic_steps == steps
    assert gan(mode, critic_steps=3).critic_steps == 3


@pytest.mark.parametrize("steps", [0, -1])
def test_a_number_of_critic_steps_that_cannot_be_is_refused(steps):
    with pytest.raises(lossbench.OptionError, match="critic_steps"):
        gan("wgangp", critic_steps=steps)


def test_an_unknown_mode_is_refused_with_those_there_are():
    with pytest.raises(lossbench.OptionError, match=r"gan\.mode='rasgan'.*'lsgan', 'vanilla', 'minimax', 'hinge'"):
        gan("rasgan")
