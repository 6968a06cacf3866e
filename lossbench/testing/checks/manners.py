"""What a loss may not touch: its inputs, what others draw from, what is frozen, a run that it is not part of."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from lossbench import rng
from lossbench.objective import Bound
from lossbench.testing.checks.seen import Failed
from lossbench.testing.probe import SEED, Probe, own
from lossbench.testing.surroundings import random_states, seed, settings


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


def _build(probe: Probe) -> None:
    """Build the loss as nobody guards it."""
    probe.spec.builder(**probe.choice.options())


def _frozen_buffers(bound: Bound) -> dict[str, Tensor]:
    """Return the buffers of those submodules whose parameters are frozen."""
    modules = bound.term.named_modules() if isinstance(bound.term, nn.Module) else ()
    return {
        f"its {where}.{name}".replace(" .", " "): buffer
        for where, module in modules
        if {each.requires_grad for each in module.parameters(recurse=False)} == {False}
        for name, buffer in module.named_buffers(recurse=False)
    }
