"""What originals have in common: how they are opened without running anything of theirs."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from torch import Tensor

# What an array's pickle calls. numpy has no public name for the first.
ARRAYS: dict[tuple[str, str], Any] = {
    ("numpy.core.multiarray", "_reconstruct"): np.empty(0).__reduce__()[0],
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): np.dtype,
}


class Arrays(pickle.Unpickler):
    """An unpickler that makes numpy's arrays, Python's plain values and nothing else."""

    def find_class(self, module: str, name: str) -> Any:
        """Return what the pickle wants to call, if an array needs it."""
        if (module, name) not in ARRAYS:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}, which no array needs")
        return ARRAYS[module, name]


def tensors(path: Path) -> dict[str, Tensor]:
    """Return the floating-point tensors of a state that ``torch.save`` wrote."""
    import torch

    state = torch.load(path, map_location="cpu", weights_only=True)
    return {name: tensor for name, tensor in state.items() if tensor.is_floating_point()}


def features(path: Path) -> dict[str, Tensor]:
    """Return the convolutions of a torchvision network, without its classifier."""
    return {name: tensor for name, tensor in tensors(path).items() if name.startswith("features.")}


def flax_features(network: str, layers: Iterable[int]) -> Callable[[Path], dict[str, Tensor]]:
    """Return a reader of a flax network's convolutions, kernels [H, W, in, out], under torchvision's names."""

    def read(path: Path) -> dict[str, Tensor]:
        from torch import from_numpy

        with path.open("rb") as file:
            convolutions = Arrays(file).load()[network]
        named = {layer: convolutions[f"Conv_{n}"] for n, layer in enumerate(layers)}
        kernels = {f"features.{n}.weight": each["kernel"].transpose(3, 2, 0, 1) for n, each in named.items()}
        biases = {f"features.{n}.bias": each["bias"] for n, each in named.items()}
        return {name: from_numpy(array.copy()) for name, array in (kernels | biases).items()}

    return read
