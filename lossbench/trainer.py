"""THE CENTRE: one training step, read top to bottom.

    step:       values = gradients(); guard(values); every optimiser steps, or none
    gradients:  views of each direction; freeze D; backward per component;
                unfreeze D; pool(seen_fake), seen_real; backward per D; means over devices
    backward:   terms once; watchers; sum in order; backward; forget graphs

Randomness is a function of (seed, step, consumer), and what a step does to pools and buffers counts once the step is
done: so any step can be computed again, and one that fails leaves no trace.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from copy import deepcopy
from functools import partial, reduce
from itertools import chain
from operator import add
from typing import Any

import pluggy
import torch
from torch import Tensor, nn

from lossbench import rng, terms
from lossbench.adam import Adam
from lossbench.data import Batches
from lossbench.devices import Alone
from lossbench.errors import DifferentiatedTwice, Diverged, PluginError
from lossbench.networks import Networks
from lossbench.objective import Bound, Objective
from lossbench.plan import Plan, plan
from lossbench.pool import Pool
from lossbench.precision import tf32
from lossbench.settings import PoolSettings, TrainSettings
from lossbench.views import Once, Views


class Trainer:
    """Everything that moves: networks, pools, optimisers. Steps are counted from 1 to ``settings.steps``."""

    def __init__(
        self,
        objective: Objective,
        networks: Networks,
        batches: Batches | Mapping[int, Mapping[str, Tensor]],
        settings: TrainSettings,
        pool: PoolSettings,
        hook: pluggy.HookRelay,
    ) -> None:
        self.objective = objective
        self.networks = networks
        self.batches = batches
        self.settings = settings
        self.hook = hook
        self.seed = settings.seed
        self.dtype = torch.float64 if settings.precision == "float64" else torch.float32
        self.device = torch.device(settings.device)
        for module in chain(networks.named().values(), objective.modules.values()):
            module.to(self.device, self.dtype).train()
        for network in networks.named().values():
            network.autocast = torch.bfloat16 if settings.precision == "bf16" else None
        for network in networks.G.values():
            network.lean = not self.fuses
        self.draws = any(network.draws for network in networks.named().values())
        self.pools = {direction: Pool(pool.size) for direction in networks.D}
        self.plans: dict[tuple[Bound, ...], Plan] = {}
        self.checked: set[Bound] = set()
        self.group = Alone()
        self.weights = {bound.label: torch.ones((), device=self.device, dtype=self.dtype) for bound in objective.terms}
        self.waited = 0.0  # seconds for images
        self.complete_lazy_modules()
        self.done = 0  # steps
        self.whole = True  # no step is half done
        self.buffers: list[tuple[nn.Module, str, Tensor, Tensor]] = []
        self.extras: list[tuple[nn.Module, Any]] = []
        self.settle()
        self.parameters = {
            "generators": [*_parameters(networks.G.values()), *_parameters(objective.modules.values())],
            "discriminators": _parameters(networks.D.values()),
        }
        betas = (settings.beta1, settings.beta2)
        self.optimisers = [Adam(some, betas) for some in self.parameters.values() if some]

    def join(self, group: Alone) -> None:
        """Share batches with other processes, from the leader's state on."""
        self.group = group
        self.load(group.leaders(self.state()))

    # One step ---------------------------------------------------------------------------------------------------

    def step(self, step: int) -> None:
        """Move every network once, or, if anything is not finite, none."""
        active = self.objective.active(step, self.progress(step))
        try:
            values = self.gradients(step, active)
        except PluginError as error:
            if not self.uncompiled(error):
                raise
            values = self.gradients(step, active)
        log = self.guard(step, values)
        self.whole = False
        for optimiser in self.optimisers:
            optimiser.step(self.learning_rate(step))
        self.settle()
        self.done, self.whole = step, True
        weights = {bound.label: bound.factor_at(self.progress(step)) for bound in self.objective.terms}
        self.hook.lossbench_step(step=step, values=log, weights={label: weights[_whole(label)] for label in log})

    def gradients(self, step: int, active: Sequence[Bound], only: str | None = None) -> dict[str, Tensor]:
        """Leave every parameter's gradient, or that of ``only`` one part, in ``.grad``; return raw values by label."""
        self.rewind()
        for optimiser in self.optimisers:
            optimiser.zero_grad()
        for bound in active:
            self.weights[bound.label].fill_(bound.factor_at(self.progress(step)))
        with tf32(self.device, self.settings.precision == "tf32"):
            values = self.computed(step, self.plan(tuple(active)), only)
        means = self.group.means([*values.values()], [*chain(*self.parameters.values())])
        return dict(zip(values, means, strict=True))

    def computed(self, step: int, how: Plan, only: str | None) -> dict[str, Tensor]:
        """Go through a plan, the generators' side first."""
        views = self.look(step, how)
        values: dict[str, Tensor] = {}
        self.freeze_discriminators(True)
        for component in how.components:
            values |= self.backward(step, component, views, only)
        self.freeze_discriminators(False)
        for direction, judges in how.critics.items():
            with torch.no_grad():
                seen_fake, seen_real = views[direction]["seen_fake"], views[direction]["seen_real"]
            every = self.group.whole(seen_fake)
            pooled = self.pools[direction].exchange(every, rng.stream(self.seed, step, "pool", direction))
            seen = {direction: self.look_critically(step, direction, how, self.group.own(pooled), seen_real)}
            values |= self.backward(step, judges, seen, only)
        return values

    def backward(
        self, step: int, together: Sequence[Bound], views: Mapping[str, Views], only: str | None
    ) -> dict[str, Tensor]:
        """Compute terms that share a graph, add them up in order, and go back through it once."""
        values: dict[str, Tensor] = {}
        weighted: dict[str, Tensor] = {}
        for bound in together:
            first = bound not in self.checked
            before = terms.remembered(bound.term) if first else {}
            parts = self.evaluate(bound, views[bound.direction], step)
            if first:
                terms.check(bound, before, parts)
                self.checked.add(bound)
            for label, value in parts.items():
                values[label] = value.detach()
                weighted[label] = value * self.weights[bound.label]
        images = {
            f"{direction}/{name}": image for direction, seen in views.items() for name, image in seen.images().items()
        }
        self.hook.lossbench_component(step=step, terms=weighted, images=images)
        total = reduce(add, [value for label, value in weighted.items() if only in (None, label)])
        if total.requires_grad:
            terms.go_back(total, together, step)
        for seen in views.values():
            seen.forget()
        return values

    def guard(self, step: int, values: Mapping[str, Tensor]) -> dict[str, float]:
        """Return the values as numbers, in the step's one look at the device; raise if anything is not finite.

        Raises:
            Diverged: naming the plugin, its part and direction, and the step.
        """
        norms = [_norm(some) for some in self.parameters.values()]
        numbers = torch.stack([*values.values(), *(norm.to(self.device, self.dtype) for norm in norms)]).tolist()
        if all(map(math.isfinite, numbers)):
            return dict(zip(values, numbers, strict=False))
        wrong = [label for label, number in zip(values, numbers, strict=False) if not math.isfinite(number)]
        culprit = wrong[0] if wrong else next((one for one, _, norm in self.alone(step) if not math.isfinite(norm)), "")
        raise Diverged(step, culprit, self.diagnosis(step, culprit, "value" if wrong else "gradient"))

    def alone(self, step: int) -> Iterator[tuple[str, float, float]]:
        """Compute each part of each active term by itself: its label, its value and the norm of its gradient."""
        for bound in self.objective.active(step, self.progress(step)):
            for label, value in self.gradients(step, (bound,)).items():
                self.gradients(step, (bound,), only=label)
                every = [parameter for some in self.parameters.values() for parameter in some]
                yield label, value.item(), _norm(every).item()

    def diagnosis(self, step: int, label: str, what: str) -> str:
        """Say what is not finite, and whether its plugin is to blame."""
        bound = next((bound for bound in self.objective.terms if bound.label == _whole(label)), None)
        if bound is None:
            return f"Step {step}: the gradient of the sum of all terms is not finite, though each alone is."
        generator, source = self.networks.G[bound.direction], bound.direction.partition("2")[0]
        with torch.no_grad(), rng.isolated(self.seed, step, "diagnosis"):
            sound = generator(self.batch(step)[source]).isfinite().all()
        cause = (
            "The translation is finite: look for a division, a root or a logarithm in it."
            if sound
            else f"The translation {bound.direction} is not finite to begin with: weights grew too large before."
        )
        return f"Step {step}: the {what} of {label} ({bound.origin}) is not finite. {cause}"

    # What a step leaves -----------------------------------------------------------------------------------------

    def settle(self) -> None:
        """Make what the last step did to pools and buffers count."""
        for pool in self.pools.values():
            pool.commit()
        roots = [*self.networks.named().values(), *self.objective.modules.values()]
        modules = [module for root in roots for module in root.modules()]
        self.buffers = [
            (module, name, buffer, buffer.clone())
            for module in modules
            for name, buffer in module.named_buffers(recurse=False)
        ]
        self.extras = [(module, deepcopy(module.get_extra_state())) for module in modules if _has_extra_state(module)]

    def rewind(self) -> None:
        """Take back what was done to pools and buffers since the last step was done."""
        for pool in self.pools.values():
            pool.fill(pool.kept)
        for module, name, buffer, before in self.buffers:
            setattr(module, name, buffer.copy_(before))
        for module, state in self.extras:
            module.set_extra_state(deepcopy(state))

    def state(self) -> dict[str, Any]:
        """Return all that the next step depends on beside settings and images, as ``load`` takes it."""
        self.rewind()
        return {
            "step": self.done,
            "networks": {name: network.state_dict() for name, network in self.networks.named().items()},
            "modules": {label: module.state_dict() for label, module in self.objective.modules.items()},
            "optimisers": [optimiser.moments for optimiser in self.optimisers],
            "pools": {direction: pool.kept for direction, pool in self.pools.items()},
            "checked": sorted(bound.label for bound in self.checked),
        }

    def load(self, state: Mapping[str, Any]) -> None:
        """Go on from a state that ``state`` gave."""
        modules = {**self.networks.named(), **self.objective.modules}
        values = {**state["networks"], **state["modules"]}
        for name in {**modules, **values}:
            modules[name].load_state_dict(values[name])
        for optimiser, values in zip(self.optimisers, state["optimisers"], strict=True):
            optimiser.load(values)
        for direction, images in state["pools"].items():
            self.pools[direction].fill([image.to(self.device, self.dtype) for image in images])
        self.checked = {bound for bound in self.objective.terms if bound.label in state["checked"]}
        self.done = int(state["step"])
        self.settle()

    # What a step sees -------------------------------------------------------------------------------------------

    def batch(self, step: int) -> dict[str, Tensor]:
        """Return the images of a step by domain."""
        began = time.perf_counter()
        images = {domain: self.group.own(some) for domain, some in self.batches[step - 1].items()}
        batch = {domain: some.to(self.device, self.dtype) for domain, some in images.items()}
        self.waited += time.perf_counter() - began
        return batch

    def look(self, step: int, how: Plan) -> dict[str, Views]:
        """Return the generators' views of every direction."""
        batch = self.batch(step)
        once = Once()
        views: dict[str, Views] = {}
        for direction in self.objective.recipe.directions:
            source, target = direction.split("2")
            given: dict[str, Any] = {"real": batch[source], "target": batch.get(target)}
            given |= {"G": self.networks.G[direction], "G_inverse": self.networks.G.get(f"{target}2{source}")}
            given |= {"D": self.networks.D.get(direction), "progress": self.progress_tensor(step)}
            views[direction] = Views(how.tables[direction], given, once, self.within(step, direction))
        if len(views) == 2:
            one, other = views.values()
            one.other, other.other = other, one
        return views

    def look_critically(self, step: int, direction: str, how: Plan, seen_fake: Tensor, seen_real: Tensor) -> Views:
        """Return the discriminator's views: both images without graph."""
        given: dict[str, Any] = {"seen_fake": seen_fake, "seen_real": seen_real, "D": self.networks.D[direction]}
        given["progress"] = self.progress_tensor(step)
        return Views(how.judging[direction], given, Once(), self.within(step, f"{direction}:D"))

    def within(self, step: int, where: str) -> Any:
        """Return what a view is computed within: dropout draws from a stream of its own."""
        return partial(rng.isolated, self.own_seed, step, where) if self.draws else lambda name: nullcontext()

    def evaluate(self, bound: Bound, views: Views, step: int) -> dict[str, Tensor]:
        """Call a term; return its parts by label."""
        lower = torch.bfloat16 if self.settings.precision == "bf16" else None
        return terms.call(bound, views, seed=self.own_seed, step=step, device=self.device, lower=lower)

    # Odds and ends ----------------------------------------------------------------------------------------------

    def plan(self, active: tuple[Bound, ...]) -> Plan:
        """Return the plan of a set of terms, resolved once. Fused only where a batch does not matter to a network."""
        if active not in self.plans:
            alike = not any(network.draws or network.counts for network in self.networks.G.values())
            at_once = [way for way, network in self.networks.D.items() if not (network.draws or network.counts)]
            self.plans[active] = plan(active, self.objective.recipe, self.fuses and alike, at_once)
        return self.plans[active]

    @property
    def fuses(self) -> bool:
        """Whether large batches count for more than memory."""
        return self.settings.strategy == "fused" or (self.settings.strategy == "auto" and self.device.type == "cuda")

    @property
    def own_seed(self) -> object:
        """Return the seed of what is drawn for this process's images alone."""
        return f"{self.seed}/{self.group.rank}" if self.group.rank else self.seed

    def progress(self, step: int) -> float:
        """Return how much of the run lies before this step."""
        return (step - 1) / self.settings.steps

    def progress_tensor(self, step: int) -> Tensor:
        """Return the progress as terms are given it."""
        return torch.tensor(self.progress(step), device=self.device, dtype=self.dtype)

    def learning_rate(self, step: int) -> float:
        """Return the rate: constant at first, then straight down towards 0 at the end."""
        left = (1 - self.progress(step)) / max(1 - self.settings.constant, 1 / self.settings.steps)
        return self.settings.lr * min(1.0, left)

    def uncompiled(self, error: PluginError) -> bool:
        """Let networks run as they are, if a term goes back through a backward, which compiled ones do not allow."""
        if not isinstance(error.__cause__, DifferentiatedTwice):
            return False
        for network in self.networks.named().values():
            network.to(memory_format=torch.contiguous_format).compiled = None
        return True

    def freeze_discriminators(self, frozen: bool) -> None:
        """Switch the gradients of every discriminator's parameters."""
        for network in self.networks.D.values():
            network.requires_grad_(not frozen)

    def complete_lazy_modules(self) -> None:
        """Show each loss that is a module one step, in eval mode and without gradient, so that it knows its shapes."""
        modules = [*self.networks.named().values(), *self.objective.modules.values()]
        for module in modules:
            module.eval()
        with torch.no_grad():
            for bound in self.objective.terms:
                if isinstance(bound.term, nn.Module):
                    how = plan([bound], self.objective.recipe, fuse=False)
                    seen = self.look(1, how)[bound.direction]
                    if bound.side == "discriminator":
                        seen = self.look_critically(1, bound.direction, how, seen["seen_fake"], seen["seen_real"])
                    self.evaluate(bound, seen, 1)
        for module in modules:
            module.train()


def _parameters(modules: Iterable[nn.Module]) -> list[nn.Parameter]:
    every = (parameter for module in modules for parameter in module.parameters() if parameter.requires_grad)
    return list(dict.fromkeys(every))  # a module may serve both directions


def _has_extra_state(module: nn.Module) -> bool:
    return type(module).get_extra_state is not nn.Module.get_extra_state


def _norm(parameters: Iterable[nn.Parameter]) -> Tensor:
    return nn.utils.get_total_norm([parameter.grad for parameter in parameters if parameter.grad is not None])


def _whole(label: str) -> str:
    """``A2B/style/relu3_3`` -> ``A2B/style``."""
    return "/".join(label.split("/")[:2])
