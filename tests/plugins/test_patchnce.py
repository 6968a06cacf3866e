"""PatchNCE against plain loops, by hand on two patches, and what its heads, places and gradients are."""

from __future__ import annotations

import inspect
import math

import pytest
import torch
from lossbench_plugins.patchnce import mirrored, nce
from torch import Generator, Tensor, nn

import lossbench
from lossbench import OptionError
from lossbench.networks import Network, resnet

LAYERS = (0, 4, 8, 12, 13)
NAMES = ("real", "fake", "target", "idt")
PATCHES = 20  # more than the 16 places of the deepest layers
TEMPERATURE = 0.3


def stream(seed: int) -> Generator:
    return torch.Generator().manual_seed(seed)


def images(*names: str) -> dict[str, Tensor]:
    """Two images of 16 x 16 px for each name; those that a generator made have a gradient."""
    drawn = {
        name: torch.rand(2, 3, 16, 16, dtype=torch.float64, generator=stream(n)) * 2 - 1 for n, name in enumerate(NAMES)
    }
    return {name: drawn[name].requires_grad_(name in ("fake", "idt")) for name in names}


@pytest.fixture
def generator() -> Network:
    torch.manual_seed(0)
    return resnet(3, blocks=2, ngf=2, antialias=True).double()


def ready(G: Network, **options):
    """Return the loss with heads of known shapes, whose weights are large enough for a test to see them."""
    loss = lossbench.load_loss("patchnce", **{"layers": LAYERS, "patches": PATCHES, "width": 6, **options}).double()
    with torch.no_grad():
        loss(**images(*asked(loss)[0]), G=G, rng=stream(0))
        for parameter in loss.parameters():
            parameter.normal_(generator=stream(parameter.numel()))
    return loss


def asked(loss) -> tuple[list[str], list[str]]:
    """Return the images that a term asks for, and the rest."""
    every = list(inspect.signature(loss.forward).parameters)
    return [name for name in every if name in NAMES], [name for name in every if name not in NAMES]


# By plain loops -------------------------------------------------------------------------------------------------------


def projected(head: nn.Sequential, vector: Tensor) -> Tensor:
    """Linear, ReLU, linear, and the length taken away."""
    first, _, second = head
    hidden = (first.weight @ vector + first.bias).clamp(min=0)
    long = second.weight @ hidden + second.bias
    return long / long.square().sum().sqrt()


