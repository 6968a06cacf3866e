"""Is a loss sound? The checks of `lossbench check`, for tests of one's own.

from lossbench.testing import parametrize_loss_checks

@parametrize_loss_checks("charm")
def test_charm_is_sound(check):
check()
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

from lossbench.config import DEFAULT_RECIPE
from lossbench.errors import CheckError, LossbenchError, PluginError, Unfit, UnknownPlugin, WeightsError, near_miss
from lossbench.hookspecs import LossSpec, Term
from lossbench.objective import Choice
from lossbench.registry import Origin, Plugin, listing, load
from lossbench.testing.checks import CHECKS, FIRST, MEANING, MEND, NEEDS
from lossbench.testing.checks.seen import Failed, Skipped, raised
from lossbench.testing.probe import Probe
from lossbench.testing.remarks import REMARKS
from lossbench.testing.surroundings import restored

__all__ = ["MEANING", "MEND", "CheckError", "Result", "check_loss", "examine", "parametrize_loss_checks"]

Loss = str | Path | LossSpec | Term
Status = Literal["ok", "failed", "known", "skipped", "remark"]


@dataclass(frozen=True)
class Result:
    """What a check came to. ``known``: it fails, as ``LossSpec(checks=...)`` says, with the reason given there."""

    check: str
    status: Status
    message: str = ""


def check_loss(
    loss: Loss, *, options: Mapping[str, Any] | None = None, recipe: str | None = None, size: int = 64
) -> list[Result]:
    """Put a loss through every check; return what each came to.

    Args:
        loss: a plugin's name or file, a ``LossSpec``, or a term.
        options: of its builder, such as ``{"power": 2}``.
        recipe: whose names and networks it is tried with; by itself cyclegan, or the first that has what it asks for.
        size: side of the images, px.

    Raises:
        CheckError: at least one check failed; it lists all that did.
        LossbenchError: there is no such loss, or it has no such option.
    """
    results = list(examine(loss, options=options, recipe=recipe, size=size))
    if failed := [result for result in results if result.status == "failed"]:
        raise CheckError("\n".join(f"{result.check}: {result.message}" for result in failed))
    return results


def examine(
    loss: Loss, *, options: Mapping[str, Any] | None = None, recipe: str | None = None, size: int = 64
) -> Iterator[Result]:
    """Yield the result of each check in turn; of a loss that passes them, remarks too."""
    try:
        plugin = _plugin(loss)
    except UnknownPlugin:
        raise
    except LossbenchError as error:
        yield Result(FIRST, "failed", str(error))
        return
    if options:
        Choice(plugin, options).options()  # what the caller got wrong is no fault of the loss
    make = partial(_probe, plugin, recipe, size, options or {})
    failed: set[str] = set()
    for name in MEANING:
        if again := [need for need in NEEDS.get(name, ()) if need in failed]:
            yield Result(name, "skipped", f"not tried, since {again[0]} fails")
            continue
        result = _tried(name, make, plugin.spec.checks.get(name))
        failed |= {name} if result.status == "failed" else set()
        yield result
        if failed & {FIRST, "options", "scalar"}:  # everything else would fail for the same reason
            return
    for name, remark in REMARKS.items() if not failed else ():
        with restored():
            if said := remark(make()):
                yield Result(name, "remark", said)


def parametrize_loss_checks(
    *losses: Loss, options: Mapping[str, Any] | None = None, recipe: str | None = None, size: int = 64
) -> Any:
    """Return a pytest decorator: the test gets each ``check`` of each loss, and calls it. Known failures are xfails."""
    import pytest

    cases = []
    for loss in losses:
        plugin = _plugin(loss)
        make = partial(_probe, plugin, recipe, size, options or {})
        for name in MEANING:
            reason = plugin.spec.checks.get(name)
            marks = [pytest.mark.xfail(reason=reason, raises=CheckError, strict=True)] if reason else []
            check = partial(_or_skipped, name, make)
            cases.append(pytest.param(check, id=f"{plugin.origin.name}-{name}", marks=marks))
    return pytest.mark.parametrize("check", cases)


def _probe(plugin: Plugin, recipe: str | None, size: int, options: Mapping[str, Any]) -> Probe:
    """Return what a loss is tried on, by itself with the first recipe that has what it asks for."""
    for word in (DEFAULT_RECIPE, *listing("recipes")) if recipe is None else ():
        with suppress(Unfit):
            return Probe(plugin, word, size, options)
    return Probe(plugin, recipe or DEFAULT_RECIPE, size, options)


def _plugin(loss: Loss) -> Plugin:
    if isinstance(loss, str | Path):
        plugin = load("losses", str(loss))
    else:
        spec = loss if isinstance(loss, LossSpec) else LossSpec(lambda: loss)
        name = getattr(loss.builder if isinstance(loss, LossSpec) else loss, "__name__", "loss")
        plugin = Plugin(Origin(name.strip("<>"), "python"), spec)
    if strange := [name for name in plugin.spec.checks if name not in MEANING]:
        raise PluginError(
            f"{plugin.origin}: LossSpec(checks) names `{strange[0]}`, which is no check."
            f"{near_miss(strange[0], MEANING)} Checks: {', '.join(MEANING)}."
        )
    return plugin


def _tried(name: str, make: Callable[[], Probe], reason: str | None) -> Result:
    """Run one check. A declared failure is known, and an error where there is none."""
    try:
        _required(name, make)
    except Skipped as skipped:
        return Result(name, "skipped", str(skipped))
    except CheckError as error:
        return Result(name, "known", reason) if reason else Result(name, "failed", str(error))
    if reason:
        return Result(name, "failed", f"It passes, and LossSpec(checks) says that it fails ({reason}). Take it out.")
    return Result(name, "ok")


def _or_skipped(name: str, make: Callable[[], Probe]) -> None:
    import pytest

    try:
        _required(name, make)
    except Skipped as skipped:
        pytest.skip(str(skipped))


def _required(name: str, make: Callable[[], Probe]) -> None:
    """Run one check.

    Raises:
        CheckError: what was seen, what it means and how to mend it.
        Skipped: it cannot be told here.
    """
    with restored():
        try:
            probe = make()
            if name != FIRST:
                CHECKS[name](probe)
        except (Skipped, WeightsError):
            raise
        except LossbenchError as error:
            raise CheckError(str(error)) from error
        except Failed as failed:
            mend = MEND[name] if failed.mend is None else failed.mend
            raise CheckError(f"{str(failed).rstrip('.')}. {mend}".strip()) from failed
        except Exception as error:  # of every type: it is a stranger's code
            raise CheckError(f"{raised(error)}. {MEND[name]}") from error
