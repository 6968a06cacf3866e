"""The networks: sizes, fields of view, features, initialisation, and what is refused before anything is computed."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from lossbench.config import model_options
from lossbench.errors import OptionError
from lossbench.hookspecs import Recipe
from lossbench.networks import Network, build, check, patch_discriminator, resnet, resnet_generator

BOTH = ("A2B", "B2A")


def recipe(**changed) -> Recipe:
    return Recipe(networks=(resnet_generator, patch_discriminator), **changed)


OPTIONS = model_options(recipe(), {"generator": "resnet_2blocks", "ngf": 4, "ndf": 4})


def count(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def without_norms(network: Network) -> nn.Sequential:
    """The convolutions and what stands between them: a norm would let every pixel see the whole image's mean."""
    return nn.Sequential(*(layer for layer in network.layers if not isinstance(layer, nn.InstanceNorm2d))).double()


def field(network: Network, size: int) -> tuple[int, int]:
    """Return height and width of what the middle answer's gradient reaches."""
    image = torch.randn(1, 3, size, size, dtype=torch.float64, requires_grad=True)
    answer = without_norms(network)(image)
    answer[0, 0, answer.shape[2] // 2, answer.shape[3] // 2].backward()
    rows, columns = image.grad[0].abs().sum(0).nonzero(as_tuple=True)
    return int(rows.max() - rows.min() + 1), int(columns.max() - columns.min() + 1)


# Sizes ----------------------------------------------------------------------------------------------------------------


def test_the_generator_of_9_blocks_has_the_parameters_of_the_reference():
    with torch.device("meta"):
        assert count(resnet_generator(3)) == 11_378_179


def test_the_generator_of_6_blocks_has_the_parameters_of_the_reference():
    with torch.device("meta"):
        assert count(resnet_generator(3, generator="resnet_6blocks")) == 7_837_699


def test_the_patch_discriminator_has_the_parameters_of_the_reference():
    with torch.device("meta"):
        assert count(patch_discriminator(3)) == 2_764_737


def test_the_pixel_discriminator_has_the_parameters_of_three_1_x_1_convolutions():
    expected = (3 * 64 + 64) + (64 * 128 + 128) + (128 + 1)
    assert count(patch_discriminator(3, discriminator="pixel")) == expected


def test_256_px_are_judged_in_30_x_30_patches():
    with torch.device("meta"):
        assert patch_discriminator(3)(torch.zeros(2, 3, 256, 256)).shape == (2, 1, 30, 30)


def test_the_pixel_discriminator_answers_for_every_pixel():
    assert patch_discriminator(3, discriminator="pixel", ndf=4)(torch.zeros(2, 3, 9, 7)).shape == (2, 1, 9, 7)


@pytest.mark.parametrize(("n_layers", "pixels"), [(1, 16), (2, 34), (3, 70), (4, 142), (5, 286)])
def test_a_patch_has_the_size_of_the_paper(n_layers, pixels):
    torch.manual_seed(0)
    assert field(patch_discriminator(3, ndf=2, n_layers=n_layers), 288 if pixels < 286 else 576) == (pixels, pixels)


def test_the_pixel_discriminator_sees_one_pixel():
    torch.manual_seed(0)
    assert field(patch_discriminator(3, discriminator="pixel", ndf=2), 16) == (1, 1)


def test_channels_double_up_to_8_times_the_first():
    widths = [
        layer.out_channels for layer in patch_discriminator(3, ndf=4, n_layers=5).layers if hasattr(layer, "stride")
    ]
    assert widths == [4, 8, 16, 32, 32, 32, 1]


@pytest.mark.parametrize("size", [16, 32, 36])
def test_the_generator_returns_an_image_of_the_same_size_from_minus_1_to_1(size):
    torch.manual_seed(0)
    image = 100 * torch.randn(2, 3, size, size)
    fake = resnet(3, blocks=2, ngf=4)(image)
    assert fake.shape == image.shape
    assert fake.abs().max() <= 1


@pytest.mark.parametrize("blocks", [0, 1, 9])
def test_a_generators_name_says_how_many_blocks_it_has(blocks):
    network = resnet_generator(3, generator=f"resnet_{blocks}blocks", ngf=2)
    assert [type(layer).__name__ for layer in network.layers].count("ResidualBlock") == blocks


@pytest.mark.parametrize("name", ["unet_256", "resnet9blocks", "resnet_-1blocks", "resnet_9blocks ", ""])
def test_a_generator_of_another_name_is_refused(name):
    with pytest.raises(OptionError) as error:
        resnet_generator(3, generator=name)
    assert str(error.value) == f"model.generator={name!r}: write resnet_9blocks, or another number of blocks."


def test_a_residual_block_adds_what_it_computes():
    torch.manual_seed(0)
    block = next(layer for layer in resnet(3, blocks=1, ngf=2).layers if type(layer).__name__ == "ResidualBlock")
    x = torch.randn(1, 8, 6, 6)
    torch.testing.assert_close(block(x) - x, block.layers(x))


# Features -------------------------------------------------------------------------------------------------------------


def called(network: Network, layers: tuple[int, ...]) -> list[int]:
    """Return which layers a call of ``features`` runs, in order."""
    ran: list[int] = []
    for index, layer in enumerate(network.layers):
        layer.register_forward_hook(lambda *_, index=index: ran.append(index))
    network.features(torch.zeros(1, 3, 32, 32), layers)
    return ran


@pytest.mark.parametrize("layers", [(0,), (4, 2), (7, 7, 1)])
def test_features_run_each_layer_once_and_none_beyond_the_deepest(layers):
    assert called(resnet(3, blocks=2, ngf=4), layers) == list(range(max(layers) + 1))


def plainly(network: Network, image: Tensor) -> list[Tensor]:
    """Every layer's output, each layer given a copy."""
    outputs = []
    x = image
    for layer in network.layers:
        x = layer(x.clone())
        outputs.append(x)
    return outputs


@pytest.mark.parametrize("make", [lambda: resnet(3, blocks=2, ngf=4), lambda: patch_discriminator(3, ndf=4)])
def test_features_are_the_layers_outputs_though_layers_work_in_place(make):
    torch.manual_seed(0)
    network, image = make(), torch.randn(2, 3, 32, 32)
    expected = plainly(network, image)
    found = network.features(image, range(len(network.layers)))
    for one, other in zip(found, expected, strict=True):
        assert torch.equal(one, other)


def test_features_stand_in_the_order_asked_for():
    network, image = resnet(3, blocks=1, ngf=4), torch.randn(1, 3, 16, 16)
    deep, shallow = network.features(image, (6, 2))
    again_shallow, again_deep = network.features(image, (2, 6))
    assert torch.equal(deep, again_deep)
    assert torch.equal(shallow, again_shallow)
    assert deep.shape != shallow.shape


def test_a_forward_is_the_deepest_feature_and_leaves_the_image_alone():
    network, image = patch_discriminator(3, ndf=4), torch.randn(1, 3, 32, 32)
    before = image.clone()
    assert torch.equal(network(image), network.features(image, (len(network.layers) - 1,))[0])
    assert torch.equal(image, before)


def test_a_feature_that_is_kept_has_the_gradient_of_its_layer():
    torch.manual_seed(0)
    network, image = (
        resnet(3, blocks=1, ngf=2).double(),
        torch.randn(1, 3, 8, 8, dtype=torch.float64, requires_grad=True),
    )
    kept, deepest = network.features(image, (2, 5))  # layer 3 works in place on what layer 2 gives
    ours = torch.autograd.grad(kept.square().sum() + deepest.sum(), image)[0]
    outputs = plainly(network, image)
    plain = torch.autograd.grad(outputs[2].square().sum() + outputs[5].sum(), image)[0]
    torch.testing.assert_close(ours, plain)


def test_a_lean_network_keeps_no_padded_copy_and_gives_the_same_bits(monkeypatch):
    kept = []
    monkeypatch.setattr("lossbench.networks.network.LARGE", 16 * 16)
    monkeypatch.setattr(
        "lossbench.networks.network._keep", lambda tensor: kept.append(getattr(tensor, "made_of", tensor)) or kept[-1]
    )
    network, image = resnet(3, blocks=2, ngf=4), torch.rand(1, 3, 16, 16, requires_grad=True)
    results = []
    for lean in (False, True):
        network.lean = lean
        fake = network(image)
        results.append([fake, *torch.autograd.grad(fake.square().mean(), [image, *network.parameters()])])
    assert all(torch.equal(one, other) for one, other in zip(*results, strict=True))
    assert sum(isinstance(each, tuple) for each in kept) == 6
    assert not any(isinstance(each, Tensor) and each.shape[-1] in (6, 22) for each in kept)  # 4 + 2, 16 + 6 px


def test_a_lean_network_can_go_back_twice_and_has_second_derivatives(monkeypatch):
    monkeypatch.setattr("lossbench.networks.network.LARGE", 0)
    network, image = (
        resnet(3, blocks=1, ngf=2).double(),
        torch.rand(1, 3, 8, 8, dtype=torch.float64, requires_grad=True),
    )
    second = []
    for network.lean in (False, True):
        fake = network(image)
        (slope,) = torch.autograd.grad(fake.sum(), image, create_graph=True)
        torch.autograd.grad(fake.mean(), image, retain_graph=True)
        second.append(torch.autograd.grad(slope.square().sum(), image)[0])
    assert torch.equal(*second)
    assert second[0].abs().sum() > 0


def test_under_autocast_a_network_computes_in_that_type_and_returns_its_inputs():
    network, image = patch_discriminator(3, ndf=4), torch.randn(1, 3, 32, 32)
    network.autocast, inside = torch.bfloat16, []
    network.layers[0].register_forward_hook(lambda module, given, out: inside.append(out.dtype))
    found = network.features(image, (0, len(network.layers) - 1))
    assert inside == [torch.bfloat16]
    assert {each.dtype for each in found} == {torch.float32}


# Initialisation -------------------------------------------------------------------------------------------------------


def flat(network: nn.Module) -> Tensor:
    return torch.cat([parameter.detach().flatten() for parameter in network.parameters()])


def test_weights_are_normal_with_a_deviation_of_2_hundredths_and_biases_0():
    networks = build(recipe(), OPTIONS | {"ngf": 16, "ndf": 16}, BOTH, seed=0)
    for network in networks.named().values():
        named = dict(network.named_parameters())
        weights = torch.cat([each.detach().flatten() for name, each in named.items() if name.endswith("weight")])
        assert float(weights.std()) == pytest.approx(0.02, rel=0.02)
        assert abs(float(weights.mean())) < 5 * 0.02 / len(weights) ** 0.5
        kurtosis = float((weights / weights.std()).pow(4).mean())  # a normal's is 3, a uniform's 1.8
        assert kurtosis == pytest.approx(3, abs=0.15)
        assert all(not each.any() for name, each in named.items() if name.endswith("bias"))


def test_one_seed_gives_the_same_weights_whatever_was_drawn_before():
    one = build(recipe(), OPTIONS, BOTH, seed=3).named()
    torch.manual_seed(99)
    torch.rand(5)
    other = build(recipe(), OPTIONS, BOTH, seed=3).named()
    assert list(one) == list(other) == ["G_A2B", "G_B2A", "D_A2B", "D_B2A"]
    assert all(torch.equal(flat(one[name]), flat(other[name])) for name in one)


def test_every_network_and_every_seed_has_weights_of_its_own():
    drawn = [network for seed in (0, 1) for network in build(recipe(), OPTIONS, BOTH, seed=seed).named().values()]
    firsts = {tuple(flat(network)[:8].tolist()) for network in drawn}
    assert len(firsts) == 8


def test_one_networks_weights_do_not_depend_on_another_network():
    plain = build(recipe(), OPTIONS, BOTH, seed=0).named()
    changed = build(recipe(directions=("B2A", "A2B")), OPTIONS | {"generator": "resnet_5blocks"}, ("B2A",), seed=0)
    assert set(changed.D) == {"B2A"}
    assert torch.equal(flat(changed.D["B2A"]), flat(plain["D_B2A"]))
    changed = build(recipe(), OPTIONS | {"discriminator": "pixel"}, (), seed=0)
    assert not changed.D
    assert torch.equal(flat(changed.G["B2A"]), flat(plain["G_B2A"]))


def test_building_leaves_the_global_random_state_alone():
    state = torch.get_rng_state()
    build(recipe(), OPTIONS, BOTH, seed=0)
    assert torch.equal(torch.get_rng_state(), state)


def test_a_conditional_discriminator_sees_source_and_image():
    networks = build(recipe(conditional=True, directions=("A2B",)), OPTIONS, ("A2B",), seed=0)
    assert networks.D["A2B"].layers[0].in_channels == 6
    assert networks.G["A2B"](torch.zeros(1, 3, 16, 16)).shape == (1, 3, 16, 16)


# What a forward does besides ------------------------------------------------------------------------------------------


def test_a_network_with_dropout_draws():
    torch.manual_seed(0)
    network, image = resnet(3, blocks=1, ngf=2, dropout=0.5), torch.randn(1, 3, 16, 16)
    assert network.draws
    assert not torch.equal(network(image), network(image))
    assert not resnet(3, blocks=1, ngf=2).draws
    assert not patch_discriminator(3, ndf=2).draws


def test_dropout_of_nothing_draws_nothing():
    assert not Network(nn.Sequential(nn.Dropout(0.0))).draws


def test_a_network_with_batch_norm_counts():
    assert Network(nn.Sequential(nn.Conv2d(3, 2, 1), nn.BatchNorm2d(2))).counts
    assert not resnet(3, blocks=1, ngf=2, dropout=0.5).counts
    assert not patch_discriminator(3, ndf=2).counts


@pytest.mark.parametrize("make", [lambda: resnet(3, blocks=1, ngf=4), lambda: patch_discriminator(3, ndf=4)])
def test_an_image_of_a_batch_does_not_depend_on_the_others(make):
    torch.manual_seed(0)
    network, images = make().double(), torch.randn(3, 3, 32, 32, dtype=torch.float64)
    torch.testing.assert_close(network(images)[1:2], network(images[1:2]))


# What is refused ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [24, 28, 64, 256])
def test_sizes_that_the_networks_can_take_pass(size):
    check(recipe(), OPTIONS, size)


@pytest.mark.parametrize("size", [4, 8, 16, 20])
def test_a_size_that_is_too_small_is_refused_with_what_to_do(size):
    with pytest.raises(OptionError) as error:
        check(recipe(), OPTIONS, size)
    message = str(error.value)
    assert message.startswith(f"data.size={size}: these networks cannot take such images (")
    layers = ", or a discriminator with fewer layers: --set model.n_layers=2" if size > 4 else ""  # or G is what cannot
    assert message.endswith(f"Use a larger --size{layers}.")


def test_the_advice_of_fewer_layers_helps():
    with pytest.raises(OptionError):
        check(recipe(), OPTIONS, 20)
    check(recipe(), OPTIONS | {"n_layers": 2}, 20)


@pytest.mark.parametrize(("size", "near"), [(65, 64), (66, 64), (255, 256)])
def test_a_size_that_is_not_divisible_by_4_is_refused(size, near):
    with pytest.raises(OptionError) as error:
        check(recipe(), OPTIONS, size)
    assert str(error.value) == (f"data.size={size}: this generator takes multiples of 4 px. Use --size {near}.")


def test_a_check_tries_what_a_conditional_discriminator_is_shown():
    check(recipe(conditional=True, directions=("A2B",)), OPTIONS, 32)


def test_a_check_keeps_a_networks_own_advice():
    with pytest.raises(OptionError, match=r"^model\.generator='unet'"):
        check(recipe(), OPTIONS | {"generator": "unet"}, 64)


@pytest.mark.parametrize(
    ("option", "value"), [("ngf", 0), ("ngf", -3), ("ndf", 0), ("n_layers", -1), ("dropout", 1.5), ("dropout", -0.5)]
)
def test_an_option_that_no_network_can_have_is_refused_by_name(option, value):
    with pytest.raises(OptionError, match=rf"model\.{option}={value}: input should be "):
        model_options(recipe(), {option: value})
