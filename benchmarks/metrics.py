"""FID, KID and LPIPS of real folders, beside torch-fidelity, torchmetrics and lpips with the same weights.

    python benchmarks/metrics.py EMOJI FACADES         # into benchmarks/results/metrics.json
    python benchmarks/metrics.py --count 20 --out try.json   # the built-in images

A data set holds ``testA`` and ``testB``, or ``val`` and ``test``, whose first images, as many of each, are measured
against each other, as they are. Times are CPU seconds on one thread: of whole commands, features computed and
remembered; of the arithmetic alone, features given, medians of rounds in turn.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import lpips  # type: ignore[import-untyped]
import numpy as np
import torch
from lossbench_plugins.metrics._inception import TENSORFLOW
from torch import Tensor, nn
from torchmetrics.image.fid import FrechetInceptionDistance, NoTrainInceptionV3
from torchmetrics.image.kid import KernelInceptionDistance

import lossbench
from lossbench import weights
from lossbench.data import Shapes, image_paths, read_images, write_image
from lossbench.files import write_json
from lossbench.metrics import frechet
from lossbench.metrics.features import Features
from lossbench.record import environment

SIDES = (("testA", "testB"), ("val", "test"))
OURS = "from lossbench.cli import main; main()"
CONVOLUTIONS = (0, 3, 6, 8, 10)  # of AlexNet, one in each of lpips' slices
PUBLISHED = (0.0312, 0.0025)  # KID in torchmetrics' documentation: mean and deviation over subsets
THEIRS = {"fid": "frechet_inception_distance", "kid": "kernel_inception_distance_mean"}
ARITHMETIC = 300  # images
PEOPLES = ("torch-fidelity", "torchmetrics", "lpips", "torchvision")


class Given(nn.Identity):
    """A network for torchmetrics that hands features on."""

    num_features = 2048


def main() -> None:
    """Measure each data set, the documentation's example and the arithmetic."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, nargs="*")
    parser.add_argument("--count", type=int, help="images of each side, at most (all)")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "metrics.json")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    warnings.filterwarnings("ignore", message="Metric `Kernel Inception Distance`")
    warnings.filterwarnings("ignore", module="torchvision")  # which lpips calls as it once was
    with tempfile.TemporaryDirectory() as place, torch.no_grad():
        os.environ |= surroundings(Path(place))
        file = official(Path(place))
        sets = asked.data or [built_in(Path(place) / "shapes")]
        rows = [row(data, asked.count, Path(place) / "copies", file) for data in sets]
        found: dict[str, Any] = {"schema": 1, "what": "metrics", "rows": rows, "arithmetic": arithmetic(asked.rounds)}
        found["published"] = published(file)
    found["environment"] = environment("cpu", 1) | {"compared": {name: version(name) for name in PEOPLES}}
    write_json(asked.out, found)
    for each in rows:
        print(each["images"], each["n"], {name: f"{gap:.1e}" for name, gap in each["apart"].items()}, each["faster"])
    print("arithmetic", found["arithmetic"]["faster"], "published", found["published"])


def built_in(folder: Path) -> Path:
    """Write the built-in test images as files."""
    for domain, images in Shapes("shapes", 0).dataset(64, 72).test.items():
        (folder / f"test{domain}").mkdir(parents=True)
        for index, image in enumerate(images):
            write_image(folder / f"test{domain}" / f"{index:03}.png", image.permute(1, 2, 0).numpy())
    return folder


def surroundings(place: Path) -> dict[str, str]:
    """Return an environment in which nothing is remembered yet but weights."""
    names = ("fid-inception", "alexnet", "lpips-alex")
    folders = dict.fromkeys(str(weights.pull(name).parent) for name in names)
    return {
        "LOSSBENCH_WEIGHTS": os.pathsep.join(folders),
        "LOSSBENCH_CACHE": str(place / "ours"),
        "OMP_NUM_THREADS": "1",
        "PYTHONWARNINGS": "ignore",
    }


