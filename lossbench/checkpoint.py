"""Networks on disk: safetensors without time or path inside, so equal runs have equal bytes."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import nn

from lossbench.errors import RunError
from lossbench.record import write_bytes


def save_weights(folder: Path, modules: Mapping[str, nn.Module]) -> None:
    """Write ``NAME.safetensors`` for each module that has state."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, module in modules.items():
        state = {key: tensor.detach().cpu().contiguous() for key, tensor in module.state_dict().items()}
        if state:
            write_bytes(folder / f"{name}.safetensors", save(state))


def load_weights(path: Path, module: nn.Module) -> None:
    """Read a module's weights. Opening a stranger's file runs nothing.

    Raises:
        RunError: no such file, not safetensors, or weights of another network.
    """
    try:
        module.load_state_dict(load_file(path))
    except FileNotFoundError:
        raise RunError(f"{path} is missing; the run has no weights for it.") from None
    except (OSError, SafetensorError) as error:
        raise RunError(f"{path} cannot be read as safetensors: {error}.") from None
    except RuntimeError as error:
        raise RunError(f"{path} holds another network: {str(error).splitlines()[-1].strip()}") from None
