"""What a sound loss does, one function a check.

A docstring's first line is what is checked; the rest says what a failure means and how to mend it, and is shown with
it. A check returns nothing, or raises ``Failed`` with what was seen, or ``Skipped`` with why it cannot tell.
"""

from __future__ import annotations

import copy
import inspect
import tomllib
import traceback
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from functools import partial
from pathlib import Path
from typing import Any

import tomli_w
import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import DataDependentOutputException, DynamicOutputShapeException, FakeTensorMode

from lossbench import rng, terms
from lossbench.checkpoint import check_plain
from lossbench.config import flat, named, nested
from lossbench.errors import Diverged, LossbenchError, PluginError
from lossbench.objective import Bound
from lossbench.options import declared, resolve
from lossbench.testing.probe import KINDS, SEED, Kind, Look, Probe, forgetful, own
from lossbench.testing.slopes import directions, size, slope
from lossbench.testing.surroundings import random_states, seed, settings
from lossbench.testing.watches import Cut, OneDevice


class Failed(Exception):
    """A check that a loss does not pass: what was seen; ``mend`` takes the place of the check's own advice."""

    def __init__(self, seen: str, mend: str | None = None) -> None:
        super().__init__(seen)
        self.mend = mend


class Skipped(Exception):
    """A check that cannot tell here: why."""


# The value and its gradient -------------------------------------------------------------------------------------


def scalar(probe: Probe) -> None:
    """Returns a finite scalar, or a mapping of named scalars.

    A term returns one number for a whole batch: end it with `.mean()`. If it needs larger images, say --size 256.
    """
    larger = "If it needs larger images, say --size 256."
    for bound in probe.ready():
        with _said(bound, " on ordinary images", larger), rng.isolated(SEED):
            parts = terms.parts(bound, bound.term(**probe.look(bound).asked()))
        for label, value in parts.items():
            if not value.isfinite():
                division = "Look for a division by 0, a root or a logarithm."
                raise Failed(f"{label} is {value.item()} on ordinary images.", division)


def gradient(probe: Probe) -> None:
    """A gradient reaches an image or network that the loss asked for, or parameters of its own.

    Without one it trains nothing. A perceptual loss may compute features of the target under torch.no_grad, never those
    of the translation: freeze the network's parameters instead (requires_grad_(False)). Nor does a gradient pass
    detach, .data, .item(), numpy, OpenCV (Canny edges), a rounding, a comparison, a threshold, or counting (histc,
    bincount, argmax): a soft assignment has one.
    """
    for bound in probe.ready():
        look = probe.look(bound)
        with Cut(inspect.getfile(probe.spec.builder)) as cut:
            total = look.total()
        reached = look.gradients(total)
        if not reached:
            where = f" The graph is cut at {cut.where}." if cut.where else ""
            raise Failed(f"No gradient leaves {bound.label}.{where}")
        for kind in KINDS:  # a hinge may not touch ordinary images
            if any(bool(grad.any()) for grad in reached.values()):
                break
            look = probe.look(bound, kind)
            reached = look.gradients(look.total())
        else:
            raise Failed(f"The gradient of {bound.label} is zero everywhere.")


def constant(probe: Probe) -> None:
    """The gradient is finite on images of one colour.

    A generator makes such images early on, and one NaN ends a run. The usual causes: a root at 0 (write
    `(x + eps).sqrt()`, the eps inside), a division by a standard deviation or a norm (add eps), a logarithm of 0.
    """
    _finite(probe, "constant")
    _finite(probe, "constant", torch.zeros_like)
    _finite(probe, "constant", lambda image: torch.full_like(image, -1))


def identical(probe: Probe) -> None:
    """The gradient is finite where all images are the same.

    A perfect translation is such a place. The usual causes: `norm()` or `sqrt()` of a difference that is 0 (write
    `(difference.square().sum() + eps).sqrt()`, the eps inside), `acos` at 1, a division by a distance.
    """
    _finite(probe, "identical")
    _finite(probe, "identical", lambda image: image[:1].expand_as(image).clone())
    _finite(probe, "identical", lambda image: (image * 4).round() / 4)