def official(place: Path) -> str:
    """Write our weights as torch-fidelity and torchmetrics take them: with a layer for classes, which is not used."""
    path = place / "inception.pth"
    classes = {"fc.weight": torch.zeros(1008, 2048), "fc.bias": torch.zeros(1008)}
    torch.save(lossbench.pretrained("fid-inception") | classes, path)
    return str(path)


def row(data: Path, count: int | None, place: Path, file: str) -> dict[str, Any]:
    """Measure a data set with everybody's."""
    sides = next(names for names in SIDES if (data / names[0]).is_dir())
    paths = [image_paths(data / side) for side in sides]
    n = min(count or sys.maxsize, *map(len, paths))
    folders = [linked(some[:n], place / data.name / side) for some, side in zip(paths, sides, strict=True)]
    values: dict[str, dict[str, float]] = {"ours": {}, "torch-fidelity": {}}
    seconds: dict[str, float] = {}
    for when in ("computed", "remembered"):
        values["ours"], seconds[f"ours, {when}"] = ours(folders)
        values["torch-fidelity"], seconds[f"torch-fidelity's, {when}"] = torch_fidelitys(folders, n, file, place)
    values["ours"] |= measured(folders)
    values["torchmetrics"] = torchmetrics(folders, n, file)
    values["lpips"] = {"lpips": package(folders)}
    return {
        "images": f"{data.name}/{sides[0]} against {sides[1]}",
        "n": n,
        "values": values,
        "apart": apart(values),
        "cpu_seconds": seconds,
        "faster": {
            when: seconds[f"torch-fidelity's, {when}"] / seconds[f"ours, {when}"] for when in ("computed", "remembered")
        },
    }


def linked(paths: Sequence[Path], folder: Path) -> Path:
    """Copy images under numbers, so that both sides have the same names."""
    folder.mkdir(parents=True)
    for index, path in enumerate(paths):
        shutil.copy(path, folder / f"{index:05}{path.suffix.lower()}")
    return folder


def apart(values: Mapping[str, Mapping[str, float]]) -> dict[str, float]:
    """Return how far ours are from the others': FID relative, the rest absolute."""
    mine = values["ours"]
    gaps = {}
    for who, theirs in values.items():
        for name, value in theirs.items() if who != "ours" else ():
            gaps[f"{name}, {who}"] = abs(mine[name] - value) / (value if name == "fid" else 1)
    return gaps


def timed(*words: object) -> tuple[str, float]:
    """Run a Python command; return what it prints, and its CPU seconds."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run([sys.executable, *map(str, words)], stdout=subprocess.PIPE, text=True, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return done.stdout, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def ours(folders: Sequence[Path]) -> tuple[dict[str, float], float]:
    """Return FID and KID of our command, and its time."""
    asked = "--metrics", "fid,kid", "--require", "fid,kid", "--json"
    out, seconds = timed("-c", OURS, "evaluate", folders[0], "--against", folders[1], *asked)
    return {name: cell["value"] for name, cell in json.loads(out)["metrics"].items()}, seconds


def torch_fidelitys(folders: Sequence[Path], n: int, file: str, place: Path) -> tuple[dict[str, float], float]:
    """Return FID and KID of torch-fidelity's command, which remembers under names, and its time."""
    asked: list[object] = ["--fid", "--kid", "--kid-subsets", 1, "--kid-subset-size", n, "--batch-size", 1, "--cpu"]
    asked += ["--json", "--silent", "--feature-extractor-weights-path", file, "--cache-root", place / "theirs"]
    for index, folder in enumerate(folders, start=1):
        name = f"{folder.parent.name}-{folder.name}"
        asked += [f"--input{index}", folder, f"--input{index}-cache-name", name]
    out, seconds = timed("-m", "torch_fidelity.fidelity", *asked)
    found = json.loads(out[out.index("{") :])
    return {name: found[key] for name, key in THEIRS.items()}, seconds


