"""What a loss is told and keeps: options, parameters, state, from one step to the next."""

from __future__ import annotations

import copy
import tomllib
from collections.abc import Iterator
from typing import Any

import tomli_w
import torch
from torch import Tensor, nn

from lossbench import terms
from lossbench.checkpoint import check_plain
from lossbench.config import flat, named, nested
from lossbench.errors import Diverged, LossbenchError, OptionError, PluginError
from lossbench.options import declared, resolve
from lossbench.testing.checks.seen import Failed, line_of, near, said
from lossbench.testing.probe import Probe, own


def options(probe: Probe) -> None:
    """Options are typed, their defaults fit, and TOML gives them back.

    A run is repeated from its config.toml. Options are keyword-only, with a type out of bool, int, float, str, Literal,
    tuple, Path or Callable, and a default of that type; a builder does not change what it is given.
    """
    builder, name = probe.spec.builder, probe.plugin.origin.name
    given, defaults = probe.choice.options(), {key: each.default for key, each in declared(builder).items()}
    written = {f"{name}.{key}": named(value) for key, value in given.items() if value is not None}
    for key, value in defaults.items():
        try:
            resolve(builder, {key: value} if value is not None else {}, name)
        except OptionError as error:
            said = str(error).partition(": ")[2].partition(".")[0]
            raise Failed(f"The default of `{key}`, {value!r}, does not fit its type: {said}.") from error
    try:
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
            if not near(*values):
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
            with said(bound, f" at step {step}"):
                probe.look(bound).total(step).backward()
    for trainer in (probe.trainer("component"), probe.trainer("fused")):
        for step in (1, 2, 3):
            try:
                trainer.step(step)
            except (PluginError, Diverged, RuntimeError) as error:
                raise Failed(f"Step {step} ({trainer.settings.strategy}) fails: {line_of(error)}") from error


def _same(one: Any, other: Any) -> bool:
    if isinstance(one, Tensor) and isinstance(other, Tensor):
        return torch.equal(one, other)
    return type(one) is type(other) and bool(one == other)


def _load(saved: nn.Module, fresh: Any) -> None:
    """Load what a module saves into a new one."""
    values = copy.deepcopy(saved.state_dict())
    try:
        check_plain(values)
        fresh.load_state_dict(values)
    except Exception as error:
        raise Failed(f"What it saves cannot be loaded into a new one: {line_of(error)}.") from error


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