def opposite(probe: Probe) -> None:
    """The gradient is finite where a translation is the negative of its source.

    A generator may make such images. The usual causes: a power, a root or a logarithm of a likeness that can be
    negative (SSIM, a correlation, a cosine): clamp it from below, or shift it.
    """
    _finite(probe, "opposite")


def batch(probe: Probe) -> None:
    """Works for batches of 1, 2 and 3, and is no sum over the batch.

    A batch size is the user's choice (--batch), and a weight should mean the same for each: take the mean.
    """
    for bound in probe.ready():
        for count in (1, 3):
            where = f" with a batch of {count}"
            with _said(bound, where):
                _check_finite(bound, probe.look(forgetful(bound), batch=count).total(), where)
        once, twice, thrice = (probe.value(bound, batch=1, change=partial(_repeated, times)) for times in (1, 2, 3))
        if abs(once) > 1e-9 and abs(twice / once - 2) < 1e-3 and abs(thrice / once - 3) < 1e-3:
            raise Failed(f"{bound.label} is {once:.4g} for an image and {twice:.4g} for the same twice: a sum.")


def sizes(probe: Probe) -> None:
    """Works at other sizes, at odd ones, and for images that are not square.

    A size is the user's choice (--size, and anything in a loop of one's own): take it from `image.shape`.
    """
    side, less = probe.size, probe.size * 3 // 4 // 4 * 4
    shapes = [(less, less), (side, less), (side - 3, less + 1)]
    for bound in probe.ready():
        generates = {"G", "G_inverse"} & {name.removeprefix("other_") for name in bound.needs}
        for shape in shapes[:2] if generates else shapes:  # generators take multiples of 4
            where = f" at {shape[0]} x {shape[1]} px"
            with _said(bound, where):
                _check_finite(bound, probe.look(bound, size=shape).total(), where)


# What it may not touch ------------------------------------------------------------------------------------------


def inputs(probe: Probe) -> None:
    """Leaves what it is given as it was.

    Other losses see the same tensors. Work on a copy: `image.clone()`, `image.clamp(...)` and not `image.clamp_(...)`.
    """
    for bound in probe.ready():
        asked = probe.look(bound).asked()
        images = {name: image for name, image in asked.items() if isinstance(image, Tensor)}
        before = {name: (image._version, image.detach().clone()) for name, image in images.items()}
        with rng.isolated(SEED):
            bound.term(**asked)
        for name, (version, copied) in before.items():
            if images[name]._version != version or not torch.equal(images[name], copied):
                raise Failed(f"{bound.label} changes `{name}` in place.")


def global_random(probe: Probe) -> None:
    """Leaves torch's, numpy's and Python's global random states alone.

    A draw from them shifts everybody else's. Ask for `rng`, the term's own torch.Generator
    (`torch.rand(..., generator=rng, device=rng.device)`), make layers in the builder and not in the term, seed nothing.
    """
    for bound in probe.ready():
        asked = probe.look(bound).asked()
        before = random_states()
        bound.term(**asked)
        if moved := [name for name, state in random_states().items() if state != before[name]]:
            raise Failed(f"{bound.label} draws from the global random state of {moved[0]}.")
    after = []
    for number in (1, 2):
        seed(number)
        _build(probe)
        after.append(random_states())
    if seeded := [name for name in after[0] if after[0][name] == after[1][name]]:
        raise Failed(f"Its builder seeds the global random state of {seeded[0]}.")


