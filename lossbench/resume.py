"""Going on with a run: is it the same run, and from where."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lossbench.checkpoint import check_finite, intact, read_state, snapshot_step, snapshots
from lossbench.config import flat, read_toml, unobserved
from lossbench.errors import OptionError, RunError
from lossbench.files import write_bytes
from lossbench.hookspecs import Term, Weight
from lossbench.outcome import opening
from lossbench.prepare import Run, prepare
from lossbench.record import LOG, left, own_samples, read_record, whole_lines

FREE = ("train.steps", "train.every", "train.keep", "train.device", "train.devices", "data.dir")  # what may change


def reopen(
    directory: Path,
    plugins: str | Sequence[str] | None,
    losses: Mapping[str, Term | tuple[Term, Weight]] | None,
    data: str | Path | None,
    settings: Mapping[str, Any] | None,
    observe: str | Sequence[str] | None = None,
    metrics: str | Sequence[str] | None = None,
) -> Run:
    """Prepare the run that a directory holds. Length, device, observers, metrics and the place of images may change.

    Raises:
        RunError: no run there, or its settings, losses or images are no longer what they were.
    """
    record = read_record(directory)
    config = directory / "config.toml"
    if config.exists() and (edited := differences(_fixed(record["config"]), _fixed(read_toml(config)))):
        raise RunError(_refused(directory, edited))
    functions = {term["term"].split("/")[1] for term in record["objective"] if term["source"] == "python"}
    missing = functions - set(losses or ())
    settled = {key: value for key, value in record["config"].items() if key.partition(".")[0] not in missing}
    run = prepare(
        plugins, losses=losses, data=data, settings=settings, config=settled, observe=observe, metrics=metrics
    )
    if changed := differences(_facts(record), _facts(json.loads(json.dumps(opening(run))))):
        raise RunError(_refused(directory, changed))
    return run


def check_alone(**others: object) -> None:
    """Refuse what a run begins with beside ``resume``."""
    if given := [name for name, value in others.items() if value is not None]:
        raise OptionError(f"--resume goes on with the run as it was; leave --{given[0]} out.")


def rejoin(run: Run) -> dict[str, Any]:
    """Load the last good state into a run and cut its directory back to it; return what its record says of that.

    Raises:
        RunError: nothing is left to do, or the state does not fit.
    """
    for name in ("samples", "snapshots", "weights"):
        if (run.directory / name).is_symlink():
            raise RunError(f"{run.directory / name} is a link. A run writes into its own folder: put it back.")
    record, log = read_record(run.directory), run.directory / LOG
    believed = [path for path in snapshots(run.directory / "snapshots") if intact(path)]
    said: dict[str, str] = {}
    for path in believed:
        state = read_state(path)
        said, found = dict(state.get("left") or {}), left(run.directory, snapshot_step(path))
        if LOG in said and said[LOG] == found.get(LOG):
            _load(run, path, state)
            break
    else:
        if believed:
            raise RunError(
                f"{log} is not what it was when {believed[0].name} was saved. Put it back, or begin again: lossbench "
                f"run --config {run.directory / 'config.toml'}"
            )
    done, steps = run.trainer.done, run.config.train.steps
    if done > steps or (done == steps and record["status"] == "ok"):
        raise RunError(
            f"{run.directory} has done its {done} steps. Go on to more with --steps, such as --steps {2 * done}."
        )
    for path in snapshots(run.directory / "snapshots"):
        if snapshot_step(path) > done:
            path.unlink()
    write_bytes(log, b"".join(whole_lines(log)[:done]))
    for sample, step in own_samples(run.directory).items():
        if step > done:
            sample.unlink()
    (run.directory / "traceback.txt").unlink(missing_ok=True)
    changed = differences(_machine(record), _machine(run.record))
    now = left(run.directory, done)
    lost = [name for name in said if name != LOG and now.get(name) != said[name]]
    session = {"from_step": done, "to_step": steps, "changed": changed, "lost": lost}
    session |= {key: record.get(key) for key in ("status", "error", "metrics", "observers")}  # how it was left
    return {"command": record["command"], "resumed": [*record.get("resumed", []), session]}


def _load(run: Run, path: Path, state: Mapping[str, Any]) -> None:
    try:
        check_finite(path, state["networks"])
        run.trainer.load(state)
    except (KeyError, RuntimeError, ValueError, TypeError, AttributeError) as error:
        reason = str(error).splitlines()[-1].strip()
        raise RunError(f"{path} does not fit this run: {reason} Remove it to go on from an earlier one.") from None


def differences(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """Say what is not as it was, key by key."""
    return [
        f"{key} was {_shown(before.get(key, 'not there'))}, is {_shown(now.get(key, 'not there'))}"
        for key in dict.fromkeys([*before, *now])
        if before.get(key) != now.get(key)
    ]


def _shown(value: object) -> str:
    return f"{value:.8}..." if isinstance(value, str) and re.fullmatch("[0-9a-f]{64}", value) else str(value)


def _facts(record: Mapping[str, Any]) -> dict[str, Any]:
    """Return what makes a run this run, by key."""
    config = _fixed(record["config"])
    terms = {
        term["term"]: {key: term[key] for key in term if key not in ("term", "source")} for term in record["objective"]
    }
    images = {key: record["dataset"][key] for key in ("n", "fingerprint")}
    return flat({**config, **terms, "images": images})


def _fixed(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings that may not change."""
    return {key: value for key, value in unobserved(config).items() if key not in FREE}


def _machine(record: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the last bits of a run depend on."""
    devices = {"devices": record["config"].get("train.devices")}
    return flat({key: record["environment"][key] for key in ("cpu", "threads", "device", "packages")} | devices)


def _refused(directory: Path, changed: Sequence[str]) -> str:
    shown = "; ".join(changed[:5]) + (f"; and {len(changed) - 5} more" if len(changed) > 5 else "")
    return (
        f"--resume {directory}: this would be another run: {shown}. Put it back, or start another run: "
        f"lossbench run --config {directory / 'config.toml'}"
    )
