"""Numbers: the same again, the slope of the value, other types, another device."""

from __future__ import annotations

import warnings
from contextlib import nullcontext

import torch
from torch import nn
from torch._subclasses.fake_tensor import DataDependentOutputException, DynamicOutputShapeException, FakeTensorMode

from lossbench import rng, terms
from lossbench.objective import Bound
from lossbench.testing.checks.seen import Failed, Skipped, line_of, near, raised, said
from lossbench.testing.probe import SEED, Look, Probe, forgetful
from lossbench.testing.slopes import directions, size, slope
from lossbench.testing.watches import OneDevice, kept


def repeatable(probe: Probe) -> None:
    """Gives the same value again from the same images, state and `rng`.

    Otherwise no run can be repeated or resumed. Draw from `rng`; keep state in buffers of an nn.Module, and change it
    only `if self.training`; a function keeps none (no counter, no list, no cache in a closure or a global).
    """
    for bound in probe.ready():
        first = probe.value(bound)
        probe.value(bound, kind="noise")  # other images, which it may not remember
        second = probe.value(bound)
        if not near(first, second):
            raise Failed(f"{bound.label} gave {first:.6g}, then, after other images, {second:.6g}.")
        before = kept(bound.term)  # by now a cache of constants is filled
        probe.value(bound, kind="noise")
        if changed := [name for name, text in kept(bound.term).items() if text != before.get(name)]:
            raise Failed(f"{bound.label} keeps `{changed[0]}` in a closure or a global, and changes it.")


def dtype(probe: Probe) -> None:
    """Returns float64 for float64 images.

    Precision is the user's choice (--precision). Make constants from what you are given: `torch.ones_like(image)`,
    `kernel.to(image)`; cast back what you cast.
    """
    for bound in probe.ready(torch.float64):
        with said(bound, " on float64 images"), rng.isolated(SEED):
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
    not know bf16 (FFT, linalg, quantile); a constant of your own is `kernel.to(image)`.
    """
    for bound, lower in zip(probe.ready(), probe.ready(torch.bfloat16), strict=True):
        reference = probe.value(bound)
        with said(bound, " on bf16 images"):
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
            raise Skipped(f"it can only be tried on a GPU ({line_of(error):.80})") from error
        raise Failed(f"{bound.label} would fail on a GPU: {raised(error, bound)}.") from error
    if away := [label for label, value in parts.items() if value.device.type != "cuda"]:
        raise Failed(f"{away[0]} is on the CPU for images on a GPU.")
