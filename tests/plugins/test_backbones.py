"""Pretrained networks: every layer against torch.nn in torchvision's layout, and AdaIN's; how often each layer runs."""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from lossbench_plugins import _backbones
from lossbench_plugins._backbones import backbone
from torch import Tensor, nn

import lossbench
from lossbench.prepare import prepare
from lossbench.registry import load
from lossbench.views import Once
from tests.conftest import TINY

LAYERS = {  # a network's layers in the order of its file; `_` has no name here
    "vgg16": "conv1_1 relu1_1 conv1_2 relu1_2 pool1 conv2_1 relu2_1 conv2_2 relu2_2 pool2 "
    "conv3_1 relu3_1 conv3_2 relu3_2 conv3_3 relu3_3 pool3 conv4_1 relu4_1 conv4_2 relu4_2 conv4_3 relu4_3 pool4 "
    "conv5_1 relu5_1 conv5_2 relu5_2 conv5_3 relu5_3 pool5",
    "vgg19-normalised": "input _ conv1_1 relu1_1 _ conv1_2 relu1_2 pool1 _ conv2_1 relu2_1 _ conv2_2 relu2_2 pool2 "
    "_ conv3_1 relu3_1 _ conv3_2 relu3_2 _ conv3_3 relu3_3 _ conv3_4 relu3_4 pool3 "
    "_ conv4_1 relu4_1 _ conv4_2 relu4_2 _ conv4_3 relu4_3 _ conv4_4 relu4_4 pool4 "
    "_ conv5_1 relu5_1 _ conv5_2 relu5_2 _ conv5_3 relu5_3 _ conv5_4 relu5_4",
    "alexnet": "conv1 relu1 pool1 conv2 relu2 pool2 conv3 relu3 conv4 relu4 conv5 relu5",
}
WIDE = (64, 128, 256, 512, 512)  # channels of the real VGG19's blocks
NARROW = (4, 5, 6, 6, 6)  # channels of the small networks


def images(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed)) * 2 - 1


def network(name: str, widths: tuple[int, ...] = NARROW) -> nn.Sequential:
    """Return a network of torch.nn in its published layout, with weights that keep the size of what goes through."""
    layers: list[nn.Module] = []
    channels = 3
    for layer in LAYERS[name].split():
        kind, block = layer[:4], int(layer[4]) if layer[-1].isdigit() else 0
        if kind == "conv":
            kernel, stride, padding = {"conv1": (11, 4, 2), "conv2": (5, 1, 2)}.get(layer, (3, 1, 1))
            padding = 0 if name == "vgg19-normalised" else padding
            layers.append(nn.Conv2d(channels, widths[block - 1], kernel, stride, padding))
            channels = widths[block - 1]
        elif kind == "pool":
            layers.append(nn.MaxPool2d(3 if name == "alexnet" else 2, 2, ceil_mode=name == "vgg19-normalised"))
        else:
            others = {"input": nn.Conv2d(3, 3, 1), "_": nn.ReflectionPad2d(1)}
            layers.append(others.get(layer) or nn.ReLU())
    torch.manual_seed(0)
    for layer in layers:
        if isinstance(layer, nn.Conv2d):
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
            nn.init.normal_(layer.bias, 0, 0.1)
    return nn.Sequential(*layers)


@functools.cache
def small(name: str) -> dict[str, Tensor]:
    """Return a small network's weights, named as in its file; those of LPIPS's heads."""
    if name.startswith("lpips"):
        draw = torch.Generator().manual_seed(1)
        return {f"lin{n}.model.1.weight": torch.rand(1, w, 1, 1, generator=draw) for n, w in enumerate(NARROW)}
    prefix = "" if name == "vgg19-normalised" else "features."
    return {prefix + key: tensor for key, tensor in network(name).state_dict().items()}


