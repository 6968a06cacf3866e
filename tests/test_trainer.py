"""The laws that the centre keeps (docs/architecture.md numbers them)."""

from __future__ import annotations

import copy
import itertools

import pytest
import torch
from torch import nn

from benchmarks.plain_step import PlainStep, plain_layers
from lossbench import Adversary, Diverged, LossSpec, PluginError, hookimpl, rng
from lossbench.networks.compiled import refusal
from lossbench.pool import Pool
from lossbench.prepare import prepare
from tests.conftest import TINY


def advance(run, steps=None):
    """Train, and return each step's values by label."""
    log = Values()
    run.hooks.register(log)
    for step in range(1, (steps or run.config.train.steps) + 1):
        run.trainer.step(step)
    return log.steps


class Values:
    def __init__(self):
        self.steps = []

    @hookimpl
    def lossbench_step(self, step, values, weights):
        self.steps.append(dict(values))


def state(run):
    return {
        f"{name}.{key}": tensor.clone()
        for name, network in run.networks.named().items()
        for key, tensor in network.state_dict().items()
    }


def same_bits(one, other):
    return one.keys() == other.keys() and all(torch.equal(one[key], other[key]) for key in one)


def plain_step(run, seed=0):
    """The yardstick on copies of a run's networks, with a pool under the same streams."""
    pools = {direction: Pool(run.config.pool.size) for direction in run.networks.D}
    count = dict.fromkeys(run.networks.D, 0)

    def pooled(direction, fake):
        count[direction] += 1
        pool, draw = pools[direction], rng.stream(seed, count[direction], "pool", direction)
        shown = pool.exchange(fake, draw)
        pool.commit()
        return shown

    def plain(network):
        layers = copy.deepcopy(network.layers).to(memory_format=torch.contiguous_format)
        return plain_layers(layers)

    networks = run.networks
    G, D = ({d: plain(network) for d, network in some.items()} for some in (networks.G, networks.D))
    return PlainStep(G, D, lr=2e-4, pooled=pooled)


# Law 3: off means absent ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("plugins", "batches"), [("tv", 2), ("cycle", 4), ("idt", 4), ("cycle,idt", 6)])
@pytest.mark.parametrize("strategy", ["component", "fused"])
def test_generators_run_only_what_the_names_ask_for(tiny, plugins, batches, strategy):
    run = tiny(plugins, train__strategy=strategy)
    seen = []
    for generator in run.networks.G.values():
        generator.register_forward_pre_hook(lambda module, args: seen.append(len(args[0])))
    run.trainer.step(1)
    assert sum(seen) == batches


@pytest.mark.parametrize("dropout", [0.0, 0.5])
@pytest.mark.parametrize("strategy", ["component", "fused"])
def test_weight_zero_is_bit_identical_to_absent(tiny, dropout, strategy):
    options = {"model__dropout": dropout, "train__strategy": strategy}
    without, zero = tiny("cycle", **options), tiny("cycle,idt,tv", idt__weight=0, tv__weight=0, **options)
    assert advance(without) == advance(zero)
    assert same_bits(state(without), state(zero))


def test_a_schedule_at_zero_is_not_called_and_what_it_needs_is_not_computed(tiny):
    calls = []

    def term(idt):
        calls.append(1)
        return idt.abs().mean()

    run = tiny("cycle", losses={"late": (term, lambda progress: 0.0 if progress < 0.5 else 1.0)})
    batches = []
    for generator in run.networks.G.values():
        generator.register_forward_pre_hook(lambda module, args: batches.append(len(args[0])))
    counts = []
    for step in range(1, 5):
        batches.clear()
        run.trainer.step(step)
        counts.append((len(calls), sum(batches)))
    assert counts == [(0, 4), (0, 4), (2, 6), (4, 6)]


def test_a_weight_of_zero_in_one_direction_leaves_the_other(tiny):
    (values,) = advance(tiny("cycle,idt", **{"idt__weight__A2B": 0}), steps=1)
    assert "B2A/idt" in values
    assert "A2B/idt" not in values


def test_without_an_adversary_there_is_no_discriminator(tiny):
    run = tiny("cycle", gan__weight=0)
    assert not run.networks.D
    assert advance(run, steps=1)[0].keys() == {"A2B/cycle", "B2A/cycle"}


# Law 4: once ------------------------------------------------------------------------------------------------------