def frozen(probe: Probe) -> None:
    """Trains and changes nothing that is frozen, and freezes nothing.

    On the generators' side the discriminator is frozen, and lossbench sees to it: leave `requires_grad` of networks
    alone, call no `.backward()`, and keep a pretrained network of your own in eval mode, whatever `train()` says.
    """
    for bound in probe.ready():
        look = probe.look(bound)
        parameters = {**look.of_networks(), **own(bound)}
        flags = {name: each.requires_grad for name, each in parameters.items()}
        before = {name: each.detach().clone() for name, each in {**parameters, **_frozen_buffers(bound)}.items()}
        look.total()
        for name, each in parameters.items():
            if each.requires_grad != flags[name]:
                raise Failed(f"{bound.label} sets requires_grad of {name} to {each.requires_grad}.")
            if each.grad is not None:
                raise Failed(f"{bound.label} leaves a gradient at {name}.")
        for name, now in {**parameters, **_frozen_buffers(bound)}.items():
            if not torch.equal(now, before[name]):
                raise Failed(f"{bound.label} changes {name}.")


def weight_zero(probe: Probe) -> None:
    """At weight 0 a run is the run without it, to the bit.

    Building a loss has no effect on anything else: no default dtype or device, no seed, no thread count, no patch.
    """
    before = settings()
    _build(probe)
    for name, value in settings().items():
        if value != before[name]:
            raise Failed(f"Building it changes {name} from {before[name]} to {value}.")
    without, absent = (probe.trainer("component", weight) for weight in (None, 0.0))
    for trainer in (without, absent):
        trainer.step(1)
    for name, network in without.networks.named().items():
        for one, other in zip(network.parameters(), absent.networks.named()[name].parameters(), strict=True):
            if not torch.equal(one, other):
                raise Failed(f"With weight 0, {name} differs from that of a run without the loss.")


# Numbers --------------------------------------------------------------------------------------------------------


def repeatable(probe: Probe) -> None:
    """Gives the same value again from the same images, state and `rng`.

    Otherwise no run can be repeated or resumed. Draw from `rng`; keep state in buffers of an nn.Module, and change it
    only `if self.training`; a function keeps none (no counter, no list, no cache in a closure or a global).
    """
    for bound in probe.ready():
        first = probe.value(bound)
        probe.value(bound, kind="noise")  # other images, which it may not remember
        second = probe.value(bound)
        if not _near(first, second):
            raise Failed(f"{bound.label} gave {first:.6g}, then, after other images, {second:.6g}.")


def dtype(probe: Probe) -> None:
    """Returns float64 for float64 images.

    Precision is the user's choice (--precision). Make constants from what you are given: `torch.ones_like(image)`,
    `kernel.to(image)`; cast back what you cast.
    """
    for bound in probe.ready(torch.float64):
        with _said(bound, " on float64 images"), rng.isolated(SEED):
            parts = terms.parts(bound, bound.term(**probe.look(bound, dtype=torch.float64).asked()))
        for label, value in parts.items():
            if value.dtype != torch.float64:
                raise Failed(f"{label} is {value.dtype} for float64 images.")


def gradcheck(probe: Probe) -> None:
    """In float64 the gradient is the slope of the value: along itself, the images, a shift, and at random.

    Something between images and value is detached, or a backward of your own is wrong. If that is meant (a
    straight-through estimator, a normaliser held fixed), say so: `LossSpec(..., checks={"gradcheck": "why"})`.
    """
    for bound in probe.ready(torch.float64):
        for kind in ("natural", "noise"):
            look = probe.look(bound, kind, dtype=torch.float64)
            once = Look(forgetful(bound), look.recipe, look.images, look.networks)
            gradients = {name: grad.detach() for name, grad in once.gradients(once.total()).items()}
            for title, direction in directions(look, gradients).items():
                expected = sum(float((grad * direction[name]).sum()) for name, grad in gradients.items())
                slopes = (slope(look, direction, h) for h in (1e-5, 1e-4, 1e-6, 1e-3, 1e-2))  # kinks, then rounding
                near = 1e-2 * abs(expected) + 1e-4 * size(gradients)
                if not any(abs((last := each) - expected) <= near for each in slopes):
                    raise Failed(f"Along {title}, {bound.label} says {expected:.4g} and changes by {last:.4g}.")


