"""Calling a term: what it is given, and what it may not do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from lossbench import rng
from lossbench.errors import LossbenchError, PluginError, of_the_machine
from lossbench.objective import Bound
from lossbench.views import Views


def call(
    bound: Bound, views: Views, *, seed: object, step: int, device: torch.device, lower: torch.dtype | None
) -> dict[str, Tensor]:
    """Return a term's parts by label, computed in ``lower`` precision if its plugin opted in.

    Raises:
        PluginError: it failed, changed what it was given, or returned no scalars.
    """
    asked = given(bound, views, seed=seed, step=step, device=device)
    versions = {name: image._version for name, image in asked.items() if isinstance(image, Tensor)}
    precision = torch.autocast(device.type, lower) if bound.autocast and lower else nullcontext()
    try:
        with rng.isolated(seed, step, bound.label, "global"), precision:
            result = bound.term(**asked)
    except LossbenchError:
        raise
    except (Exception, SystemExit) as error:
        if of_the_machine(error):
            raise
        said = f"{bound.label} ({bound.origin}) failed at step {step}: {type(error).__name__}: {error}."
        advice = " Show its author, or do without it." if bound.origin.distribution else ""
        raise PluginError(said + advice) from error
    for name, version in versions.items():
        if asked[name]._version != version:
            raise PluginError(
                f"{bound.label} ({bound.origin}) changed `{name}` in place. Work on a copy: `{name}.clone()`."
            )
    return parts(bound, result)


def given(bound: Bound, views: Views, *, seed: object, step: int, device: torch.device) -> dict[str, Any]:
    """Return what a term asks for, by name."""
    asked = {name: views[name] for name in bound.needs if name != "rng"}
    if "rng" in bound.needs:
        asked["rng"] = rng.stream(seed, step, bound.label, device=device)
    return asked


def go_back(total: Tensor, together: Sequence[Bound], step: int) -> None:
    """Run the backward of terms that share a graph.

    Raises:
        PluginError: it failed, and which terms it was that of.
    """
    try:
        total.backward()
    except LossbenchError:
        raise
    except Exception as error:
        if of_the_machine(error):
            raise
        raise PluginError(
            f"The backward of {', '.join(bound.label for bound in together)} failed at step {step}: "
            f"{type(error).__name__}: {str(error).partition('. ')[0]}. Find the loss with: lossbench check NAME"
        ) from error


def check(bound: Bound, before: Mapping[str, str], parts: Mapping[str, Tensor]) -> None:
    """Refuse, the first time that it counts, a term without gradient, and one that ``remembered`` otherwise before.

    Raises:
        PluginError: it would train nothing, or a resumed run would be another.
    """
    if not any(value.requires_grad or value == 0 for value in parts.values()):
        raise PluginError(
            f"{bound.label} ({bound.origin}) has no gradient: it trains nothing. Look for detach, no_grad, a "
            "rounding or a threshold, or edges that are not differentiable (Canny). `lossbench check` says where."
        )
    now = remembered(bound.term)
    if changed := [name for name in {**before, **now} if before.get(name) != now.get(name)]:
        raise PluginError(
            f"{bound.label} ({bound.origin}) changes `{changed[0]}`, which no snapshot holds: a resumed run would be "
            "another. Keep it as a tensor, with register_buffer."
        )


def remembered(term: Any) -> dict[str, str]:
    """Return what a loss that is a module keeps as plain attributes, where no snapshot finds it, as text."""
    kinds = (bool, int, float, str, list, tuple, dict, set, np.ndarray, Tensor)
    return {
        f"{where}.{name}".lstrip("."): repr(value)
        for where, module in (term.named_modules() if isinstance(term, nn.Module) else ())
        if type(module).get_extra_state is nn.Module.get_extra_state
        for name, value in vars(module).items()
        if isinstance(value, kinds) and not name.startswith("_")
    }


def parts(bound: Bound, result: Any) -> dict[str, Tensor]:
    """Return what a term gave by label, each part a scalar.

    Raises:
        PluginError: it is something else.
    """
    named = result if isinstance(result, Mapping) else {"": result}
    if not named:
        raise PluginError(f"{bound.label} ({bound.origin}) returned an empty mapping; return a scalar tensor.")
    for name, value in named.items():
        if not isinstance(value, Tensor) or value.ndim or not value.is_floating_point():
            got = f"a {value.dtype} of shape {tuple(value.shape)}" if isinstance(value, Tensor) else repr(value)
            where = f" as `{name}`" if name else ""
            raise PluginError(
                f"{bound.label} ({bound.origin}) returned {got}{where}; return a scalar tensor: `.mean()`."
            )
    return {f"{bound.label}/{name}" if name else bound.label: value for name, value in named.items()}
