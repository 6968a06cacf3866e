"""What a term may ask for, by name: one table, name -> how, computed on demand and once.

The table is written in the language of the terms themselves: a view is a function, and the names of its parameters
say what it needs. What the table does not compute is given.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from functools import cache
from typing import Any

import torch
from torch import Tensor

Table = dict[str, Callable[..., Any]]

PLAIN: Table = {
    "fake": lambda G, real: G(real),
    "rec": lambda G_inverse, fake: G_inverse(fake),
    "idt": lambda G, target: G(target),
    "seen_fake": lambda fake: fake,
    "seen_real": lambda target: target,
    "pred_fake": lambda D, seen_fake: D(seen_fake),
    "pred_real": lambda D, seen_real: D(seen_real),
}
CONDITIONAL: Table = {  # these are laid over the one above: what D sees in a conditional recipe,
    "seen_fake": lambda real, fake: torch.cat((real, fake), dim=1),
    "seen_real": lambda real, target: torch.cat((real, target), dim=1),
}
PAIRED: Table = {"truth": lambda target: target}  # what a paired recipe has besides,
FUSED: Table = {  # and both of a generator's batches in one
    "both": lambda G, real, target: G(torch.cat((real, target))),
    "fake": lambda both, real: both[: len(real)],
    "idt": lambda both, real: both[len(real) :],
}
CRITIC: Table = {name: PLAIN[name] for name in ("pred_fake", "pred_real")}
AT_ONCE: Table = {  # and both of a discriminator's answers in one batch
    "answers": lambda D, seen_fake, seen_real: D(torch.cat((seen_fake, seen_real))),
    "pred_fake": lambda answers, seen_fake: answers[: len(seen_fake)],
    "pred_real": lambda answers, seen_fake: answers[len(seen_fake) :],
}

MEANING = {
    "real": "a batch of source images",
    "target": "a batch of target-domain images",
    "truth": "what the translation should be",
    "fake": "the translation",
    "rec": "the round trip",
    "idt": "the identity",
    "seen_fake": "the translation as the discriminator is shown it",
    "seen_real": "the target image as the discriminator is shown it",
    "pred_fake": "the discriminator's answer to the translation",
    "pred_real": "the discriminator's answer to the target image",
    "G": "the generator",
    "G_inverse": "the generator back",
    "D": "the discriminator",
    "progress": "how much of the run is done, 0 to 1",
    "rng": "the term's own random generator for this step",
    "once": "once(f, image, *args): f at most once per step and image",
}
CRITIC_NAMES = ("seen_fake", "seen_real", "pred_fake", "pred_real", "D", "progress", "rng", "once")


@cache
def needs(function: Callable[..., Any]) -> tuple[str, ...]:
    """Return the names that a view or a term asks for: those of its parameters."""
    return tuple(inspect.signature(getattr(function, "forward", function)).parameters)


def closure(names: tuple[str, ...], table: Table) -> frozenset[str]:
    """Return the names and all that they are computed from, ``other_`` names included."""
    found: set[str] = set()
    for name in names:
        other = "other_" if name.startswith("other_") else ""
        how = table.get(name.removeprefix("other_"))
        found |= {name} | (closure(tuple(other + need for need in needs(how)), table) if how else frozenset())
    return frozenset(found)


class Once:
    """Calls ``f(image, *args)`` at most once per step for all terms; without gradients where the image has none."""

    def __init__(self) -> None:
        self.results: dict[tuple[Any, ...], tuple[Tensor, Any]] = {}

    def __call__(self, f: Callable[..., Any], image: Tensor, *args: Any) -> Any:
        """Return f(image, *args), computed or remembered."""
        key = (f, id(image), args, torch.is_autocast_enabled(image.device.type))
        if key not in self.results:
            with nullcontext() if image.requires_grad else torch.no_grad():
                self.results[key] = (image, f(image, *args))  # the image is kept, so that its id is not given away
        return self.results[key][1]

    def forget(self) -> None:
        """Drop what carries a graph."""
        self.results = {key: kept for key, kept in self.results.items() if not kept[0].requires_grad}


class Views:
    """The views of one direction in one step. ``other`` is the opposite direction's."""

    def __init__(
        self, table: Table, given: Mapping[str, Any], once: Once, within: Callable[[str], AbstractContextManager[None]]
    ) -> None:
        self.table = table
        self.known = {**given, "once": once}
        self.once = once
        self.within = within
        self.other: Views | None = None

    def __getitem__(self, name: str) -> Any:
        if self.other and name.startswith("other_"):
            return self.other[name.removeprefix("other_")]
        if name not in self.known:
            how = self.table[name]
            asked = [self[need] for need in needs(how)]
            with self.within(name):
                self.known[name] = how(*asked)
        return self.known[name]

    def images(self) -> dict[str, Tensor]:
        """Return what is computed so far."""
        return {name: self.known[name] for name in self.table if name in self.known}

    def forget(self) -> None:
        """Keep values, drop graphs."""
        self.known.update({name: image.detach() for name, image in self.images().items()})
        self.once.forget()
