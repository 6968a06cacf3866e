"""Two folders of images, or a run and its own test images, measured: `lossbench evaluate`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from lossbench.checkpoint import load_weights
from lossbench.data import image_paths, read_images, refuse
from lossbench.data.images import scaled
from lossbench.errors import DataError, OptionError, RunError
from lossbench.files import held, write_json
from lossbench.metrics import Images, chosen, measure, require, unavailable
from lossbench.networks import build
from lossbench.outcome import Closing
from lossbench.prepare import check_device, source_of
from lossbench.record import environment, read_record
from lossbench.registry import is_file
from lossbench.translation import MEND, model_of, recipe_of

FOLDERS = ("l1", "psnr", "ssim", "fid", "kid")


def evaluate(
    images: str | Path,
    against: str | Path | None = None,
    *,
    source: str | Path | None = None,
    metrics: Sequence[str] | None = None,
    required: Sequence[str] = (),
    device: str = "cpu",
    record: bool = False,
    recipe: str | None = None,
) -> dict[str, Any]:
    """Measure a folder of images against another, or a run on its own test images; what ``lossbench evaluate`` does.

    ``images``: a folder of translations, or a run's directory. ``against``: a folder of real images of the target
    domain; where it has one of each translation's file name, stem by stem, that is the truth, brought to the size of
    its translation. ``source``: the images that were translated, paired the same way. ``metrics``: names or files;
    ``required``: those without which nothing is measured. ``record``: write a run's values into its run.json, beside
    those of other metrics. No code is run that the run's directory names: a recipe, or a metric, that is a file must be
    given once more, as ``recipe`` or among ``metrics``.

    Returns ``metrics``, name -> value, n, unit, better, protocol, weights; for a run direction -> ``translation``,
    ``copy`` and ``floor`` -> the same; and ``environment``. What cannot be measured has the value None and a
    ``reason``.

    Raises:
        LossbenchError: no images, files that are none, a metric that does not exist or is required and unavailable.
    """
    images = Path(images)
    check_device(device)
    if is_run(images):
        if against is not None or source is not None:
            raise OptionError(f"{images} is a run, which has its own test images. Leave --against and --source out.")
        return _of_run(images, metrics, required, device, record, recipe)
    if record:
        raise OptionError(f"{images} is a folder of images, which has no record to write into. Leave --record out.")
    if recipe is not None:
        raise OptionError(f"{images} is a folder of images, which no recipe was trained on. Leave --recipe out.")
    if (images / "suite.toml").is_file():
        raise OptionError(
            f"{images} is a bench. Name one of its runs: {images / 'cells'}/RUN, or look at its report.json."
        )
    if against is None:
        raise OptionError(f"{images} holds no run.json, so it is a folder of images. Name another: --against DIR")
    wanted = chosen(FOLDERS if metrics is None else metrics)
    reasons = unavailable(wanted)
    require(required, reasons)
    folders = {"fake": images, "target": Path(against)} | ({"real": Path(source)} if source else {})
    found = _read(folders)
    given: dict[str, Any] = {"fake": list(found["fake"].values()), "target": list(found["target"].values())}
    lacking = {"real": "the images that were translated are not named: --source DIR", "truth": ""}
    for name, side in (("truth", "target"), ("real", "real")):
        if side in found:
            if alone := sorted(set(found["fake"]) - set(found[side])):
                lacking[name] = f"{folders[side]} has no image named {alone[0]}, which {images} has"
            else:
                given[name] = _like(found["fake"], found[side])
    values = measure(wanted, given, lacking=lacking, without=reasons, device=device)
    _require_values(required, values)
    return {"metrics": values, "environment": environment(device, torch.get_num_threads())}


def is_run(folder: Path) -> bool:
    """Return whether a folder is a run's."""
    return (folder / "run.json").is_file()


def _of_run(
    directory: Path, words: Sequence[str] | None, required: Sequence[str], device: str, keep: bool, word: str | None
) -> dict[str, Any]:
    """Measure a run by its generators; no loss of it is loaded."""
    record = read_record(directory)
    config = record["config"]
    wanted = chosen(_own(directory, config["metrics"]) if words is None else words)
    require(required, unavailable(wanted))
    recipe = recipe_of(directory, config, word)
    data = source_of(config, recipe).dataset(config["data.size"], config["data.load_size"])
    if data.fingerprint != record["dataset"]["fingerprint"]:
        raise RunError(f"The images in {config['data.dir']} are not those that {directory} was trained on.")
    networks = build(recipe, model_of(recipe, config), (), seed=0)
    for direction, network in networks.G.items():
        load_weights(directory / "weights" / f"G_{direction}.safetensors", network)
        network.to(device)
    values = Closing(networks, recipe, data, config["train.seed"], torch.device(device))(wanted)
    for all_of in values.values():
        _require_values(required, all_of["translation"])
    if keep:
        with held(directory):
            named = list(dict.fromkeys([*config["metrics"], *(each.word for each in wanted)]))
            known = {"config": {**config, "metrics": named}, "metrics": _beside(record.get("metrics", {}), values)}
            write_json(directory / "run.json", record | known)
    return {"metrics": values, "environment": environment(device, torch.get_num_threads())}


def _own(directory: Path, words: Sequence[str]) -> Sequence[str]:
    """Return the metrics that a run names, unless they are code."""
    if files := [word for word in words if is_file(word.partition("@")[0])]:
        named = ",".join(words)
        raise RunError(
            f"{directory} was measured by a metric that is code, {files[0]}. If you trust it: --metrics {named}"
        )
    return words


def _beside(before: Mapping[str, Any], now: Mapping[str, Any]) -> dict[str, Any]:
    """Return what is measured now, by direction, what and metric, and of what was before the rest."""
    return {
        way: {what: before.get(way, {}).get(what, {}) | some.get(what, {}) for what in {**before.get(way, {}), **some}}
        for way, some in now.items()
    }


def _require_values(required: Sequence[str], values: Mapping[str, Mapping[str, Any]]) -> None:
    """Refuse what was required and could not be measured."""
    require(required, {name: cell["reason"] for name, cell in values.items() if cell["value"] is None})
    if strange := [name for name in required if name not in values]:
        raise OptionError(f"--require {strange[0]}: it is not measured. Add it: --metrics {strange[0]}")


def _read(folders: Mapping[str, Path]) -> dict[str, dict[str, Tensor]]:
    """Return images [3, H, W] of each folder, as they are, by stem."""
    found: dict[str, dict[str, Tensor]] = {}
    bad: dict[Path, str] = {}
    count = 0
    for name, folder in folders.items():
        paths = image_paths(folder)
        names = Counter(path.stem for path in paths)
        if twice := [name for name in names if names[name] > 1]:
            raise DataError(f"{folder} has two images named {twice[0]}. Rename one of them.")
        pictures, unread = read_images(paths)
        bad |= unread
        count += len(paths)
        good = [path.stem for path in paths if path not in unread]
        found[name] = {stem: _tensor(picture) for stem, picture in zip(good, pictures, strict=True)}
    refuse(bad, count, MEND)
    return found


def _like(fakes: Mapping[str, Tensor], others: Mapping[str, Tensor]) -> Images:
    """Return the partner of each image, at its size."""
    return [_sized(others[stem], fake) for stem, fake in fakes.items()]


def _sized(image: Tensor, like: Tensor) -> Tensor:
    if image.shape == like.shape:
        return image
    return _tensor(scaled(image.permute(1, 2, 0).numpy(), like.shape[2], like.shape[1]))


def _tensor(picture: Any) -> Tensor:
    return torch.from_numpy(picture).permute(2, 0, 1).contiguous()