def test_what_several_losses_need_is_computed_once(tiny):
    def second(pred_fake, pred_real, rec):
        return pred_fake.mean() + pred_real.mean() + rec.mean()

    run = tiny("cycle", losses={"second": (second, 1.0), "third": (second, 1.0)})
    calls = []
    for name, network in run.networks.named().items():
        network.register_forward_pre_hook(lambda module, args, name=name: calls.append(name))
    run.trainer.step(1)
    assert calls.count("G_A2B") == calls.count("G_B2A") == 2  # fake, and the other direction's rec
    assert calls.count("D_A2B") == calls.count("D_B2A") == 3  # pred_fake and pred_real; on their own side in one batch


@pytest.mark.parametrize(("norm", "batches"), [("instance", [1, 2]), ("batch", [1, 1, 1])])
def test_a_discriminator_answers_at_once_unless_a_batch_matters_to_it(norm, batches):
    keys = {key: value for key, value in TINY.items() if key != "model.generator"} | {"model.norm": norm}
    run = prepare("l1", recipe="pix2pix", settings=keys)
    seen = []
    run.networks.D["A2B"].register_forward_pre_hook(lambda module, args: seen.append(len(args[0])))
    run.trainer.step(1)
    assert seen == batches


def test_once_calls_a_function_once_per_image_over_terms_and_directions(tiny):
    seen = []

    def features(image):
        seen.append(image.requires_grad)
        return image.mean()

    def one(fake, real, target, once):
        return (once(features, fake) - once(features, real)).abs() + once(features, target)

    run = tiny("cycle", losses={"one": (one, 1.0), "two": (one, 1.0)})
    run.trainer.step(1)
    assert sorted(seen) == [False, False, True, True]  # a batch of each domain, a fake of each direction


# Law 5: fast equals plain -----------------------------------------------------------------------------------------


@pytest.fixture(params=["component", "fused", "component, compiled", "fused, compiled", "fused, compiled, as if large"])
def fast(request, monkeypatch):
    """Return the settings of one way to run a step."""
    strategy, _, compiled = request.param.partition(", ")
    if compiled and (reason := refusal("cpu")):
        pytest.skip(f"nothing can be compiled here: {reason}")
    if compiled.endswith("large"):
        monkeypatch.setattr("lossbench.networks.compiled.CHANNELS_FIRST", 0)
    return {"train__strategy": strategy, "train__compile": "on" if compiled else "off"}


def test_four_free_steps_equal_the_plain_step_in_float64(tiny, fast):
    run = tiny(train__precision="float64", train__constant=1.0, **fast)
    assert all(bool(network.compiled) == (fast["train__compile"] == "on") for network in run.networks.named().values())
    plain = plain_step(run)
    mine = advance(run)
    for step in range(4):
        batch = {domain: images.double() for domain, images in run.trainer.batches[step].items()}
        assert mine[step] == pytest.approx(plain(batch["A"], batch["B"]), abs=1e-9)
    for ours, theirs in ((run.networks.G, plain.G), (run.networks.D, plain.D)):
        for direction, network in ours.items():
            normed = biases_that_a_norm_cancels(network)
            for (name, one), other in zip(network.named_parameters(), theirs[direction].parameters(), strict=True):
                if name not in normed:
                    torch.testing.assert_close(one, other, atol=1e-9, rtol=0)


def biases_that_a_norm_cancels(network):
    """Their gradient is rounding noise, and Adam takes its sign."""
    found = set()
    for prefix, parent in network.named_modules():
        children = list(parent.named_children())
        for (name, child), (_, following) in itertools.pairwise(children):
            if isinstance(child, nn.Conv2d | nn.ConvTranspose2d) and isinstance(following, nn.InstanceNorm2d):
                found.add(f"{prefix}.{name}.bias")
    return found


def test_a_float32_step_equals_the_plain_step(tiny, fast):
    run = tiny(**fast)
    plain = plain_step(run)
    batch = run.trainer.batches[0]
    expected = plain(batch["A"], batch["B"])
    values = run.trainer.gradients(1, run.objective.active(1, 0.0))
    assert {label: value.item() for label, value in values.items()} == pytest.approx(expected, abs=1e-5)
    for ours, theirs in ((run.networks.G, plain.G), (run.networks.D, plain.D)):
        for direction, network in ours.items():
            normed = biases_that_a_norm_cancels(network)
            for (name, one), other in zip(network.named_parameters(), theirs[direction].parameters(), strict=True):
                if name not in normed:
                    assert (one.grad - other.grad).norm() <= 5e-5 * other.grad.norm(), name