def shrink(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], _backbones.Backbone]:
    """Give the losses small networks with random weights, and leave alone what is remembered of the real ones."""
    fresh = functools.cache(_backbones.Backbone)
    for plugin in ("content", "style", "lpips"):
        monkeypatch.setattr(f"lossbench_plugins.{plugin}.backbone", fresh)
    for plugin in ("_backbones", "lpips"):
        monkeypatch.setattr(f"lossbench_plugins.{plugin}.pretrained", small)
    return fresh


def standardised(image: Tensor) -> Tensor:
    """As torchvision's weights want their images."""
    import torchvision

    how = torchvision.models.VGG16_Weights.IMAGENET1K_V1.transforms()
    return torchvision.transforms.functional.normalize((image + 1) / 2, how.mean, how.std)


def outputs(name: str, layers: nn.Sequential, image: Tensor) -> dict[str, Tensor]:
    """Return what every named layer of a network of torch.nn gives."""
    x, found = ((image + 1) / 2 if name == "vgg19-normalised" else standardised(image)), {}
    for layer, module in zip(LAYERS[name].split(), layers, strict=False):
        x = found[layer] = module(x.clone())  # ReLUs of torchvision work in place
    found.pop("_", None)
    return found


def check_every_layer(shared: _backbones.Backbone, layers: nn.Sequential, image: Tensor) -> None:
    expected = outputs(shared.name, layers.double().requires_grad_(False), image)
    features = shared.features(image)
    for layer, value in expected.items():
        assert value.std() > 1e-3
        torch.testing.assert_close(features[layer], value, rtol=1e-10, atol=1e-10 * float(value.abs().max()))


# The real networks ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["vgg16", "alexnet"])
def test_every_layer_is_that_of_torchvisions_network(real_weights, name):
    import torchvision

    tensors = real_weights(name)
    with torch.device("meta"):
        layers = getattr(torchvision.models, name)(weights=None).features
    layers.load_state_dict({key.removeprefix("features."): each for key, each in tensors.items()}, assign=True)
    check_every_layer(backbone(name), layers, images(1, 3, 38, 45))


def test_every_layer_of_the_normalised_network_is_that_of_its_published_layout(real_weights):
    layers = network("vgg19-normalised", WIDE)
    layers.load_state_dict(real_weights("vgg19-normalised"))
    check_every_layer(backbone("vgg19-normalised"), layers, images(1, 3, 38, 45))


@pytest.mark.parametrize(
    ("name", "layer", "expected"),
    [("vgg16", "relu3_3", (256, 8)), ("vgg16", "relu5_3", (512, 2)), ("alexnet", "relu5", (256, 1)),
     ("vgg19-normalised", "relu4_1", (512, 4))],
)  # fmt: skip
def test_a_layer_has_the_papers_channels_at_32_px(real_weights, name, layer, expected):
    real_weights(name)
    features = backbone(name).features(torch.zeros(2, 3, 32, 32))[layer]
    assert features.shape == (2, expected[0], expected[1], expected[1])


# Small ones -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def narrow(monkeypatch):
    """Return a maker of small backbones, those that the losses have."""
    return shrink(monkeypatch)


@pytest.mark.parametrize("name", LAYERS)
@pytest.mark.parametrize("size", [(33, 38), (64, 35)])
def test_every_layer_of_a_small_network_is_that_of_torch_nn(narrow, name, size):
    check_every_layer(narrow(name), network(name), images(2, 3, *size))


def test_images_are_standardised_by_imagenets_mean_and_deviation(narrow):
    levels = torch.tensor([-1.0, 0.0, 1.0], dtype=torch.float64)
    found = narrow("vgg16").features(levels.view(3, 1, 1, 1).expand(3, 3, 2, 2))["input"][:, :, 0, 0]
    torch.testing.assert_close(found[0], torch.tensor([-0.485 / 0.229, -0.456 / 0.224, -0.406 / 0.225]).double())
    torch.testing.assert_close(found[1] - found[0], torch.tensor([0.5 / 0.229, 0.5 / 0.224, 0.5 / 0.225]).double())
    torch.testing.assert_close(found[2] - found[1], found[1] - found[0])


