"""What is worth knowing of a sound loss, and no fault: one function a remark, that returns it or nothing."""

from __future__ import annotations

import statistics
import time
import warnings
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from lossbench import rng
from lossbench.testing.probe import SEED, Look, Probe, own
from lossbench.views import Once

LOOKS = 5  # at the clock; the first warms up


def scale(probe: Probe) -> str | None:
    """Whether it notices images in [0, 1] where lossbench has them in [-1, 1]. It cannot tell all that mistake them."""
    for bound in probe.ready():
        full = probe.value(bound)
        half = probe.value(bound, change=lambda image: (image + 1) / 2)
        if abs(full - half) <= 1e-4 * abs(full):
            return "does not notice images in [0, 1], where lossbench has [-1, 1]: see that this is meant"
        look = probe.look(bound, "noise")
        dark, bright = _pull(look, lambda image: image < -0.2), _pull(look, lambda image: image > 0.2)
        if dark < 0.01 * bright:
            return "hardly moves pixels below 0: does it take images for [0, 1], where lossbench has [-1, 1]?"
    return None


def resolution(probe: Probe) -> str | None:
    """Whether it is a sum over pixels."""
    for bound in probe.ready():
        small = probe.value(bound)
        large = probe.value(bound, change=lambda image: image.repeat(1, 1, 2, 2))
        if abs(small) > 1e-9 and abs(large / small - 4) < 0.2:
            return "is a sum over pixels: at twice the size its weight counts four times"
    return None


def compiles(probe: Probe) -> str | None:
    """Whether torch.compile takes it whole."""
    for bound in probe.ready():
        try:
            with warnings.catch_warnings(), rng.isolated(SEED):
                warnings.simplefilter("ignore")
                torch.compile(bound.term, backend="eager", fullgraph=True)(**probe.look(bound).asked())
        except Exception as error:
            first = next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
            return f"breaks torch.compile ({first:.100})"
        finally:
            torch._dynamo.reset()
    return None


def trains(probe: Probe) -> str | None:
    """How many parameters of its own it trains."""
    count = sum(each.numel() for bound in probe.ready() for each in own(bound).values() if each.requires_grad)
    if not count:
        return None
    return f"trains {count} parameters of its own; if they are a pretrained network's, freeze it: requires_grad_(False)"


def cost(probe: Probe) -> str | None:
    """Its time and memory, forward and backward, as a share of a generator's forward."""
    shares = [_share(probe.look(bound, small=False)) for bound in probe.ready(small=False)]
    of_time, of_memory = (sum(share[place] for share in shares) for place in (0, 1))
    return (
        f"takes {of_time:.1%} of the time and {of_memory:.1%} of the memory of a generator's forward at {probe.size} px"
    )


REMARKS: dict[str, Callable[[Probe], str | None]] = {
    remark.__name__: remark for remark in (scale, resolution, compiles, trains, cost)
}


def _pull(look: Look, where: Callable[[Tensor], Tensor]) -> float:
    """Return the size of the gradient at some pixels of the images."""
    reached = look.gradients(look.total())
    images = {name: image for name, image in look.reachable().items() if image.ndim == 4 and name in reached}
    images = {name: image for name, image in images.items() if "." not in name}
    return sum(float(reached[name][where(image)].abs().sum()) for name, image in images.items())


def _share(look: Look) -> tuple[float, float]:
    """Return time and memory of a term over those of a generator's forward. What it asks for is not counted."""
    given = {name: _cut(each) for name, each in look.asked().items()}
    generator, real = look.networks.G[look.bound.direction], look.images[look.bound.direction]["real"]
    images = [each for each in given.values() if isinstance(each, Tensor)]
    every = [*images, *look.of_networks().values(), *own(look.bound).values()]
    reached = [each for each in every if each.requires_grad]

    def term() -> Tensor:
        with rng.isolated(SEED):
            result = look.bound.term(**given | ({"once": Once()} if "once" in given else {}))
        return torch.stack([*result.values()]).sum() if isinstance(result, dict) else result

    def both() -> None:
        torch.autograd.grad(term(), reached, allow_unused=True)

    def forward() -> None:
        generator(real)

    return _seconds(both) / _seconds(forward), _saved(term) / _saved(forward)


def _cut(given: Any) -> Any:
    """Return an image without what it was computed from, so that only the term is measured."""
    return given.detach().requires_grad_(given.requires_grad) if isinstance(given, Tensor) else given


def _seconds(compute: Callable[[], Any]) -> float:
    times = []
    for _ in range(LOOKS):
        began = time.perf_counter()
        compute()
        times.append(time.perf_counter() - began)
    return statistics.median(times[1:])


def _saved(compute: Callable[[], Any]) -> int:
    """Return the bytes that are kept for a backward."""
    kept: dict[int, int] = {}

    def note(tensor: Tensor) -> Tensor:
        kept[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        compute()
    return sum(kept.values())
