"""LPIPS: by hand, and by the `lpips` package and torchmetrics with the same weights."""

from __future__ import annotations

import inspect
from types import SimpleNamespace

import lpips
import pytest
import torch
import torchvision
from lossbench_plugins.lpips import distance, unit
from torch import Tensor, nn
from torchmetrics.functional.image import learned_perceptual_image_patch_similarity

import lossbench
from lossbench.registry import load
from lossbench.testing import check_loss
from lossbench.views import Once
from tests.plugins.test_backbones import NARROW, images, network, outputs, shrink, small

AGAINST = {"truth": ["fake", "truth", "once"], "real": ["fake", "real", "once"], "cycle": ["rec", "real", "once"]}
THEIRS = {"vgg16": "vgg", "alexnet": "alex"}


def loss(fake: Tensor, truth: Tensor, **options) -> Tensor:
    return lossbench.load_loss("lpips", **options)(fake, truth, Once())


# The real one ---------------------------------------------------------------------------------------------------------


@pytest.fixture(params=THEIRS)
def real(request, real_weights, monkeypatch) -> str:
    """Return a network's name; torchvision's has our weights, so that nothing is fetched or drawn for it."""
    name = request.param
    with torch.device("meta"):
        features = getattr(torchvision.models, name)(weights=None).features
    tensors = {key.removeprefix("features."): each for key, each in real_weights(name).items()}
    features.load_state_dict(tensors, assign=True)
    monkeypatch.setattr(torchvision.models, name, lambda **_: SimpleNamespace(features=features))
    real_weights(f"lpips-{THEIRS[name]}")
    return name


def package(name: str, heads: dict[str, Tensor]) -> nn.Module:
    """Return the package's own network with our weights, in float64."""
    theirs = lpips.LPIPS(net=THEIRS[name], pretrained=False, pnet_rand=True, verbose=False)
    found = theirs.load_state_dict(heads, strict=False)
    assert found.unexpected_keys == []
    return theirs.double().eval()


def test_it_is_the_mean_of_the_packages_and_so_is_its_gradient(real, real_weights):
    theirs = package(real, real_weights(f"lpips-{THEIRS[real]}"))
    fake, truth = images(2, 3, 32, 40).requires_grad_(), images(2, 3, 32, 40, seed=1)
    value, expected = loss(fake, truth, network=real), theirs(fake, truth).mean()
    assert value.shape == ()
    assert 0.05 < expected.detach() < 1
    torch.testing.assert_close(value, expected, rtol=1e-6, atol=0)
    ours, other = (torch.autograd.grad(each, fake)[0] for each in (value, expected))
    torch.testing.assert_close(ours, other, rtol=1e-6, atol=1e-6 * float(other.abs().max()))


def test_it_is_torchmetrics(real):
    pair = images(2, 3, 32, 32).float(), images(2, 3, 32, 32, seed=1).float()
    expected = learned_perceptual_image_patch_similarity(*pair, net_type=THEIRS[real])
    torch.testing.assert_close(loss(*pair, network=real), expected, rtol=1e-5, atol=0)


@pytest.mark.parametrize("level", [-1.0, 0.0, 1.0])
def test_flat_images_have_a_finite_gradient(real, level):
    fake, flat = torch.full((1, 3, 32, 32), level, requires_grad=True), torch.full((1, 3, 32, 32), -level)
    for truth in (flat, images(1, 3, 32, 32).float()):
        (gradient,) = torch.autograd.grad(loss(fake, truth, network=real), fake)
        assert gradient.isfinite().all()
        assert gradient.abs().max() < 10


def test_equal_images_cost_nothing_and_have_no_gradient(real):
    for truth in (torch.zeros(1, 3, 32, 32), images(1, 3, 32, 32).float()):
        fake = truth.clone().requires_grad_()
        value = loss(fake, truth, network=real)
        assert value == 0
        assert (torch.autograd.grad(value, fake)[0] == 0).all()


# By hand, and small ones ----------------------------------------------------------------------------------------------


def at(*vectors: tuple[float, ...]) -> Tensor:
    """Return features [1, C, 1, places]."""
    return torch.tensor(vectors).T[None, :, None].double()


def test_directions_are_weighted_by_channel_and_averaged_over_places_by_hand():
    one, other = {"a": at((3, 4), (5, 0))}, {"a": at((1, 0), (2, 0))}
    weights = {"a": torch.tensor([2.0, 0.5]).view(2, 1, 1)}
    expected = (2 * (0.6 - 1) ** 2 + 0.5 * 0.8**2) / 2  # the second place has the same direction
    assert float(distance(one, other, weights)) == pytest.approx(expected, rel=1e-12)