def bf16(probe: Probe) -> None:
    """Takes bf16 images, and gives nearly what it gives in float32.

    In a loop of one's own images may be bf16. Say `image.float()` first where precision matters or an operation does
    not know bf16 (FFT, linalg, quantile).
    """
    for bound, lower in zip(probe.ready(), probe.ready(torch.bfloat16), strict=True):
        reference = probe.value(bound)
        with _said(bound, " on bf16 images"):
            value = probe.value(lower, dtype=torch.bfloat16)
        if not abs(value - reference) <= 0.05 * abs(reference) + 0.01:
            raise Failed(f"{bound.label} is {reference:.4g} in float32 and {value:.4g} in bf16.")


def device(probe: Probe) -> None:
    """Makes no tensor on another device than that of its images.

    Make constants where the images are: `torch.zeros(..., device=image.device)`, or keep them
    in buffers of an nn.Module (`register_buffer`), which move with it. A criterion of another library is such a module:
    return an nn.Module of your own that has it as an attribute.
    """
    for bound in probe.ready():
        if "rng" in bound.needs and not torch.cuda.is_available():
            raise Skipped("a loss that draws from `rng` can only be tried on a GPU")
        with warnings.catch_warnings(), rng.isolated(SEED):
            warnings.simplefilter("ignore")
            _on_gpu(probe, bound)


# Options, parameters, state -------------------------------------------------------------------------------------


def options(probe: Probe) -> None:
    """Options are typed, their defaults fit, and TOML gives them back.

    A run is repeated from its config.toml. Options are keyword-only, with a type out of bool, int, float, str, Literal,
    tuple, Path or Callable, and a default of that type; a builder does not change what it is given.
    """
    builder, name = probe.spec.builder, probe.plugin.origin.name
    given, defaults = probe.choice.options(), {key: each.default for key, each in declared(builder).items()}
    written = {f"{name}.{key}": named(value) for key, value in given.items() if value is not None}
    try:
        resolve(builder, {key: value for key, value in defaults.items() if value is not None}, name)
        read = flat(tomllib.loads(tomli_w.dumps(nested(written))))
        back = resolve(builder, {key.removeprefix(f"{name}."): value for key, value in read.items()}, name)
    except (LossbenchError, TypeError) as error:
        raise Failed(f"{error}") from error
    if lost := [key for key in given if given[key] is not None and back[key] != given[key]]:
        raise Failed(f"Option {lost[0]} was {given[lost[0]]!r} and comes back from TOML as {back[lost[0]]!r}.")
    before = copy.deepcopy(given)
    builder(**given)
    if given != before:
        raise Failed("Its builder changes the options that it is given.")


def parameters(probe: Probe) -> None:
    """Its own parameters exist before the optimisers do, and each gets a gradient.

    Only parameters of the nn.Module that a builder returns are trained, moved and saved. Make layers in `__init__`
    (nn.LazyLinear, nn.LazyConv2d where a width is not known: they see one step first), none in `forward` or a closure.
    """
    for bound in probe.ready():
        before = own(bound)
        if unknown := [name for name, each in before.items() if isinstance(each, nn.UninitializedParameter)]:
            raise Failed(f"{unknown[0]} has no shape after a first step: its layer was not used in it.")
        look = probe.look(bound)
        total = look.total()
        if new := sorted(own(bound).keys() - before):
            raise Failed(f"{new[0]} appears during a step, when the optimisers exist: it is never trained.")
        known = {id(each) for each in (*look.of_networks().values(), *before.values())}
        if any(isinstance(leaf, nn.Parameter) and id(leaf) not in known for leaf in _graph_leaves(total)):
            raise Failed(
                f"{bound.label} computes with parameters that are not its module's: nothing trains or saves them."
            )
        reached = look.gradients(total)
        if idle := [name for name, each in before.items() if each.requires_grad and name not in reached]:
            raise Failed(f"No gradient reaches {idle[0]}.")


