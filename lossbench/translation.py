"""From images to images with trained networks, and two folders beside each other."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lossbench import rng
from lossbench.checkpoint import load_weights
from lossbench.config import adapted, model_options
from lossbench.data import image_paths, refuse, to_tensor, to_uint8, write_image
from lossbench.data.folders import HALVES
from lossbench.data.images import File, Image, Opacity, Unusable, attempt, decode_layers, look, part_of, scaled
from lossbench.errors import DataError, OptionError, RunError, near_miss
from lossbench.files import create
from lossbench.foreign import SIZE, SUFFIX, read_generator
from lossbench.hookspecs import Recipe
from lossbench.networks import Network, build
from lossbench.options import validated
from lossbench.precision import tf32
from lossbench.record import read_record
from lossbench.registry import is_file, load
from lossbench.settings import DataSettings, TrainSettings
from lossbench.tiles import check_side, tiles_for

BATCH = 8
MEND = "Mend or remove them."

Layers = tuple[Image, Opacity | None]


def apply(
    network: Network, images: Tensor, *, noise: bool, seed: int, forward: Callable[[Tensor], Tensor] | None = None
) -> Tensor:
    """Translate uint8 [N, 3, H, W] -> the same, in eval mode, or with ``noise`` in train mode; ``forward``: by tiles.

    Where a translation depends on draws or on the batch it goes alone, under a stream of the seed and the image: so it
    does not depend on what else is translated.
    """
    was_training = network.training
    parameter = next(network.parameters())
    alone = network.counts or (noise and network.draws)
    network.train(noise)
    fakes = []
    with torch.no_grad(), tf32(parameter.device):
        for some in images.split(1 if alone else BATCH):
            with rng.isolated(seed, "translate", hashlib.sha256(some.numpy().tobytes()).hexdigest()):
                fakes.append(to_uint8((forward or network)(to_tensor(some).to(parameter))))
    network.train(was_training)
    return torch.cat(fakes)


@dataclass(frozen=True)
class Model:
    """A generator, the side of its images in px, whether it draws in translation too, from which seed, of what."""

    network: Network
    size: int
    noise: bool
    seed: int
    source: str = "A"  # its domain


def translate(
    run: str | Path,
    images: str | Path,
    *,
    out: str | Path,
    direction: str | None = None,
    size: int | None = None,
    keep_size: bool = False,
    tile: int | None = None,
    overlap: int | None = None,
    side_by_side: bool = False,
    pairs: bool = False,
    seed: int | None = None,
    recipe: str | None = None,
    report: Callable[[int, int], object] = lambda done, total: None,
) -> list[Path]:
    """Translate an image, or a folder of them, with a run's generator; what ``lossbench translate`` does.

    ``run``: its directory, or a .pth file of pytorch-CycleGAN-and-pix2pix. Images are brought to the size of the
    run (256 px for a file), or ``size`` px, square, as its test images were; with ``keep_size`` each keeps its own,
    above ``tile`` px (512) a side in tiles that ``overlap`` (a quarter of that, px). ``side_by_side``: each picture
    shows its source to the left. ``pairs``: images hold A left and B right, of which the source is translated.
    ``seed``: of networks that draw, the run's if not given. ``report(done, total)`` is called as images, or their
    tiles, are done. Returns the PNG files written to ``out``, which must be new or empty; an alpha channel is kept.
    No code is run that the run's directory names: a recipe that is a file must be given as ``recipe`` once more.

    Raises:
        LossbenchError: no run, no such direction, files that are no images, a folder that cannot be written.
            A file that turns out to be damaged when it is decoded is named at the end; the others are there.
    """
    if keep_size and size is not None:
        raise OptionError(f"--size {size} and --keep-size are both given. Give one of them.")
    if not keep_size and (tile, overlap) != (None, None):
        raise OptionError("--tile and --overlap are for images of their own size. Add --keep-size.")
    images, out = Path(images), Path(out)
    model = _model(Path(run), direction, recipe)
    size, seed = model.size if size is None else size, model.seed if seed is None else seed
    tiles = tiles_for(model.network, tile, overlap) if keep_size else None
    if not tiles:
        check_side(model.network, size, "--size")
    files = _files(images)
    files = [replace(file, part=HALVES[model.source]) for file in files] if pairs else files
    create(out)
    total = sum(tiles.count(file.height, file.across) for file in files) if tiles else len(files)
    done = count(1)

    def tick() -> None:
        report(next(done), total)

    forward = partial(tiles, model.network, done=tick) if tiles else None
    written: list[Path] = []
    bad: dict[Path, str] = {}
    for some in _batches(files, None if tiles else size, bad):
        stack = torch.from_numpy(np.stack([image.transpose(2, 0, 1) for _, (image, _) in some]))
        fakes = apply(model.network, stack, noise=model.noise, seed=seed, forward=forward)
        for (path, layers), fake in zip(some, fakes, strict=True):
            written.append(out / f"{path.stem}.png")
            write_image(written[-1], _picture(layers, fake, side_by_side))
            if not tiles:
                tick()
    refuse(bad, len(files), f"{MEND}{f' The rest is in {out}.' if written else ''}")
    return written


def _model(run: Path, direction: str | None, recipe: str | None) -> Model:
    """Return what is named: a file of another repository's, or a run's directory."""
    if run.suffix != SUFFIX or run.is_dir():
        return _of_run(run, direction, recipe)
    if direction or recipe:
        raise OptionError(f"{run} is one generator. Drop {'--direction' if direction else '--recipe'}: it is a run's.")
    return Model(read_generator(run), SIZE, noise=True, seed=0)


def _of_run(run: Path, direction: str | None, recipe: str | None) -> Model:
    config = read_record(run)["config"]
    spec = recipe_of(run, config, recipe)
    way = (direction or spec.directions[0]).replace("to", "2")  # AtoB, as some spell it
    if way not in spec.directions:
        known = ", ".join(spec.directions)
        close = near_miss(way, spec.directions) or " Leave it out." * (len(spec.directions) == 1)
        raise OptionError(f"--direction {direction}: the run has {known}.{close}")
    network = build(spec, model_of(spec, config), (), seed=0).G[way]
    load_weights(run / "weights" / f"G_{way}.safetensors", network)
    return Model(network, config["data.size"], spec.noise_at_test, config["train.seed"], way[0])


def model_of(recipe: Recipe, config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options of a run's networks."""
    return model_options(recipe, {key[6:]: value for key, value in config.items() if key.startswith("model.")})


