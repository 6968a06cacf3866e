"""What a loss is tried on: images of which each can be taken by itself, and small networks."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lossbench import rng, terms
from lossbench.config import model_options
from lossbench.data import Shapes, to_tensor
from lossbench.hookspecs import LossSpec, Recipe
from lossbench.networks import Networks, build
from lossbench.objective import Bound, Choice, compose, table
from lossbench.registry import Origin, Plugin, hook_manager, load
from lossbench.settings import PoolSettings, TrainSettings
from lossbench.testing.surroundings import restored
from lossbench.trainer import Trainer
from lossbench.views import CRITIC, Once, Views

SEED = 0
SMALL = {"ngf": 4, "ndf": 4}  # where a recipe's networks have such options
MADE = ("fake", "rec", "idt")  # images that generators make

Kind = Literal["natural", "noise", "constant", "identical", "opposite"]
KINDS: tuple[Kind, ...] = ("natural", "noise", "constant")


@dataclass
class Look:
    """Images of each direction, each as if it had come by itself, and the networks behind them."""

    bound: Bound
    recipe: Recipe
    images: dict[str, dict[str, Tensor]]
    networks: Networks

    def asked(self, step: int = 1) -> dict[str, Any]:
        """Return what the term asks for, computed anew."""
        once = Once()
        views = {direction: self._views(direction, once) for direction in self.recipe.directions}
        if len(views) == 2:
            one, other = views.values()
            one.other, other.other = other, one
        device = self.images[self.bound.direction]["real"].device
        return terms.given(self.bound, views[self.bound.direction], seed=SEED, step=step, device=device)

    def total(self, step: int = 1) -> Tensor:
        """Return the sum of the term's parts, without the trainer's guards; its global draws are its own."""
        asked = self.asked(step)
        with rng.isolated(SEED, step):
            parts = terms.parts(self.bound, self.bound.term(**asked))
        return torch.stack([part.double() for part in parts.values()]).sum()

    def reachable(self) -> dict[str, Tensor]:
        """Return all that a gradient could reach, by name: images, networks' parameters and the loss's own."""
        images = {
            ("" if direction == self.bound.direction else "other_") + name: image
            for direction, images in self.images.items()
            for name, image in images.items()
        }
        every = {**images, **self.of_networks(), **own(self.bound)}
        return {name: tensor for name, tensor in every.items() if tensor.requires_grad}

    def gradients(self, total: Tensor) -> dict[str, Tensor]:
        """Return the gradient at all that it reaches."""
        reachable = self.reachable()
        if not total.requires_grad:
            return {}
        found = torch.autograd.grad(total, list(reachable.values()), allow_unused=True)
        return {name: grad for name, grad in zip(reachable, found, strict=True) if grad is not None}

    def of_networks(self) -> dict[str, nn.Parameter]:
        """Return the networks' parameters: ``G_A2B.layers.1.weight``, ..."""
        networks = self.networks.named().items()
        return {f"{name}.{key}": each for name, network in networks for key, each in network.named_parameters()}

    def _views(self, direction: str, once: Once) -> Views:
        source, target = direction.split("2")
        images = {name: image * 1 for name, image in self.images[direction].items()}  # a leaf may not change in place
        progress = torch.full((), 0.5, device=images["real"].device, dtype=images["real"].dtype)
        given = {**images, "progress": progress, "D": self.networks.D.get(direction)}
        given |= {"G": self.networks.G[direction], "G_inverse": self.networks.G.get(f"{target}2{source}")}
        views = Views(table(self.recipe), given, once, _plainly)
        if self.bound.side == "generator":
            return views
        seen = {name: views[name].detach() for name in ("seen_fake", "seen_real")}
        return Views(CRITIC, {"D": given["D"], "progress": progress, **seen}, once, _plainly)


