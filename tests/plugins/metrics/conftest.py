"""What tests of metrics share: figures whose values are known, images of mixed content, and Inception run once."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from lossbench.data import write_image
from lossbench.metrics import chosen, measure
from lossbench.metrics.features import Features
from tests.plugins.test_backbones import shrink

SIZE = 64
SIZES = ((48, 48), (64, 40), (120, 160), (310, 330))  # px, smaller and larger than Inception's


def measured(name: str, **given: Any) -> dict[str, Any]:
    """Return a metric's value, n and reason."""
    return measure(chosen([name]), given)[name]


def value(name: str, **given: Any) -> float:
    return measured(name, **given)["value"]


def plain(*levels: int) -> Tensor:
    """Return grey images [N, 3, 64, 64]."""
    return torch.stack([torch.full((3, SIZE, SIZE), level, dtype=torch.uint8) for level in levels])


def coloured(*colours: tuple[int, int, int], size: int = 8) -> Tensor:
    return torch.tensor(colours, dtype=torch.uint8)[:, :, None, None].expand(-1, -1, size, size)


def disc(radius: float, x: float = 16, y: float = 16, squash: float = 1.0) -> Tensor:
    """A white ellipse of this half width, in 32nds of the side, on black."""
    at = (torch.arange(SIZE) + 0.5) * 32 / SIZE
    inside = ((at[None, :] - x) ** 2 + ((at[:, None] - y) * squash) ** 2) <= radius**2
    return (inside * 255).to(torch.uint8).expand(1, 3, SIZE, SIZE)


def smooth(seed: int, count: int, height: int = 40, width: int = 40) -> Tensor:
    """Return images of smooth colours, [N, 3, H, W]."""
    draw = torch.Generator().manual_seed(seed)
    coarse = torch.rand(count, 3, 6, 6, generator=draw)
    found = torch.nn.functional.interpolate(coarse, (height, width), mode="bicubic")
    return found.clamp(0, 1).mul(255).to(torch.uint8)


@pytest.fixture(scope="session")
def pair() -> tuple[Tensor, Tensor]:
    """Two images of smooth colours with little and much noise, and without."""
    truth = smooth(0, 2)
    noise = torch.randn(truth.shape, generator=torch.Generator().manual_seed(1)) * torch.tensor([5.0, 25.0]).view(
        2, 1, 1, 1
    )
    return (truth + noise).clamp(0, 255).to(torch.uint8), truth


def narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give LPIPS a small network with random weights."""
    monkeypatch.setattr("lossbench_plugins.metrics._lpips.backbone", shrink(monkeypatch))


# What Inception sees, once --------------------------------------------------------------------------------------------


def mixed(seed: int) -> list[Tensor]:
    """Return 12 images of several sizes: smooth ones, discs on them, noise."""
    found = []
    for n in range(12):
        image = smooth(100 * seed + n, 1, *SIZES[n % len(SIZES)])[0]
        draw = torch.Generator().manual_seed(100 * seed + n)
        if n % 3 == 1:
            image = image // 2 + torch.randint(0, 100 + 20 * seed, image.shape, generator=draw, dtype=torch.uint8)
        if n % 3 == 2:
            image[:, n : n + 20, 5 : 20 + 5 * seed] = 255 - 40 * n % 256
        found.append(image)
    return found


@pytest.fixture(scope="session")
def sets() -> tuple[list[Tensor], list[Tensor]]:
    return mixed(1), mixed(2)


@pytest.fixture(scope="session")
def few() -> dict[str, tuple[Tensor, Tensor]]:
    """Return small sets of images that need no resizing, and that do."""
    return {
        "as they are": (smooth(0, 3, 299, 299), smooth(1, 3, 299, 299)),
        "resized": (smooth(0, 3, 340, 330), smooth(1, 3, 340, 330)),
    }


@pytest.fixture(scope="session")
def remembered() -> Features:
    return Features("cpu")


@pytest.fixture
def features(remembered, real_weights) -> Features:
    """Return what networks see, each set once in a session."""
    for name in ("fid-inception", "efficientnet-lite0"):
        real_weights(name)
    return remembered


@pytest.fixture(scope="session")
def official(tmp_path_factory) -> Callable[[dict[str, Tensor]], str]:
    """Return a writer of our weights as the file that torch-fidelity and torchmetrics take."""
    path = tmp_path_factory.mktemp("inception") / "inception.pth"

    def write(tensors: dict[str, Tensor]) -> str:
        if not path.exists():
            torch.save(tensors | {"fc.weight": torch.zeros(1008, 2048), "fc.bias": torch.zeros(1008)}, path)
        return str(path)

    return write


@pytest.fixture(scope="session")
def answers() -> dict[str, Any]:
    return {}


@pytest.fixture
def command(answers, sets, official, real_weights, tmp_path) -> dict[str, float]:
    """Return what torch-fidelity's command prints of both sets, run once in a session."""
    if "command" not in answers:
        for name, images in zip("ab", sets, strict=True):
            write_all(tmp_path / name, images)
        words = [
            "--fid", "--kid", "--kid-subsets", "1", "--kid-subset-size", len(sets[0]), "--batch-size", "1", "--cpu",
            "--json", "--silent", "--no-cache", "--input1", tmp_path / "a", "--input2", tmp_path / "b",
            "--feature-extractor-weights-path", official(real_weights("fid-inception")),
        ]  # fmt: skip
        done = subprocess.run(
            [sys.executable, "-m", "torch_fidelity.fidelity", *map(str, words)], capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
        answers["command"] = json.loads(done.stdout[done.stdout.index("{") :])
    return answers["command"]


def write_all(folder: Path, images: list[Tensor]) -> None:
    folder.mkdir()
    for n, image in enumerate(images):
        write_image(folder / f"{n:02}.png", image.permute(1, 2, 0).numpy())


@pytest.fixture
def theirs(answers, sets, official, real_weights) -> list[Tensor]:
    """Return torchmetrics' features of both sets with our weights, computed once in a session.

    By default torchmetrics smooths before it resizes, as nobody's FID does.
    """
    if "torchmetrics" not in answers:
        from torchmetrics.image.fid import NoTrainInceptionV3

        network = NoTrainInceptionV3("a", ["2048"], official(real_weights("fid-inception")), antialias=False)
        answers["torchmetrics"] = [torch.cat([network(image[None]) for image in images]) for images in sets]
    return answers["torchmetrics"]


class Given(torch.nn.Identity):
    """A network for torchmetrics that hands features on."""

    num_features = 2048
