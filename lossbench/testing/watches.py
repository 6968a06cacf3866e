"""What is watched while a term runs: where a graph is cut, whether tensors of two devices meet, what it keeps."""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Iterable
from pathlib import Path
from types import CellType, FrameType, FunctionType
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_leaves

HARMLESS = ("zeros_like", "ones_like", "empty_like", "full_like", "rand_like", "randn_like", "new_")
PRODUCTS = ("conv1d", "conv2d", "conv3d", "linear", "matmul", "bmm", "einsum", "grid_sample", "batch_norm")
KEPT = (bool, int, float, str, list, tuple, dict, set, deque, Tensor)
OURS = (str(Path(__file__).parents[1]), str(Path(torch.__file__).parent))


class Cut(TorchFunctionMode):
    """While it is entered, ``where`` becomes the first place in ``file`` (or in anything else) that cuts a graph."""

    def __init__(self, file: str) -> None:
        super().__init__()
        self.file = file
        self.where = ""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run an operation and look at what comes out."""
        result = func(*args, **(kwargs or {}))
        if not self.where and _path(tree_leaves((args, kwargs))) and _ends(tree_leaves(result)):
            owner = getattr(func, "__self__", None)
            name = getattr(owner if func.__name__ == "__get__" else func, "__name__", str(func))
            if not name.startswith(HARMLESS):
                self.where = f"{self._place()}: `{name}`{'' if torch.is_grad_enabled() else ' under torch.no_grad()'}"
        return result

    def _place(self) -> str:
        frames = [frame for frame in _frames(sys._getframe(2)) if not frame.f_code.co_filename.startswith(OURS)]
        own = [frame for frame in frames if frame.f_code.co_filename == self.file]
        frame = (own or frames)[0]
        return f"{Path(frame.f_code.co_filename).name}, line {frame.f_lineno}"


class OneDevice(TorchFunctionMode):
    """Refuses products of tensors on two devices, which tensors that only say where they are let pass."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Look at what an operation is given, and run it."""
        if getattr(func, "__name__", "") in PRODUCTS:
            given = [each for each in tree_leaves((args, kwargs)) if isinstance(each, Tensor)]
            if len(devices := {each.device.type for each in given}) > 1:
                raise RuntimeError(f"{func.__name__} of tensors on two devices, {' and '.join(sorted(devices))}")
        return func(*args, **(kwargs or {}))


def kept(term: Any, depth: int = 3) -> dict[str, str]:
    """Return what a function keeps in its closure, and in the globals that it names, as text."""
    code = getattr(term, "__code__", None)
    if code is None or not depth:
        return {}
    cells = dict(zip(code.co_freevars, term.__closure__ or (), strict=True))
    held = {name: cell.cell_contents for name, cell in cells.items() if cell != CellType()}
    held |= {name: term.__globals__[name] for name in code.co_names if name in term.__globals__}
    found = {name: repr(value) for name, value in held.items() if isinstance(value, KEPT)}
    inner = [kept(value, depth - 1) for value in held.values() if isinstance(value, FunctionType)]
    return {name: text for each in (*inner, found) for name, text in each.items()}


def _frames(frame: FrameType | None) -> Iterable[FrameType]:
    while frame:
        yield frame
        frame = frame.f_back


def _path(given: Iterable[Any]) -> bool:
    return any(isinstance(each, Tensor) and each.requires_grad for each in given)


def _ends(results: list[Any]) -> bool:
    tensors = [each for each in results if isinstance(each, Tensor)]
    return bool(tensors) and not any(each.requires_grad for each in tensors)
