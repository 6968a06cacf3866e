"""What float32 means: on CUDA, convolutions and matrix products round it to TF32 only where a run says so."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def tf32(device: torch.device, allowed: bool = False) -> Iterator[None]:
    """Pin PyTorch's two switches, whose own defaults differ, and put them back.

    TF32 keeps 10 of 23 bits: values differ from float32's by about 1e-3.
    """
    if device.type != "cuda":
        yield
        return
    cudnn, before = torch.backends.cudnn, torch.get_float32_matmul_precision()
    with cudnn.flags(
        enabled=cudnn.enabled, benchmark=cudnn.benchmark, deterministic=cudnn.deterministic, allow_tf32=allowed
    ):
        torch.set_float32_matmul_precision("high" if allowed else "highest")
        try:
            yield
        finally:
            torch.set_float32_matmul_precision(before)
