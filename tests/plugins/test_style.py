"""Style: Gram matrices entry by entry, by hand on flat images; one image as the style, and what a run keeps of it."""

from __future__ import annotations

import hashlib
import inspect
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from lossbench_plugins.style import gram
from torch import Tensor, nn

import lossbench
from lossbench import DataError, OptionError
from lossbench.outcome import opening
from lossbench.prepare import Run, prepare
from lossbench.registry import load
from lossbench.testing import check_loss
from lossbench.views import Once
from tests.conftest import TINY
from tests.plugins.test_backbones import images, network, outputs, shrink

LAYERS = ("relu1_2", "relu2_2", "relu3_3", "relu4_3")
MEAN, DEVIATION = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])  # of ImageNet


@pytest.fixture(autouse=True)
def narrow(monkeypatch):
    """Return a maker of small backbones, those that the loss has."""
    return shrink(monkeypatch)


@pytest.fixture
def painting(tmp_path) -> Path:
    """Return the file of a style, 40 x 28 px."""
    return write(tmp_path / "painting.png", 0)


def write(path: Path, seed: int) -> Path:
    path.parent.mkdir(exist_ok=True)
    cv2.imwrite(str(path), np.random.default_rng(seed).integers(0, 256, (28, 40, 3), np.uint8))
    return path


def style(fake: Tensor, target: Tensor, **options) -> dict[str, Tensor]:
    return lossbench.load_loss("style", **options)(fake=fake, target=target, once=Once())


def by_loops(features: np.ndarray) -> np.ndarray:  # [C, h, w] -> [C, C]
    channels, height, width = features.shape
    found = np.zeros((channels, channels))
    for i in range(channels):
        for j in range(channels):
            for y in range(height):
                for x in range(width):
                    found[i, j] += features[i, y, x] * features[j, y, x]
    return found / (channels * height * width)


# The formula ----------------------------------------------------------------------------------------------------------


def test_a_gram_matrix_is_counted_entry_by_entry():
    features = images(2, 3, 4, 5)
    expected = np.stack([by_loops(each.numpy()) for each in features])
    np.testing.assert_allclose(gram(features).numpy(), expected, rtol=1e-12)


@pytest.mark.parametrize("normalise", ["gram", "features"])
@pytest.mark.parametrize("which", ["vgg16", "vgg19-normalised"])
def test_it_is_the_squared_distance_of_gram_matrices(which, normalise):
    layers = ("relu1_2", "conv3_3", "relu3_3")
    fake, target = images(2, 3, 24, 16), images(2, 3, 24, 16, seed=1)
    values = style(fake, target, layers=layers, network=which, normalise=normalise)
    assert list(values) == list(layers)
    plain = network(which).double().requires_grad_(False)
    seen = [outputs(which, plain[:24], image) for image in (fake, target)]
    for layer, value in values.items():
        grams = [np.stack([by_loops(image) for image in each[layer].numpy()]) for each in seen]
        apart = (grams[0] - grams[1]) ** 2
        expected = apart.mean() if normalise == "gram" else apart.sum() / len(fake)
        assert value.shape == ()
        assert float(value) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("shape", [(1, 3, 8, 8), (2, 3, 12, 10)])
def test_of_flat_images_it_is_by_hand_whatever_their_size(shape):
    fake, target = torch.full(shape, 0.5).double(), torch.full(shape, -0.2).double()
    one, other = ((np.full(3, level) - MEAN) / DEVIATION for level in (0.75, 0.4))  # in [0, 1]
    apart = (np.outer(one, one) - np.outer(other, other)) / 3
    for normalise, expected in (("gram", (apart**2).mean()), ("features", (apart**2).sum())):
        value = style(fake, target, layers=("input",), normalise=normalise)["input"]
        assert float(value) == pytest.approx(expected, rel=1e-6)


def test_it_does_not_say_where_things_are():
    one = images(1, 3, 16, 16)
    moved = one.roll(5, 3)
    assert float(style(moved, one, layers=("input",))["input"]) < 1e-20
    assert float(style(images(1, 3, 16, 16, seed=1), one, layers=("input",))["input"]) > 1e-4


def test_the_gradient_is_that_of_differences():
    term = lossbench.load_loss("style", layers=("relu1_2", "conv2_1"))
    fake, target = images(1, 3, 6, 7).requires_grad_(), images(1, 3, 6, 7, seed=1)
    assert torch.autograd.gradcheck(lambda image: sum(term(image, target, Once()).values()), (fake,))


# One image ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("normalise", ["gram", "features"])
def test_an_image_is_what_it_is_as_a_target(painting, normalise):
    fixed = lossbench.load_loss("style", image=painting, normalise=normalise).double()
    fake = images(2, 3, 16, 16).requires_grad_()
    target = (torch.from_numpy(cv2.imread(str(painting))[..., ::-1].copy()).permute(2, 0, 1)[None] / 127.5 - 1).double()
    values, expected = fixed(fake, Once()), style(fake, target.expand(2, -1, -1, -1), normalise=normalise)
    assert list(values) == list(expected) == list(LAYERS)
    torch.testing.assert_close(values, expected, rtol=1e-4, atol=1e-9)
    gradients = [torch.autograd.grad(sum(each.values()), fake)[0] for each in (values, expected)]
    torch.testing.assert_close(*gradients, rtol=1e-3, atol=1e-3 * float(gradients[0].abs().max()))
    assert list(inspect.signature(fixed.forward).parameters) == ["fake", "once"]