@dataclass
class Probe:
    """A loss, and what it is tried on.

    Raises:
        PluginError: its builder, or what it asks for, is not as the contract says.
    """

    plugin: Plugin
    recipe_name: str = "cyclegan"
    size: int = 64
    options: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Build the loss once."""
        self.recipe: Recipe = load("recipes", self.recipe_name).spec
        self.choice = Choice(self.plugin, {"weight": 1.0, **self.options})
        self.spec: LossSpec = self.plugin.spec
        Choice(self.plugin).weights(self.recipe)
        self.bounds()

    def bounds(self) -> list[Bound]:
        """Build the loss anew; return its generators' and its discriminator's side in the first direction."""
        with restored():
            objective = compose([self.choice], self._adversary(), self.recipe, SEED, self.recipe_name)
        own = (bound for bound in objective.terms if bound.origin == self.plugin.origin)
        return [bound for bound in own if bound.direction == self.recipe.directions[0]]

    def ready(self, dtype: torch.dtype = torch.float32, *, small: bool = True) -> list[Bound]:
        """Build the loss anew as a run has it before its first step: of known shapes, in training."""
        bounds = self.bounds()
        for bound in bounds:
            if isinstance(bound.term, nn.Module):
                bound.term.eval()
                with torch.no_grad():
                    self.look(bound, small=small).total()
                bound.term.to(dtype).train()
        return bounds

    def value(self, bound: Bound, **how: Any) -> float:
        """Return the value on images as ``look`` gives them. What a module then remembers is forgotten."""
        return self.look(forgetful(bound), **how).total().item()

    def look(
        self,
        bound: Bound,
        kind: Kind = "natural",
        *,
        batch: int = 2,
        size: tuple[int, int] | None = None,
        dtype: torch.dtype = torch.float32,
        device: str = "cpu",
        change: Callable[[Tensor], Tensor] = lambda image: image,
        small: bool = True,
    ) -> Look:
        """Return images of a kind, and what stands behind them: small networks, or those of the recipe."""
        images = {
            direction: {
                name: change(image).to(device, dtype).clone().requires_grad_(bound.side == "generator" and name in MADE)
                for name, image in self.images(kind, direction, batch, size or (self.size, self.size)).items()
            }
            for direction in self.recipe.directions
        }
        return Look(bound, self.recipe, images, self._networks(bound, dtype, device, small))

    def images(self, kind: Kind, direction: str, batch: int, size: tuple[int, int]) -> dict[str, Tensor]:
        """Return real, target, fake, rec, idt [batch, 3, H, W] within (-1, 1)."""
        source, target = (_shapes(domain, batch, size) for domain in direction.split("2"))
        generator = rng.stream(SEED, direction)
        noise = [torch.rand(source.shape, generator=generator) - 0.5 for _ in range(5)]  # so that no two values tie
        images = {
            "real": source + 0.1 * noise[0],
            "target": target + 0.1 * noise[1],
            "fake": 0.7 * target.flip(0) + 0.3 * source + 0.3 * noise[2],
            "rec": source + 0.3 * noise[3],
            "idt": target + 0.3 * noise[4],
        }
        if kind == "noise":
            images = {name: 1.98 * some for name, some in zip(images, noise, strict=True)}
        if kind == "constant":
            levels = zip(images, (-0.5, 0.5, 0.25, 0.0, -1.0), strict=True)  # exact, so that a deviation is 0
            images = {name: torch.full_like(source, level) for name, level in levels}
        if kind == "opposite":
            images = {name: images["real"] * (1 if name in ("real", "target") else -1) for name in images}
        return dict.fromkeys(images, images["real"]) if kind == "identical" else images

    def trainer(self, strategy: Literal["component", "fused"], weight: float | None = 1.0) -> Trainer:
        """Return a small training in which L1 stands beside the loss, or alone for a weight of None."""
        plain = Choice(Plugin(Origin("beside", "python"), LossSpec(lambda: _l1)))
        chosen = [] if weight is None else [replace(self.choice, settings={**self.choice.settings, "weight": weight})]
        brings = any(bound.adversary and bound.side == "generator" for bound in self.bounds())
        adversary = None if brings else self._adversary()
        objective = compose([plain, *chosen], adversary, self.recipe, SEED, self.recipe_name)
        networks = build(self.recipe, self._model(small=True), objective.judged, SEED)
        images = {domain: _shapes(domain, 2, (self.size, self.size)) for domain in "AB"}
        settings = TrainSettings.model_validate({"steps": 8, "batch": 2, "strategy": strategy})
        batches = dict.fromkeys(range(settings.steps), images)
        return Trainer(objective, networks, batches, settings, PoolSettings.model_validate({}), hook_manager().hook)

    def _adversary(self) -> Choice | None:
        """Return the recipe's adversary, unless the loss is one."""
        if self.recipe.adversary in (None, self.plugin.origin.name):
            return None
        return Choice(load("losses", self.recipe.adversary))

    def _networks(self, bound: Bound, dtype: torch.dtype, device: str, small: bool) -> Networks:
        """Return networks in training; discriminators are frozen where a generator's side is tried."""
        with torch.device(device):
            networks = build(self.recipe, self._model(small), self.recipe.directions, SEED)
        for name, network in networks.named().items():
            network.train().requires_grad_(not (name.startswith("D") and bound.side == "generator"))
            if dtype == torch.bfloat16:  # as in a run
                network.autocast = dtype
            elif dtype != torch.float32:
                network.to(dtype)
        return networks

    def _model(self, small: bool) -> dict[str, Any]:
        """Return the options of the recipe's networks."""
        known = model_options(self.recipe, {})
        words = {key.removeprefix("model."): value for key, value in self.recipe.defaults(self.size).items()}
        wanted = {**words, **(SMALL if small else {})}
        return model_options(self.recipe, {key: value for key, value in wanted.items() if key in known})


def own(bound: Bound) -> dict[str, nn.Parameter]:
    """Return the parameters of a loss that is a module."""
    module = bound.term if isinstance(bound.term, nn.Module) else nn.Module()
    return {f"its {name}": parameter for name, parameter in module.named_parameters()}


def forgetful(bound: Bound) -> Bound:
    """Return the same term with a memory of its own."""
    return replace(bound, term=copy.deepcopy(bound.term)) if isinstance(bound.term, nn.Module) else bound


def _shapes(domain: str, batch: int, size: tuple[int, int]) -> Tensor:
    return F.interpolate(_first_shapes()[domain][:batch], size, mode="bilinear", antialias=True)


@cache
def _first_shapes() -> dict[str, Tensor]:
    images = Shapes("shapes", SEED).dataset(64, 64).train
    return {domain: 0.8 * to_tensor(some[:8]) for domain, some in images.items()}


def _plainly(name: str) -> AbstractContextManager[None]:
    return nullcontext()


def _l1(fake: Tensor, real: Tensor) -> Tensor:
    return (fake - real).abs().mean()