def test_teacher_forced_float32_steps_equal_the_plain_step(tiny, fast):
    """Each step begins from the plain step's weights, so that rounding does not add up."""
    run = tiny(pool__size=0, **fast)
    plain = plain_step(run)
    for step in range(1, 4):
        for ours, theirs in ((run.networks.G, plain.G), (run.networks.D, plain.D)):
            for direction, network in ours.items():
                network.layers.load_state_dict(theirs[direction].state_dict())
        values = run.trainer.gradients(step, run.objective.active(step, 0.0))
        batch = run.trainer.batches[step - 1]
        expected = plain(batch["A"], batch["B"])
        assert {label: value.item() for label, value in values.items()} == pytest.approx(expected, abs=1e-5)


# Law 6: named order -----------------------------------------------------------------------------------------------


def test_terms_stand_in_the_order_of_the_command_line(tiny):
    (values,) = advance(tiny("tv,cycle,idt"), steps=1)
    assert list(values) == [
        "A2B/gan", "A2B/tv", "A2B/cycle", "B2A/gan", "B2A/tv", "B2A/cycle", "A2B/idt", "B2A/idt", "A2B/gan:D", "B2A/gan:D",
    ]  # fmt: skip


def test_the_order_of_plugins_changes_no_value(tiny):
    one, other = advance(tiny("cycle,idt,tv"), steps=1), advance(tiny("tv,idt,cycle"), steps=1)
    assert one == other


# Law 7: no global randomness --------------------------------------------------------------------------------------


def test_adding_a_loss_shifts_nobody_elses_draws(tiny):
    def careless(fake, rng):
        torch.rand(7)
        return 0 * fake.mean() * torch.rand((), generator=rng)

    alone, together = tiny("cycle", model__dropout=0.5), tiny("cycle", {"x": (careless, 1.0)}, model__dropout=0.5)
    one, other = advance(alone), advance(together)
    assert [
        {label: values[label] for label in alone_values} for alone_values, values in zip(one, other, strict=True)
    ] == one
    assert same_bits(state(alone), state(together))


def test_a_step_leaves_the_global_random_state_alone(tiny):
    run = tiny("cycle", model__dropout=0.5)
    before = torch.random.get_rng_state()
    run.trainer.step(1)
    assert torch.equal(before, torch.random.get_rng_state())


# Law 8: same command, same bits -----------------------------------------------------------------------------------


def test_the_same_settings_give_the_same_bits(tiny):
    one, other = tiny(model__dropout=0.2), tiny(model__dropout=0.2)
    assert advance(one) == advance(other)
    assert same_bits(state(one), state(other))


def test_another_seed_gives_other_values(tiny):
    assert advance(tiny(train__seed=0), steps=1) != advance(tiny(train__seed=1), steps=1)


# The step itself --------------------------------------------------------------------------------------------------


def test_on_the_generators_side_the_discriminator_is_frozen(tiny):
    frozen = []

    def term(D, pred_fake):
        frozen.append(not any(parameter.requires_grad for parameter in D.parameters()))
        return pred_fake.mean()

    run = tiny("cycle", {"watch": (term, 1.0)})
    run.trainer.step(1)
    assert frozen == [True, True]
    assert all(parameter.requires_grad for network in run.networks.D.values() for parameter in network.parameters())


def test_a_mapping_of_scalars_is_logged_by_part_and_weighted_together(tiny):
    run = tiny("cycle", {"parts": (lambda fake: {"mean": fake.mean(), "top": fake.max()}, 0.5)})
    (values,) = advance(run, steps=1)
    assert {"A2B/parts/mean", "A2B/parts/top"} <= values.keys()


def test_a_term_sees_the_opposite_direction(tiny):
    seen = {}

    def term(fake, other_real, other_fake, target):
        seen["same"] = torch.equal(other_real, target)
        return (fake.mean() - other_fake.mean()).square()

    tiny("cycle", {"both": (term, 1.0)}).trainer.step(1)
    assert seen["same"]