def test_conv_is_before_and_relu_after_the_relu(narrow):
    features = narrow("vgg16").features(images(1, 3, 16, 16))
    assert features["conv3_3"].min() < 0
    torch.testing.assert_close(features["relu3_3"], features["conv3_3"].clamp(min=0), rtol=0, atol=0)


@pytest.mark.parametrize(
    ("name", "known"),
    [("vgg16", "relu1_1, relu1_2, relu2_1, relu2_2, relu3_1, relu3_2, relu3_3, relu4_1, relu4_2, relu4_3, relu5_1, relu5_2, relu5_3"),
     ("vgg19-normalised", "relu1_1, relu1_2, relu2_1, relu2_2, relu3_1, relu3_2, relu3_3, relu3_4, relu4_1, relu4_2, relu4_3, relu4_4, relu5_1, relu5_2, relu5_3, relu5_4")],
)  # fmt: skip
def test_a_layer_that_is_not_there_is_refused_with_those_that_are(narrow, name, known):
    narrow(name).check(set(LAYERS[name].split()) - {"_"}, "content.layers")
    with pytest.raises(lossbench.OptionError) as error:
        narrow(name).check(("relu3_3", "relu6_1"), "content.layers")
    assert str(error.value) == f"content.layers: {name} has no `relu6_1`. Layers: {known}, each after its conv."


def test_images_of_any_precision_are_computed_in_their_own(narrow):
    shared, image = narrow("vgg16"), images(1, 3, 16, 16)
    twice = [shared.features(image.to(kind))["relu4_3"] for kind in (torch.float64, torch.float32, torch.float64)]
    assert [each.dtype for each in twice] == [torch.float64, torch.float32, torch.float64]
    torch.testing.assert_close(twice[1].double(), twice[0], rtol=1e-4, atol=1e-5)
    assert torch.equal(twice[0], twice[2])
    assert len(shared.kept) == 2


def test_weights_have_no_gradient_and_the_image_has(narrow):
    image = images(1, 3, 16, 16).requires_grad_()
    narrow("vgg16").features(image)["relu2_2"].sum().backward()
    assert image.grad.abs().sum() > 0
    assert not any(weight.requires_grad or weight.grad is not None for weight in narrow("vgg16").weights)


# Once -----------------------------------------------------------------------------------------------------------------