def state(probe: Probe) -> None:
    """What a module remembers survives saving and loading, and changes only in training.

    A resumed run would be another. Keep what changes in tensors (`register_buffer`, persistent), or in
    `get_extra_state` and `set_extra_state` as numbers, text and tensors; change it `if self.training`.
    """
    for bound, fresh in zip(probe.ready(), probe.ready(), strict=True):
        if isinstance(bound.term, nn.Module):
            remembered = terms.remembered(bound.term)
            for step in (1, 2, 3):
                probe.look(bound, batch=3, change=lambda image: image / 2).total(step)
            _load(bound.term, fresh.term)
            values = [probe.look(each).total(step=4).item() for each in (bound, fresh)]
            if not _near(*values):
                raise Failed(f"{bound.label} is {values[0]:.6g}; saved, and loaded into a new one, {values[1]:.6g}.")
            now = terms.remembered(bound.term)
            if lost := [name for name in now if now[name] != remembered.get(name)]:
                raise Failed(f"It changes `{lost[0]}`, which no state_dict holds.")
            before = copy.deepcopy(bound.term.eval().state_dict())
            probe.look(bound).total(step=5)
            if moved := [name for name, each in bound.term.state_dict().items() if not _same(each, before.get(name))]:
                raise Failed(f"In eval mode it changes `{moved[0]}`.")


def steps(probe: Probe) -> None:
    """Three steps in a row train, in a loop of one's own and in both strategies of a run.

    Keep nothing with a graph from one step to the next (`.detach()` it), and leave what you are given alone.
    """
    for bound in probe.ready():
        for step in (1, 2, 3):
            with _said(bound, f" at step {step}"):
                probe.look(bound).total(step).backward()
    for trainer in (probe.trainer("component"), probe.trainer("fused")):
        for step in (1, 2, 3):
            try:
                trainer.step(step)
            except (PluginError, Diverged, RuntimeError) as error:
                raise Failed(f"Step {step} ({trainer.settings.strategy}) fails: {_line(error)}") from error


CHECKS: dict[str, Callable[[Probe], None]] = {
    check.__name__: check
    for check in (
        options, scalar, gradient, constant, identical, opposite, batch, sizes, inputs, global_random, frozen,
        weight_zero, repeatable, dtype, gradcheck, bf16, device, parameters, state, steps,
    )
}  # fmt: skip
NEEDS = {  # what would only fail again
    "gradcheck": ("gradient", "repeatable", "dtype"),
    "parameters": ("gradient",),
    "state": ("repeatable",),
    "steps": ("gradient", "inputs"),
}
FIRST = "names"  # passed where a probe can be made at all
_DOCS = {name: (inspect.getdoc(check) or "").partition("\n\n") for name, check in CHECKS.items()}
MEANING = {  # what is checked
    FIRST: "Asks only for names that exist, and is built as the contract says.",
    **{name: meaning for name, (meaning, _, _) in _DOCS.items()},
}
MEND = {  # what a failure means, and how to mend it
    FIRST: "It says which name, option or signature cannot be, and what can.",
    **{name: " ".join(mend.split()) for name, (_, _, mend) in _DOCS.items()},
}


# What checks share ----------------------------------------------------------------------------------------------


@contextmanager
def _said(bound: Bound, where: str, mend: str | None = None) -> Iterator[None]:
    """Say what a term raises, and in which line, as what was seen."""
    try:
        yield
    except PluginError as error:
        raise Failed(f"{error}", mend and "") from error
    except (Exception, SystemExit) as error:
        raise Failed(f"{bound.label} fails{where}: {raised(error, bound)}.", mend) from error


def raised(error: BaseException, bound: Bound | None = None) -> str:
    """Return an error's kind, its first line, and the line of the loss's own file that it came from."""
    code = getattr(getattr(bound.term, "forward", bound.term), "__code__", None) if bound else None
    lines = [each for each in traceback.extract_tb(error.__traceback__) if code and each.filename == code.co_filename]
    place = f" ({Path(lines[-1].filename).name}, line {lines[-1].lineno})" if lines else ""
    return f"{type(error).__name__}: {_line(error)}{place}"


