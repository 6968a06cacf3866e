"""The value and its gradient: on ordinary images, on worse, at every size."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from lossbench import rng, terms
from lossbench.objective import Bound
from lossbench.testing.checks.seen import Failed, said
from lossbench.testing.probe import KINDS, SEED, Kind, Probe, forgetful
from lossbench.testing.watches import Cut


def scalar(probe: Probe) -> None:
    """Returns a finite scalar, or a mapping of named scalars.

    A term returns one number for a whole batch: end it with `.mean()`. If it needs larger images, say --size 256.
    """
    larger = "If it needs larger images, say --size 256."
    for bound in probe.ready():
        with said(bound, " on ordinary images", larger), rng.isolated(SEED):
            parts = terms.parts(bound, bound.term(**probe.look(bound).asked()))
        for label, value in parts.items():
            if not value.isfinite():
                division = "Look for a division by 0, a root or a logarithm."
                raise Failed(f"{label} is {value.item()} on ordinary images.", division)


def gradient(probe: Probe) -> None:
    """A gradient reaches an image or network that the loss asked for, or parameters of its own.

    Without one it trains nothing. A perceptual loss may compute features of the target under torch.no_grad, never those
    of the translation: freeze the network's parameters instead (requires_grad_(False)). Nor does a gradient pass
    detach, .data, .item(), numpy, OpenCV (Canny edges), a rounding, a comparison, a threshold, or counting (histc,
    bincount, argmax): a soft assignment has one.
    """
    for bound in probe.ready():
        look = probe.look(bound)
        with Cut(inspect.getfile(probe.spec.builder)) as cut:
            total = look.total()
        reached = look.gradients(total)
        if not reached:
            where = f" The graph is cut at {cut.where}." if cut.where else ""
            raise Failed(f"No gradient leaves {bound.label}.{where}")
        for kind in KINDS:  # a hinge may not touch ordinary images
            if any(bool(grad.any()) for grad in reached.values()):
                break
            look = probe.look(bound, kind)
            reached = look.gradients(look.total())
        else:
            raise Failed(f"The gradient of {bound.label} is zero everywhere.")


def constant(probe: Probe) -> None:
    """The gradient is finite on images of one colour.

    A generator makes such images early on, and one NaN ends a run. The usual causes: a root at 0 (write
    `(x + eps).sqrt()`, the eps inside), a division by a standard deviation or a norm (add eps), a logarithm of 0.
    """
    _finite(probe, "constant")
    _finite(probe, "constant", torch.zeros_like)
    _finite(probe, "constant", lambda image: torch.full_like(image, -1))


def identical(probe: Probe) -> None:
    """The gradient is finite where all images are the same.

    A perfect translation is such a place. The usual causes: `norm()` or `sqrt()` of a difference that is 0 (write
    `(difference.square().sum() + eps).sqrt()`, the eps inside), `acos` at 1, a division by a distance.
    """
    _finite(probe, "identical")
    _finite(probe, "identical", lambda image: image[:1].expand_as(image).clone())
    _finite(probe, "identical", lambda image: (image * 4).round() / 4)


def opposite(probe: Probe) -> None:
    """The gradient is finite where a translation is the negative of its source.

    A generator may make such images. The usual causes: a power, a root or a logarithm of a likeness that can be
    negative (SSIM, a correlation, a cosine): clamp it from below, or shift it.
    """
    _finite(probe, "opposite")


def batch(probe: Probe) -> None:
    """Works for batches of 1, 2 and 3, and is no sum over the batch.

    A batch size is the user's choice (--batch), and a weight should mean the same for each: take the mean.
    """
    for bound in probe.ready():
        for count in (1, 3):
            where = f" with a batch of {count}"
            with said(bound, where):
                _check_finite(bound, probe.look(forgetful(bound), batch=count).total(), where)
        once, twice, thrice = (probe.value(bound, batch=1, change=partial(_repeated, times)) for times in (1, 2, 3))
        if abs(once) > 1e-9 and abs(twice / once - 2) < 1e-3 and abs(thrice / once - 3) < 1e-3:
            raise Failed(f"{bound.label} is {once:.4g} for an image and {twice:.4g} for the same twice: a sum.")


def sizes(probe: Probe) -> None:
    """Works at other sizes, at odd ones, and for images that are not square.

    A size is the user's choice (--size, and anything in a loop of one's own): take it from `image.shape`.
    """
    side, less = probe.size, probe.size * 3 // 4 // 4 * 4
    shapes = [(less, less), (side, less), (side - 3, less + 1)]
    for bound in probe.ready():
        generates = {"G", "G_inverse"} & {name.removeprefix("other_") for name in bound.needs}
        for shape in shapes[:2] if generates else shapes:  # generators take multiples of 4
            where = f" at {shape[0]} x {shape[1]} px"
            with said(bound, where):
                _check_finite(bound, probe.look(bound, size=shape).total(), where)


def _finite(probe: Probe, kind: Kind, change: Callable[[Tensor], Tensor] = lambda image: image) -> None:
    for bound in probe.ready():
        look = probe.look(bound, kind, change=change)
        with said(bound, f" on {kind} images"):
            total = look.total()
        _check_finite(bound, total, f" on {kind} images")
        for name, grad in look.gradients(total).items():
            if not grad.isfinite().all():
                raise Failed(f"On {kind} images the gradient of {bound.label} at {name} is not finite.")


def _check_finite(bound: Bound, total: Tensor, where: str) -> None:
    if not total.isfinite():
        raise Failed(f"{bound.label} is {total.item()}{where}.")


def _repeated(times: int, image: Tensor) -> Tensor:
    return image.repeat(times, 1, 1, 1)