def test_layers_are_added_and_images_averaged_by_hand():
    one = {"a": torch.cat([at((3, 4)), at((1, 0))]), "b": torch.cat([at((0, 2)), at((2, 0))])}
    other = {"a": torch.cat([at((1, 0)), at((7, 0))]), "b": torch.cat([at((1, 0)), at((1, 0))])}
    weights = {layer: torch.ones(2, 1, 1) for layer in "ab"}
    expected = (0.4**2 + 0.8**2 + 0) / 2 + (1 + 1 + 0) / 2
    assert float(distance(one, other, weights)) == pytest.approx(expected, rel=1e-12)


def test_a_unit_has_length_1_and_nothing_stays_nothing():
    features = images(1, 5, 2, 2)
    features[..., 0] = 0
    features.requires_grad_()
    made = unit(features)
    torch.testing.assert_close(made.square().sum(1), torch.tensor([[[0.0, 1.0], [0.0, 1.0]]]).double())
    made.square().sum().backward()
    assert features.grad.isfinite().all()
    assert (features.grad[..., 0] == 0).all()


@pytest.fixture
def narrow(monkeypatch):
    """Give the loss a small network."""
    return shrink(monkeypatch)


def test_of_a_small_network_it_is_the_formula(narrow):
    fake, truth = images(2, 3, 32, 39), images(2, 3, 32, 39, seed=1)
    plain = network("vgg16").double().requires_grad_(False)
    seen = [outputs("vgg16", plain, image) for image in (fake, truth)]
    expected = 0.0
    for n, layer in enumerate(("relu1_2", "relu2_2", "relu3_3", "relu4_3", "relu5_3")):
        one, other = (torch.nn.functional.normalize(each[layer], dim=1) for each in seen)
        head = small("lpips-vgg")[f"lin{n}.model.1.weight"].double()
        assert head.shape == (1, NARROW[n], 1, 1)
        expected += float(torch.nn.functional.conv2d((one - other) ** 2, head).mean())
    assert float(loss(fake, truth)) == pytest.approx(expected, rel=1e-9)


def test_features_that_are_all_0_have_a_gradient_of_0(narrow):
    shared = narrow("vgg16")
    shared.weights[1] = shared.weights[1] - 100.0  # no channel of conv1_1 gets above 0
    fake, truth = images(1, 3, 16, 16).requires_grad_(), images(1, 3, 16, 16, seed=1)
    value = loss(fake, truth)
    assert value == 0
    assert (torch.autograd.grad(value, fake)[0] == 0).all()


@pytest.mark.usefixtures("narrow")
@pytest.mark.parametrize(("against", "asked"), AGAINST.items())
def test_it_asks_for_what_it_compares(against, asked):
    term = lossbench.load_loss("lpips", against=against)
    assert list(inspect.signature(term).parameters) == asked
    one, other = images(1, 3, 16, 16), images(1, 3, 16, 16, seed=1)
    torch.testing.assert_close(term(one, other, Once()), loss(one, other))


@pytest.mark.usefixtures("narrow")
@pytest.mark.parametrize("against", AGAINST)
def test_the_gradient_is_that_of_differences(against):
    term = lossbench.load_loss("lpips", against=against)
    one, other = images(1, 3, 16, 17).requires_grad_(), images(1, 3, 16, 17, seed=1)
    assert torch.autograd.gradcheck(lambda image: term(image, other, Once()), (one,), fast_mode=True)


@pytest.mark.usefixtures("narrow")
def test_vgg16_and_the_truth_at_weight_1_are_the_defaults():
    assert load("losses", "lpips").spec.weight == 1
    term = lossbench.load_loss("lpips")
    assert list(inspect.signature(term).parameters) == AGAINST["truth"]
    one, other = images(1, 3, 16, 16), images(1, 3, 16, 16, seed=1)
    torch.testing.assert_close(term(one, other, Once()), loss(one, other, network="vgg16"), rtol=0, atol=0)


@pytest.mark.usefixtures("narrow")
def test_it_is_sound_on_the_round_trip():
    results = check_loss("lpips", options={"against": "cycle"}, size=32)
    assert {each.status for each in results} <= {"ok", "skipped", "remark"}
