"""From images to images with trained networks, and two folders beside each other."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from lossbench import rng
from lossbench.checkpoint import load_weights
from lossbench.config import model_options
from lossbench.data import image_paths, read_images, refuse, resized, to_tensor, to_uint8, write_image
from lossbench.errors import DataError, OptionError, RunError, near_miss
from lossbench.files import create
from lossbench.hookspecs import Recipe
from lossbench.metrics import METRICS, judge
from lossbench.networks import Network, build, check
from lossbench.record import read_record
from lossbench.registry import is_file, load

BATCH = 8


def apply(network: Network, images: Tensor, *, noise: bool, seed: int) -> Tensor:
    """Translate uint8 [N, 3, H, W] -> the same, in eval mode, or with ``noise`` under a stream of its own."""
    was_training = network.training
    parameter = next(network.parameters())
    network.train(noise)
    with torch.no_grad(), rng.isolated(seed, "translate"):
        fakes = [to_uint8(network(to_tensor(some).to(parameter))) for some in images.split(BATCH)]
    network.train(was_training)
    return torch.cat(fakes)


def translate(
    run: str | Path,
    images: str | Path,
    *,
    direction: str = "A2B",
    out: str | Path,
    size: int | None = None,
    recipe: str | None = None,
) -> list[Path]:
    """Translate an image, or a folder of them, with a run's generator; what ``lossbench translate`` does.

    Images are brought to the size of the run, or ``size`` px, square, as its test images were. Returns the PNG files
    written to ``out``, which must be new or empty. No code is run that the run's directory names: a recipe that is a
    file must be given as ``recipe`` once more.

    Raises:
        LossbenchError: no run, no such direction, files that are no images, a folder that cannot be written.
    """
    run, images, out = Path(run), Path(images), Path(out)
    config = read_record(run)["config"]
    word = recipe or config["recipe"]
    if not recipe and is_file(word):
        raise RunError(f"{run} was trained by a recipe that is code, {word}. If you trust it: --recipe {word}")
    spec: Recipe = load("recipes", word).spec
    if direction not in spec.directions:
        known = ", ".join(spec.directions)
        raise OptionError(f"--direction {direction}: the run has {known}.{near_miss(direction, spec.directions)}")
    model = model_options(spec, {key[6:]: value for key, value in config.items() if key.startswith("model.")})
    network = build(spec, model, (), seed=0).G[direction]
    load_weights(run / "weights" / f"G_{direction}.safetensors", network)
    size = config["data.size"] if size is None else size
    check(spec, model, size)
    paths = image_paths(images) if images.is_dir() else [images]
    if not images.exists():
        raise DataError(f"No file or folder {images}. Name an image, or a folder of images.")
    if twice := [path.name for path in paths if sum(path.stem == other.stem for other in paths) > 1]:
        raise DataError(
            f"{' and '.join(twice[:2])} would be written to one file, {images / twice[0]}. Rename one of them."
        )
    read, bad = read_images(paths)
    refuse(bad, len(paths), "Mend or remove them.")
    create(out)
    sized = resized(read, size)
    fakes = apply(network, sized, noise=spec.noise_at_test, seed=config["train.seed"])
    written = []
    for path, fake in zip(paths, fakes, strict=True):
        written.append(out / f"{path.stem}.png")
        write_image(written[-1], fake.permute(1, 2, 0).numpy())
    return written


def evaluate(images: str | Path, against: str | Path, *, source: str | Path | None = None) -> dict[str, Any]:
    """Judge a folder of images by another that holds the truth under the same file names, stem by stem.

    ``source``: the images that were translated, for the error of their shape. All are brought to the size of
    ``images``' first. Returns ``{"metrics": {"l1": {"value": ..., "n": ..., "unit": ..., "better": ...}, ...}}``.

    Raises:
        DataError: folders without images, without partners, or with files that are no images.
    """
    folders = {"images": Path(images), "against": Path(against), **({"source": Path(source)} if source else {})}
    paths = {name: {path.stem: path for path in image_paths(folder)} for name, folder in folders.items()}
    stems = sorted(paths["images"])
    for name, found in paths.items():
        if alone := sorted(set(stems) - set(found)):
            raise DataError(f"{folders[name]} has no image named {alone[0]}, which {folders['images']} has.")
    pictures = {name: read_images([found[stem] for stem in stems]) for name, found in paths.items()}
    bad = {path: reason for _, unread in pictures.values() for path, reason in unread.items()}
    refuse(bad, len(stems) * len(paths), "Mend or remove them.")
    size = pictures["images"][0][0].shape[0]
    stacks = {name: resized(some, size) for name, (some, _) in pictures.items()}
    values = judge(stacks["images"], truth=stacks["against"], real=stacks.get("source"))
    meaning = {name: {"unit": metric.unit, "better": metric.better} for name, metric in METRICS.items()}
    return {"metrics": {name: {**value, **meaning[name]} for name, value in values.items()}}