def test_an_image_is_brought_to_its_size_by_the_shorter_side(painting, tmp_path):
    halved = tmp_path / "halved.png"
    cv2.imwrite(str(halved), cv2.resize(cv2.imread(str(painting)), (20, 14), interpolation=cv2.INTER_AREA))
    layers = {"layers": ("relu1_2", "relu3_3")}
    grams = [
        dict(lossbench.load_loss("style", image=file, image_size=size, **layers).named_buffers())
        for file, size in ((painting, 14), (halved, None), (painting, None))
    ]
    torch.testing.assert_close(grams[0], grams[1], rtol=0, atol=0)
    assert not torch.allclose(grams[1]["relu1_2"], grams[2]["relu1_2"], rtol=1e-2)


def test_its_matrices_move_with_it_and_are_in_no_snapshot(painting):
    fixed = lossbench.load_loss("style", image=painting)
    assert isinstance(fixed, nn.Module)
    assert fixed.state_dict() == {}
    assert not list(fixed.parameters())
    assert {name: buffer.shape[1:] for name, buffer in fixed.named_buffers()} == {
        "relu1_2": (4, 4), "relu2_2": (5, 5), "relu3_3": (6, 6), "relu4_3": (6, 6)
    }  # fmt: skip
    fake = images(1, 3, 16, 16)
    single = fixed(fake.float(), Once())
    double = fixed.to(torch.float64)(fake, Once())
    assert {value.dtype for value in double.values()} == {torch.float64}
    torch.testing.assert_close({layer: value.double() for layer, value in single.items()}, double, rtol=1e-3, atol=1e-8)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (None, "not a file"),
        (b"", "empty"),
        (b"no image", "not a PNG, JPEG, WebP, BMP or TIFF image, whatever its name says"),
        (b"\x89PNG broken", "damaged, or of a kind that Pillow cannot read"),
    ],
)
def test_an_image_that_is_none_is_refused_by_name(tmp_path, content, reason):
    path = tmp_path / "a.png"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(DataError) as error:
        lossbench.load_loss("style", image=path)
    assert f"{path}: {reason}" in str(error.value)


@pytest.mark.parametrize(
    ("option", "value", "said"),
    [
        ("layers", ["relu6_1"], "style.layers: vgg16 has no `relu6_1`. Layers: relu1_1, "),
        ("image_size", 0, "style.image_size=0: input should be greater than 0."),
        ("normalise", "channels", "style.normalise='channels': input should be 'gram' or 'features'."),
    ],
)
def test_options_that_cannot_be_are_refused_in_one_line(option, value, said):
    with pytest.raises(OptionError) as error:
        prepare("style", settings=TINY | {f"style.{option}": value})
    assert str(error.value).startswith(said)
    assert "\n" not in str(error.value)


def test_the_batchs_targets_and_four_layers_of_vgg16_at_1e3_are_the_defaults():
    assert load("losses", "style").spec.weight == 1e3
    term = lossbench.load_loss("style")
    assert list(inspect.signature(term).parameters) == ["fake", "target", "once"]
    fake, target = images(1, 3, 16, 16), images(1, 3, 16, 16, seed=1)
    expected = style(fake, target, layers=LAYERS, network="vgg16", normalise="gram")
    torch.testing.assert_close(term(fake, target, Once()), expected, rtol=0, atol=0)


def test_it_is_sound_with_one_image(painting):
    results = check_loss("style", options={"image": painting, "layers": ["relu1_2"]}, size=32)
    assert {each.status for each in results} <= {"ok", "skipped", "remark"}


# What a run keeps of an image -----------------------------------------------------------------------------------------


def run(image: Path, **more) -> Run:
    return prepare("style", settings=TINY | {"style.image": str(image), "style.layers": ["relu1_2"], **more})


def test_a_relative_path_is_kept_from_the_root(painting, monkeypatch, tmp_path):
    monkeypatch.chdir(painting.parent)
    config = tmp_path / "config.toml"
    config.write_text(run(Path("painting.png")).config.toml(), "utf-8")
    assert f'image = "{painting}"' in config.read_text("utf-8")
    monkeypatch.chdir("/")
    assert prepare(config=config).config.everything()["style.image"] == painting


def test_the_record_holds_the_sha256_of_the_image(painting):
    terms = {term["term"]: term for term in run(painting).objective.describe()}
    digest = hashlib.sha256(painting.read_bytes()).hexdigest()
    assert [terms[f"{way}/style"]["files"] for way in ("A2B", "B2A")] == [{"image": digest}] * 2
    assert terms["A2B/gan"]["files"] == {}
    assert terms["A2B/style"]["options"]["image"] == str(painting)


def test_what_a_run_is_does_not_depend_on_where_its_style_lies(painting, tmp_path):
    elsewhere, other = write(tmp_path / "elsewhere" / "a.png", 0), write(tmp_path / "other.png", 1)
    found = [opening(run(image))["run_id"] for image in (painting, elsewhere, other)]
    assert found[0] == found[1] != found[2]