def test_modules_train_with_the_generators(tiny, write_plugin):
    path = write_plugin(
        "head",
        """
import torch
class Head(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.linear = torch.nn.LazyLinear(1)
    def forward(self, fake):
        return self.linear(fake.mean(dim=(2, 3))).square().mean()
@hookimpl
def lossbench_loss():
    return LossSpec(lambda: Head())
""",
    )
    run = tiny(f"cycle,{path}")
    head = run.objective.modules["A2B/head"]
    before = head.linear.weight.detach().clone()
    assert before.shape == (1, 3)
    run.trainer.step(1)
    assert not torch.equal(before, head.linear.weight)


def test_critic_steps_hold_the_generators_still(tiny):
    run = tiny("cycle", **{"gan__mode": "wgangp", "gan__critic_steps": 3})
    start = state(run)
    run.trainer.step(1)
    after = state(run)
    moved = {name.split(".")[0] for name in start if not torch.equal(start[name], after[name])}
    assert moved == {"D_A2B", "D_B2A"}
    run.trainer.step(2)
    run.trainer.step(3)
    assert not torch.equal(state(run)["G_A2B.layers.1.weight"], start["G_A2B.layers.1.weight"])


@pytest.mark.parametrize("mode", ["lsgan", "vanilla", "minimax", "hinge", "wgangp"])
def test_every_adversary_trains_both_sides(tiny, mode):
    run = tiny("cycle", **{"gan__mode": mode, "gan__critic_steps": 1})
    start = state(run)
    run.trainer.step(1)
    after = state(run)
    moved = {name.split(".")[0] for name in start if not torch.equal(start[name], after[name])}
    assert moved == {"G_A2B", "G_B2A", "D_A2B", "D_B2A"}


def test_the_weight_of_an_adversary_multiplies_the_generators_side_only(tiny):
    one, other = tiny("cycle", gan__weight=1), tiny("cycle", gan__weight=3)
    for run in (one, other):
        run.trainer.gradients(1, run.objective.active(1, 0.0))
    d = [run.networks.D["A2B"].layers[0].weight.grad for run in (one, other)]
    g = [run.networks.G["A2B"].layers[1].weight.grad for run in (one, other)]
    assert torch.equal(*d)
    assert not torch.equal(*g)


def test_a_discriminators_loss_alone_is_multiplied_there(tiny, write_plugin):
    path = write_plugin(
        "drift",
        """
@hookimpl
def lossbench_loss():
    return LossSpec(lambda: Adversary(discriminator=lambda pred_real: pred_real.square().mean()), weight=0.25)
""",
    )
    run = tiny(f"gan,{path}")
    (bound,) = (bound for bound in run.objective.terms if bound.label == "A2B/drift:D")
    assert bound.factor_at(0.0) == 0.25


def test_the_learning_rate_is_constant_and_then_falls_towards_zero(tiny):
    trainer = tiny(train__steps=10, train__constant=0.5).trainer
    rates = [trainer.learning_rate(step) / 2e-4 for step in range(1, 11)]
    assert rates == pytest.approx([1, 1, 1, 1, 1, 1, 0.8, 0.6, 0.4, 0.2])


def test_watchers_see_live_graphs_before_each_backward(tiny):
    seen = []

    class Watcher:
        @hookimpl
        def lossbench_component(self, step, terms, images):
            seen.append((set(terms), {name for name, image in images.items() if image.requires_grad}))

    run = tiny("cycle,idt")
    run.hooks.register(Watcher())
    run.trainer.step(1)
    terms, images = seen[0]
    assert terms == {"A2B/gan", "A2B/cycle"}
    assert {"A2B/fake", "A2B/rec"} <= images


# Errors -----------------------------------------------------------------------------------------------------------


def test_a_value_that_is_not_finite_harms_nothing_and_is_named(tiny):
    run = tiny("cycle", {"bad": (lambda fake: fake.mean() / 0, 1.0)})
    start = state(run)
    with pytest.raises(Diverged, match=r"Step 1: the value of A2B/bad \(bad in python\) is not finite"):
        run.trainer.step(1)
    assert same_bits(start, state(run))


def test_a_gradient_that_is_not_finite_is_traced_to_its_term(tiny):
    run = tiny("cycle", {"root": (lambda fake: (fake - fake).abs().sum().sqrt(), 1.0)})
    start = state(run)
    with pytest.raises(Diverged, match=r"Step 1: the gradient of A2B/root \(root in python\) is not finite"):
        run.trainer.step(1)
    assert same_bits(start, state(run))