def recipe_of(run: Path, config: Mapping[str, Any], recipe: str | None) -> Recipe:
    """Return the recipe of a run, as it was trained."""
    word = recipe or config["recipe"]
    if not recipe and is_file(word):
        raise RunError(f"{run} was trained by a recipe that is code, {word}. If you trust it: --recipe {word}")
    data = validated(DataSettings, {"direction": config.get("data.direction")}, "data")
    train = validated(TrainSettings, {"conditional": config.get("train.conditional")}, "train")
    return adapted(load("recipes", word).spec, word, data.direction, train.conditional)


def _files(images: Path) -> list[File]:
    """Look at an image, or a folder of them, before anything is decoded or written."""
    if not images.exists():
        raise DataError(f"No file or folder {images}. Name an image, or a folder of images.")
    paths = image_paths(images) if images.is_dir() else [images]
    if twice := [path.name for path in paths if sum(path.stem == other.stem for other in paths) > 1]:
        raise DataError(
            f"{' and '.join(twice[:2])} would be written to one file, {images / twice[0]}. Rename one of them."
        )
    files, bad = look(paths)
    refuse(bad, len(paths), MEND)
    return files


def _batches(files: Sequence[File], size: int | None, bad: dict[Path, str]) -> Iterator[list[tuple[Path, Layers]]]:
    """Decode a few images at a time, brought to a size; or one, if none is given. What cannot be goes into ``bad``."""
    step = BATCH if size else 1
    for start in range(0, len(files), step):
        some = files[start : start + step]
        good = []
        for file, layers in zip(some, attempt(partial(_layers, size=size), some), strict=True):
            if isinstance(layers, Unusable):
                bad[file.path] = str(layers)
            else:
                good.append((file.path, layers))
        if good:
            yield good


def _layers(file: File, size: int | None) -> Layers:
    image, opacity = decode_layers(file.path, file.sha256)
    image, opacity = part_of(image, file.part), None if opacity is None else part_of(opacity, file.part)
    if size:
        image, opacity = scaled(image, size), None if opacity is None else scaled(opacity, size)
    return image, opacity


def _picture(layers: Layers, fake: Tensor, side_by_side: bool) -> Image:
    """Return what is written, [H, W, 3] or with the source's alpha [H, W, 4]; the source to its left, if wanted."""
    source, opacity = layers
    shown = [fake.permute(1, 2, 0).numpy()]
    shown = [source, *shown] if side_by_side else shown
    return np.hstack(shown if opacity is None else [np.dstack((image, opacity)) for image in shown])