def _line(error: BaseException) -> str:
    return str(error).strip().partition("\n")[0].rstrip(".!")


def _build(probe: Probe) -> None:
    """Build the loss as nobody guards it."""
    probe.spec.builder(**probe.choice.options())


def _finite(probe: Probe, kind: Kind, change: Callable[[Tensor], Tensor] = lambda image: image) -> None:
    for bound in probe.ready():
        look = probe.look(bound, kind, change=change)
        with _said(bound, f" on {kind} images"):
            total = look.total()
        _check_finite(bound, total, f" on {kind} images")
        for name, grad in look.gradients(total).items():
            if not grad.isfinite().all():
                raise Failed(f"On {kind} images the gradient of {bound.label} at {name} is not finite.")


def _check_finite(bound: Bound, total: Tensor, where: str) -> None:
    if not total.isfinite():
        raise Failed(f"{bound.label} is {total.item()}{where}.")


def _same(one: Any, other: Any) -> bool:
    if isinstance(one, Tensor) and isinstance(other, Tensor):
        return torch.equal(one, other)
    return type(one) is type(other) and bool(one == other)


def _near(one: float, other: float) -> bool:
    return abs(one - other) <= 1e-6 * max(1e-3, abs(one))


def _repeated(times: int, image: Tensor) -> Tensor:
    return image.repeat(times, 1, 1, 1)


def _frozen_buffers(bound: Bound) -> dict[str, Tensor]:
    """Return the buffers of those submodules whose parameters are frozen."""
    modules = bound.term.named_modules() if isinstance(bound.term, nn.Module) else ()
    return {
        f"its {where}.{name}".replace(" .", " "): buffer
        for where, module in modules
        if {each.requires_grad for each in module.parameters(recurse=False)} == {False}
        for name, buffer in module.named_buffers(recurse=False)
    }


def _load(saved: nn.Module, fresh: Any) -> None:
    """Load what a module saves into a new one."""
    values = copy.deepcopy(saved.state_dict())
    try:
        check_plain(values)
        fresh.load_state_dict(values)
    except Exception as error:
        raise Failed(f"What it saves cannot be loaded into a new one: {_line(error)}.") from error


def _graph_leaves(total: Tensor) -> Iterator[Tensor]:
    """Walk a graph to the tensors that it begins at."""
    seen: set[Any] = set()
    waiting = [total.grad_fn]
    while waiting:
        node = waiting.pop()
        if node is not None and node not in seen:
            seen.add(node)
            if hasattr(node, "variable"):
                yield node.variable
            waiting += [following for following, _ in node.next_functions]


def _on_gpu(probe: Probe, bound: Bound) -> None:
    """Call a term on a GPU, or where there is none on tensors that only say they are on one."""
    mode = nullcontext() if torch.cuda.is_available() else FakeTensorMode(allow_non_fake_inputs=True)
    try:
        with mode, OneDevice():
            for module in bound.term.modules() if isinstance(bound.term, nn.Module) else ():
                for name, each in module.named_parameters(recurse=False):
                    module._parameters[name] = nn.Parameter(each.detach().to("cuda"), each.requires_grad)
                for name, buffer in module.named_buffers(recurse=False):
                    module._buffers[name] = buffer.to("cuda")
            parts = terms.parts(bound, bound.term(**probe.look(bound, device="cuda").asked()))
    except (DataDependentOutputException, DynamicOutputShapeException) as error:
        raise Skipped("what it computes depends on values: it can only be tried on a GPU") from error
    except (RuntimeError, TypeError) as error:
        if "device" not in str(error) or "hasPrimaryContext" in str(error):
            raise Skipped(f"it can only be tried on a GPU ({_line(error):.80})") from error
        raise Failed(f"{bound.label} fails on a GPU: {_line(error)}.") from error
    if away := [label for label, value in parts.items() if value.device.type != "cuda"]:
        raise Failed(f"{away[0]} is on the CPU for images on a GPU.")