def by_loops(loss, G: Network, pairs: list[tuple[Tensor, Tensor]], rng: Generator, flips: bool) -> Tensor:
    """Mean over pairs, layers, images and patches, each a loop; keys of all that there is no gradient."""
    total = torch.zeros((), dtype=torch.float64)
    for source, image in pairs:
        flip = bool(torch.rand((), generator=rng) < (0.5 if flips else 0))
        keys = G.features(source.flip(3) if flip else source, LAYERS)
        queries = G.features(image, LAYERS)
        for head, key, query in zip(loss.heads, keys, queries, strict=True):
            query = query.flip(3) if flip else query
            height, width = key.shape[2:]
            places = torch.randperm(height * width, generator=rng).tolist()[:PATCHES]
            for n in range(len(source)):
                k = [projected(head, key[n, :, at // width, at % width]).detach() for at in places]
                for i, at in enumerate(places):
                    q = projected(head, query[n, :, at // width, at % width])
                    alike = [torch.exp(q @ other / TEMPERATURE) for other in k]
                    total = total - torch.log(alike[i] / sum(alike)) / (
                        len(places) * len(source) * len(LAYERS) * len(pairs)
                    )
    return total


def gradients(value: Tensor, loss, G: Network, seen: dict[str, Tensor]) -> dict[str, Tensor]:
    parameters = {f"loss {name}": each for name, each in loss.named_parameters()}
    parameters |= {f"G {name}": each for name, each in G.named_parameters()}
    every = {**{name: image for name, image in seen.items() if image.requires_grad}, **parameters}
    found = torch.autograd.grad(value, list(every.values()), allow_unused=True)
    return {name: each for name, each in zip(every, found, strict=True) if each is not None}


@pytest.mark.parametrize(
    ("identity", "flip", "seed"),
    [(True, False, 0), (False, False, 1), (True, True, 2), (False, True, 3), (False, True, 4)],
)
def test_patchnce_equals_a_plain_loop(generator, identity, flip, seed):
    loss = ready(generator, identity=identity, flip=flip, temperature=TEMPERATURE)
    seen = images(*asked(loss)[0])
    pairs = [("real", "fake"), ("target", "idt")][: 2 if identity else 1]
    ours = loss(**seen, G=generator, rng=stream(seed))
    plain = by_loops(loss, generator, [(seen[one], seen[two]) for one, two in pairs], stream(seed), flip)
    assert ours.shape == ()
    torch.testing.assert_close(ours, plain, rtol=1e-10, atol=0)
    found, expected = (gradients(value, loss, generator, seen) for value in (ours, plain))
    assert found.keys() == expected.keys()
    for name, each in expected.items():
        torch.testing.assert_close(found[name], each, rtol=1e-10, atol=1e-10 * float(each.abs().max()) + 1e-15)


def test_the_loops_above_meet_both_sides_of_the_coin():
    assert {bool(torch.rand((), generator=stream(seed)) < 0.5) for seed in (3, 4)} == {False, True}


# By hand --------------------------------------------------------------------------------------------------------------


def test_two_patches_at_right_angles():
    vectors = torch.tensor([[[3.0, 0.0], [0.0, 0.5]]], dtype=torch.float64)  # lengths do not count
    assert float(nce(vectors, 2 * vectors, 0.5)) == pytest.approx(math.log(1 + math.exp(-1 / 0.5)))
    assert float(nce(vectors, vectors.flip(1), 0.5)) == pytest.approx(math.log(1 + math.exp(1 / 0.5)))


def test_patches_that_are_all_alike_cost_the_logarithm_of_their_number():
    vectors = torch.ones(3, 7, 4)
    assert float(nce(vectors, vectors, 0.07)) == pytest.approx(math.log(7), rel=1e-6)


def test_patches_of_other_images_are_no_negatives():
    vectors = torch.eye(4).view(2, 2, 4)
    apart = torch.stack([nce(one[None], one[None], 0.07) for one in vectors]).mean()
    torch.testing.assert_close(nce(vectors, vectors, 0.07), apart)
    alike = vectors[:1].expand(2, -1, -1)  # each has its twin in the other image
    torch.testing.assert_close(nce(alike, alike, 0.07), apart)


def test_vectors_of_no_length_have_a_finite_gradient():
    queries = torch.zeros(1, 3, 4, requires_grad=True)
    (slope,) = torch.autograd.grad(nce(queries, torch.randn(1, 3, 4, generator=stream(0)), 0.07), queries)
    assert slope.isfinite().all()


def test_a_mirrored_place_is_that_of_the_mirrored_image():
    image = torch.arange(3 * 5).view(3, 5)
    places = torch.tensor([0, 4, 5, 7, 13])
    assert torch.equal(image.flatten()[mirrored(places, 5)], image.flip(1).flatten()[places])


# What it asks for, and what moves ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("identity", "names"),
    [(True, ["real", "fake", "target", "idt", "G", "rng"]), (False, ["real", "fake", "G", "rng"])],
)
def test_the_identity_is_asked_for_only_where_it_counts(identity, names):
    assert list(inspect.signature(lossbench.load_loss("patchnce", identity=identity).forward).parameters) == names


def test_the_gradient_reaches_translation_encoder_and_heads_and_nothing_else(generator):
    loss = ready(generator)
    seen = {name: image.detach().requires_grad_() for name, image in images(*NAMES).items()}
    found = gradients(loss(**seen, G=generator, rng=stream(0)), loss, generator, seen)
    layers = {int(name.split(".")[1]) for name in found if name.startswith("G ")}
    assert {"fake", "idt"} == {name for name in found if name in NAMES}
    assert layers == {1, 4, 8, 12, 13}
    assert {name for name in found if name.startswith("loss ")} == {
        f"loss {name}" for name, _ in loss.named_parameters()
    }


def test_other_draws_are_other_places(generator):
    loss, seen = ready(generator), images(*NAMES)
    one, again, other = (loss(**seen, G=generator, rng=stream(seed)).item() for seed in (0, 0, 1))
    assert one == again != other


class Sides:
    """A generator that keeps what it is shown; its features are the images."""

    layers = (None,)

    def __init__(self) -> None:
        self.shown: list[Tensor] = []
        self.graphs: list[bool] = []

    def features(self, image: Tensor, layers) -> list[Tensor]:
        self.shown.append(image)
        self.graphs.append(torch.is_grad_enabled())
        return [image]


@pytest.mark.parametrize(("flip", "low", "high"), [(False, 0, 0), (True, 70, 130)])
def test_the_source_is_mirrored_in_half_of_the_steps_and_the_translation_never(flip, low, high):
    loss = lossbench.load_loss("patchnce", layers=(0,), width=2, flip=flip, identity=False).double()
    seen, G = images("real", "fake"), Sides()
    for seed in range(200):
        loss(**seen, G=G, rng=stream(seed))
    sources, translations = G.shown[::2], G.shown[1::2]
    assert low <= sum(torch.equal(each, seen["real"].flip(3)) for each in sources) <= high
    assert all(torch.equal(each, seen["fake"]) for each in translations)
    assert G.graphs == 200 * [False, True]  # of the source's side no graph is built
    assert all(torch.equal(each, seen["real"]) or torch.equal(each, seen["real"].flip(3)) for each in sources)


# The heads ------------------------------------------------------------------------------------------------------------


def test_a_head_has_two_layers_that_fit_and_begin_as_xavier_says():
    G = resnet(3, blocks=0, ngf=32, antialias=True)
    loss = lossbench.load_loss("patchnce", layers=(0, 4, 8))
    seen = {name: image.float() for name, image in images(*NAMES).items()}
    loss(**seen, G=G, rng=stream(0))
    for head, channels in zip(loss.heads, (3, 64, 128), strict=True):
        linear = [layer for layer in head if isinstance(layer, nn.Linear)]
        assert [each.weight.shape for each in linear] == [(256, channels), (256, 256)]
        assert not any(each.bias.any() for each in linear)
        for each in linear:
            expected = 0.02 * math.sqrt(2 / sum(each.weight.shape))
            assert each.weight.std().item() == pytest.approx(expected, rel=6 / math.sqrt(2 * each.weight.numel()))


def test_heads_that_know_their_shapes_are_kept():
    loss, seen = lossbench.load_loss("patchnce", layers=(0, 1)).double(), images(*NAMES)
    G = resnet(3, blocks=0, ngf=2, antialias=True).double()
    loss(**seen, G=G, rng=stream(0))
    before = [parameter.clone() for parameter in loss.parameters()]
    loss(**seen, G=G, rng=stream(0))
    assert all(torch.equal(one, other) for one, other in zip(before, loss.parameters(), strict=True))


# What is refused ------------------------------------------------------------------------------------------------------


def test_a_layer_that_the_generator_lacks_is_refused_before_training(lossbench):
    small = ("--size", 32, "--load-size", 32, "--set", "model.ngf=2", "--set", "model.ndf=2")
    generator = ("--set", "model.generator=resnet_1blocks", "--set", "patchnce.layers=[0,99]")
    code, out, err = lossbench("run", "--recipe", "cut", "--steps", 1, *small, *generator)
    assert (code, out) == (2, "")
    assert err == (
        "lossbench: patchnce.layers=[0, 99]: the last layer of this generator is 23. "
        "Name layers up to it, or take a deeper generator.\n"
    )


@pytest.mark.parametrize("layers", [(), (-1,), (0, 2.5)])
def test_layers_that_no_network_has_are_refused(layers):
    with pytest.raises(OptionError, match=r"patchnce\.layers="):
        lossbench.load_loss("patchnce", layers=layers)


@pytest.mark.parametrize(("option", "value"), [("patches", 0), ("temperature", 0.0), ("width", 0)])
def test_an_option_that_cannot_be_is_refused(option, value):
    with pytest.raises(OptionError, match=rf"patchnce\.{option}={value}"):
        lossbench.load_loss("patchnce", **{option: value})