def measured(folders: Sequence[Path]) -> dict[str, float]:
    """Return LPIPS of pairs, and what a folder has against itself."""
    pairs = lossbench.evaluate(folders[0], folders[1], metrics=["lpips"], required=["lpips"])["metrics"]
    same = lossbench.evaluate(folders[0], folders[0], metrics=["fid"], required=["fid"])["metrics"]
    return {"lpips": pairs["lpips"]["value"], "fid against itself": same["fid"]["value"]}


def torchmetrics(folders: Sequence[Path], n: int, file: str) -> dict[str, float]:
    """Return FID and KID of torchmetrics, told not to smooth before it resizes."""
    network = NoTrainInceptionV3("inception", ["2048"], file, antialias=False)
    fid = FrechetInceptionDistance(feature=Given())
    kid = KernelInceptionDistance(feature=Given(), subsets=1, subset_size=n)
    for folder, real in zip(folders, (False, True), strict=True):
        seen = torch.cat([network(image) for image in images(folder)])
        fid.update(seen, real=real)
        kid.update(seen, real=real)
    return {"fid": float(fid.compute()), "kid": float(kid.compute()[0])}


def images(folder: Path) -> list[Tensor]:
    """Return the images of a folder, uint8 [1, 3, H, W] each."""
    return [torch.from_numpy(picture).permute(2, 0, 1)[None] for picture in read_images(image_paths(folder))[0]]


def package(folders: Sequence[Path]) -> float:
    """Return LPIPS of pairs by the package lpips."""
    tensors = lossbench.pretrained("alexnet")
    network = lpips.LPIPS(net="alex", pretrained=False, pnet_rand=True, verbose=False)
    network.load_state_dict(lossbench.pretrained("lpips-alex"), strict=False)
    network.net.load_state_dict(
        {
            f"slice{index}.{place}.{part}": tensors[f"features.{place}.{part}"]
            for index, place in enumerate(CONVOLUTIONS, start=1)
            for part in ("weight", "bias")
        }
    )
    pairs = zip(*map(images, folders), strict=True)
    return float(np.mean([float(network(a / 127.5 - 1, b / 127.5 - 1)) for a, b in pairs]))


def published(file: str) -> dict[str, Any]:
    """Return KID of the example in torchmetrics' documentation, by our features and its subsets."""
    torch.manual_seed(42)
    NoTrainInceptionV3("inception", ["2048"], file)  # draws as the example does before its images
    sets = [torch.randint(low, high, (100, 3, 299, 299), dtype=torch.uint8) for low, high in ((0, 200), (100, 255))]
    seen = [Features("cpu")(TENSORFLOW, list(some)).float() for some in sets]
    kid = KernelInceptionDistance(feature=Given(), subset_size=50)
    kid.update(seen[0], real=True)
    kid.update(seen[1], real=False)
    mean, deviation = map(float, kid.compute())
    return {"kid": (mean, deviation), "published": PUBLISHED, "n": len(sets[0])}


def arithmetic(rounds: int) -> dict[str, Any]:
    """Compare the time from features to FID with torchmetrics'."""
    draw = torch.Generator().manual_seed(0)
    x, y = (torch.randn(ARITHMETIC, 2048, generator=draw).relu() for _ in range(2))
    theirs = FrechetInceptionDistance(feature=Given(), compute_with_cache=False)
    theirs.update(x, real=False)
    theirs.update(y, real=True)
    ways: dict[str, Callable[[], float]] = {
        "ours": lambda: frechet(x, y),
        "torchmetrics": lambda: float(theirs.compute()),
    }
    seconds: dict[str, list[float]] = {who: [] for who in ways}
    values = {}
    for _ in range(rounds):
        for who, compute in ways.items():
            began = time.process_time()
            values[who] = compute()
            seconds[who].append(time.process_time() - began)
    middle = {who: statistics.median(some) for who, some in seconds.items()}
    return {
        "n": ARITHMETIC,
        "rounds": rounds,
        "values": values,
        "cpu_seconds": middle,
        "faster": middle["torchmetrics"] / middle["ours"],
    }


if __name__ == "__main__":
    main()