def test_a_term_that_changes_its_input_is_caught(tiny):
    run = tiny("cycle", {"rude": (lambda real: real.mul_(0).mean(), 1.0)})
    with pytest.raises(PluginError, match=r"A2B/rude .* changed `real` in place. Work on a copy: `real.clone\(\)`"):
        run.trainer.step(1)


def test_a_term_must_return_a_scalar(tiny):
    run = tiny("cycle", {"wide": (lambda fake: fake.abs().mean(dim=(1, 2, 3)), 1.0)})
    with pytest.raises(
        PluginError, match=r"A2B/wide .* returned a torch.float32 of shape \(1,\); return a scalar tensor"
    ):
        run.trainer.step(1)


def test_a_term_that_trains_nothing_is_refused(tiny):
    run = tiny("cycle", {"idle": (lambda fake: fake.detach().abs().mean(), 1.0)})
    with pytest.raises(PluginError, match=r"A2B/idle .* has no gradient: it trains nothing"):
        run.trainer.step(1)


def test_a_lazy_module_on_the_discriminators_side_leaves_the_pool_alone(tiny, write_plugin):
    path = write_plugin(
        "critic",
        """
import torch
class Critic(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.head = torch.nn.LazyLinear(1)
    def forward(self, pred_real, pred_fake):
        return self.head(pred_real.mean(dim=(2, 3))).mean() - self.head(pred_fake.mean(dim=(2, 3))).mean()
@hookimpl
def lossbench_loss():
    return LossSpec(lambda: Adversary(discriminator=Critic()))
""",
    )
    run = tiny(f"gan,{path}")
    assert run.objective.modules["A2B/critic:D"].head.weight.shape == (1, 1)
    assert not run.trainer.pools["A2B"].kept


def test_an_error_inside_a_term_names_the_plugin(tiny):
    run = tiny("cycle", {"broken": (lambda fake: fake.nothing(), 1.0)})
    with pytest.raises(PluginError, match=r"A2B/broken \(broken in python\) failed at step 1: AttributeError"):
        run.trainer.step(1)


def test_specs_are_plain_data():
    assert LossSpec(lambda: None).weight == 1.0
    assert Adversary().critic_steps == 1


class Diary(nn.Module):
    """A loss that remembers in every way there is, and fails when it is told to."""

    def __init__(self):
        super().__init__()
        self.register_buffer("replaced", torch.zeros(()))
        self.lines = []
        self.fails = False

    def get_extra_state(self):
        return self.lines

    def set_extra_state(self, lines):
        self.lines = lines

    def forward(self, fake):
        value = fake.square().mean()
        if self.training:
            self.lines.append(value.item())
            self.replaced = self.replaced + value.detach()
        return value / 0 if self.fails else value


def test_a_step_that_fails_leaves_no_trace_in_what_a_loss_remembers(tiny):
    diary = Diary()
    run = tiny("cycle", {"diary": (diary, 1.0)})
    run.trainer.step(1)
    before = copy.deepcopy(diary.state_dict())
    diary.fails = True
    with pytest.raises(Diverged):
        run.trainer.step(2)
    after = run.trainer.state()["modules"]["A2B/diary"]
    assert after["replaced"] == before["replaced"] > 0
    assert after["_extra_state"] == before["_extra_state"]
    assert len(before["_extra_state"]) == 2  # one for each direction


class Torn(torch.autograd.Function):
    """A function whose backward raises."""

    @staticmethod
    def forward(ctx, image):
        return image.mean()

    @staticmethod
    def backward(ctx, gradient):
        raise ValueError("torn")


def test_a_backward_that_raises_is_named(tiny):
    run = tiny("cycle", {"torn": (lambda fake: Torn.apply(fake), 1.0)})
    with pytest.raises(
        PluginError,
        match=r"The backward of A2B/gan, A2B/cycle, A2B/torn failed at step 1: ValueError: torn. Find the loss with: lossbench check NAME",
    ):
        run.trainer.step(1)


def test_a_graph_that_is_kept_from_a_backward_before_is_named(tiny):
    kept = []

    def late(fake):  # one function for both directions
        kept.append(fake.mean())
        return (fake.mean() - kept[0]).square() + fake.mean()

    run = tiny("cycle", {"late": (late, 1.0)})
    with pytest.raises(PluginError, match=r"The backward of .*B2A/late failed at step 1: RuntimeError: Trying to back"):
        run.trainer.step(1)
