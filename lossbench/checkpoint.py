"""States on disk. Opening a stranger's file runs nothing: networks are safetensors, snapshots plain tensors."""

from __future__ import annotations

import hashlib
import re
import warnings
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor, nn

from lossbench.errors import PluginError, RunError
from lossbench.files import STAMP, write_bytes, write_file

NAME = re.compile(rf"\d{{8,}}-[0-9a-f]{{{STAMP}}}\.pt")
PLAIN = (int, float, str, bool, type(None))


def save_weights(folder: Path, modules: Mapping[str, nn.Module]) -> None:
    """Write ``NAME.safetensors`` for each module that has state; no time or path inside, so equal runs, equal bytes."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, module in modules.items():
        state = {key: tensor.detach().cpu().contiguous() for key, tensor in module.state_dict().items()}
        if state:
            write_bytes(folder / f"{name}.safetensors", save(state))


def load_weights(path: Path, module: nn.Module) -> None:
    """Read a module's weights.

    Raises:
        RunError: no such file, not safetensors, weights of another network, or not finite.
    """
    try:
        state = load_file(path)
        check_finite(path, state)
        module.load_state_dict(state)
    except FileNotFoundError:
        raise RunError(f"{path} is missing; the run has no weights for it.") from None
    except (OSError, SafetensorError) as error:
        raise RunError(f"{path} cannot be read as safetensors: {error}.") from None
    except RuntimeError as error:
        raise RunError(f"{path} holds another network: {str(error).splitlines()[-1].strip()}") from None


def check_finite(path: Path, values: Any) -> None:
    """Refuse tensors with NaN or infinity, however deep."""
    for where, value in _leaves(values):
        if isinstance(value, Tensor) and value.is_floating_point() and not value.isfinite().all():
            raise RunError(f"{path}: {where} is not finite. Use weights from before they diverged.")


def check_plain(state: Mapping[str, Any]) -> None:
    """Refuse a state that could be saved and not be opened again without running code."""
    for where, value in _leaves(state):
        if not (isinstance(value, Tensor) or type(value) in PLAIN):
            raise PluginError(
                f"{where} is a {type(value).__name__}, which no snapshot can hold. Keep tensors (register_buffer), "
                "numbers or text in a loss's state."
            )


def save_snapshot(folder: Path, state: Mapping[str, Any], keep: int) -> None:
    """Write a state under its step and hash, and remove all but the ``keep`` newest."""
    folder.mkdir(exist_ok=True)
    write_state(folder / f"{state['step']:08}.pt", state, stamp=True)
    for path in snapshots(folder)[keep:]:
        path.unlink()


def snapshots(folder: Path) -> list[Path]:
    """Return the snapshots of a folder, newest first."""
    found = (path for path in folder.glob("*.pt") if NAME.fullmatch(path.name))
    return sorted(found, key=lambda path: (snapshot_step(path), path.name), reverse=True)


def snapshot_step(path: Path) -> int:
    """Return the step that a snapshot's name says."""
    return int(path.stem.partition("-")[0])


def intact(path: Path) -> bool:
    """Return whether a snapshot holds what was written, by the hash in its name."""
    try:
        with path.open("rb") as file:
            return path.stem.endswith(f"-{hashlib.file_digest(file, 'sha256').hexdigest()[:STAMP]}")
    except OSError:
        return False


def write_state(path: Path, state: Mapping[str, Any], *, stamp: bool = False) -> Path:
    """Write a state; return its path."""
    return write_file(path, lambda file: torch.save(state, file), stamp=stamp)


def read_state(path: Path) -> dict[str, Any]:
    """Read a state. Only tensors and plain values are let in, so nothing in the file can run.

    Raises:
        RunError: no such file, or not a state.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            state = torch.load(path, map_location="cpu", weights_only=True)
    except OSError as error:
        raise RunError(f"{path} cannot be read: {error.strerror}.") from None
    except Exception as error:  # what a damaged file raises is of every type
        if "GLOBAL" in str(error) or "Unsupported class" in str(error):
            raise RunError(f"{path} holds code, not only tensors and plain values. It was not opened.") from None
        raise RunError(f"{path} is damaged, or not a state of lossbench's.") from None
    if not isinstance(state, dict):
        raise RunError(f"{path} is not a state of lossbench's.")
    return state


def _leaves(value: Any, where: str = "") -> Iterator[tuple[str, Any]]:
    if type(value) in (dict, OrderedDict, list, tuple):
        for key, child in value.items() if isinstance(value, dict) else enumerate(value):
            if type(key) not in PLAIN:
                yield where, key
            yield from _leaves(child, f"{where}.{key}" if where else str(key))
    else:
        yield where, value