class Runs:
    """Counts how often each convolution of the small VGG16 runs, and with a graph or not."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, shared: _backbones.Backbone) -> None:
        names = [layer for layer in LAYERS["vgg16"].split() if layer.startswith("conv")]
        self.known = {id(weight): name for weight, name in zip(shared.weights[::2], names, strict=True)}  # float32
        self.found: list[tuple[str, bool]] = []
        self.convolution = F.conv2d
        monkeypatch.setattr(F, "conv2d", self)

    def __call__(self, x: Tensor, weight: Tensor, *others, **options) -> Tensor:
        out = self.convolution(x, weight, *others, **options)
        if id(weight) in self.known:
            self.found.append((self.known[id(weight)], out.requires_grad))
        return out

    def of(self, graph: bool) -> dict[str, int]:
        """Return how often the last convolution of each block ran, and the first, with a graph or without."""
        count = Counter(layer for layer, each in self.found if each == graph)
        assert all(len({count[layer] for layer in block}) == 1 for block in BLOCKS.values())
        return {block: count[layers[0]] for block, layers in BLOCKS.items()}


BLOCKS = {  # those that run equally often where relu3_3, relu4_3 and relu5_3 are the deepest of each image
    "1 to 3": ("conv1_1", "conv1_2", "conv2_1", "conv2_2", "conv3_1", "conv3_2", "conv3_3"),
    "4": ("conv4_1", "conv4_2", "conv4_3"),
    "5": ("conv5_1", "conv5_2", "conv5_3"),
}


@pytest.mark.parametrize("order", ["content,style,lpips", "lpips,style,content"])
@pytest.mark.parametrize("strategy", ["component", "fused"])
def test_a_paired_step_runs_each_image_once_and_no_deeper_than_asked(monkeypatch, narrow, order, strategy):
    run = prepare(order, recipe="pix2pix", settings=TINY | {"model.generator": "unet_16", "train.strategy": strategy})
    runs = Runs(monkeypatch, narrow("vgg16"))
    run.trainer.step(1)
    assert runs.of(graph=True) == {"1 to 3": 1, "4": 1, "5": 1}  # fake
    assert runs.of(graph=False) == {"1 to 3": 2, "4": 1, "5": 1}  # the truth, which is the target; real for content


@pytest.mark.parametrize(
    ("settings", "graph", "none"),
    [
        ({}, (2, 2, 0), (2, 2, 0)),  # both domains are real in one direction and target in the other
        ({"style.weight.B2A": 0}, (2, 1, 0), (2, 1, 0)),
        ({"style.weight": 0}, (2, 0, 0), (2, 0, 0)),
        ({"content.against": "cycle"}, (4, 2, 0), (2, 2, 0)),  # the round trips too
    ],
)
@pytest.mark.parametrize("strategy", ["component", "fused"])
def test_both_directions_share_their_images(monkeypatch, narrow, settings, graph, none, strategy):
    run = prepare("content,style,idt", settings=TINY | settings | {"train.strategy": strategy})
    runs = Runs(monkeypatch, narrow("vgg16"))
    run.trainer.step(1)
    assert tuple(runs.of(graph=True).values()) == graph
    assert tuple(runs.of(graph=False).values()) == none


@pytest.mark.usefixtures("narrow")
@pytest.mark.parametrize("layers", [("relu1_1", "relu4_3"), ("relu4_3", "relu1_1"), ("relu2_2", "relu2_2")])
def test_terms_that_share_an_image_give_what_they_give_apart(layers):
    content = lossbench.load_loss("content", layers=layers[:1])
    style = lossbench.load_loss("style", layers=layers[1:])

    def computed(*each: Once) -> list[Tensor]:
        fake, other = images(1, 3, 24, 24).requires_grad_(), images(1, 3, 24, 24, seed=1)
        values = [*content(fake, other, each[0]).values(), *style(fake, other, each[-1]).values()]
        sum(values).backward()
        return [*values, fake.grad]

    for one, other in zip(computed(Once()), computed(Once(), Once()), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-12, atol=1e-15)


def test_what_has_no_graph_is_kept_when_graphs_are_dropped(monkeypatch, narrow):
    once, term = Once(), lossbench.load_loss("content")
    fake, real = images(1, 3, 16, 16).float().requires_grad_(), images(1, 3, 16, 16, seed=1).float()
    runs = Runs(monkeypatch, narrow("vgg16"))
    for _ in range(2):
        term(fake, real, once)["relu3_3"].backward()
        once.forget()
    assert [graph for layer, graph in runs.found if layer == "conv3_3"] == [True, False, True]


def test_a_record_names_the_weights_and_another_file_of_them_is_another_run(real_weights, tmp_path):
    real_weights("vgg16")
    settings = {
        "data.size": 32,
        "data.load_size": 32,
        "model.generator": "resnet_1blocks",
        "model.ngf": 2,
        "model.ndf": 2,
    }
    for _ in range(2):  # the second time the network is there already
        described = prepare("content,cycle", settings=settings).objective.describe()
        used = {term["term"]: term["weights"] for term in described}
        assert used["A2B/content"] == used["B2A/content"] == {"vgg16": load("weights", "vgg16").spec.sha256}
        assert used["A2B/cycle"] == {}
