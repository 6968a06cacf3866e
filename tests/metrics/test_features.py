"""What a network sees: computed once for the same pixels, whoever asks, and remembered if a disk lets it."""

from __future__ import annotations

import os
from collections.abc import Callable

import pytest
import torch
from filelock import FileLock
from torch import Tensor

from lossbench.metrics import Space
from lossbench.metrics import features as module
from lossbench.metrics.features import BATCH, Features, place


class Toy:
    """A network that says what it was given."""

    def __init__(self) -> None:
        self.built = 0
        self.batches: list[tuple[int, ...]] = []

    def build(self, device: torch.device) -> Callable[[Tensor], Tensor]:
        self.built += 1

        def see(images: Tensor) -> Tensor:
            self.batches.append(tuple(images.shape))
            return images.float().mean((2, 3)) + 1 / 3

        return see

    def space(self, weights: str = "alexnet", preprocessing: str = "none") -> Space:
        return Space(weights, preprocessing, self.build)


@pytest.fixture
def toy() -> Toy:
    return Toy()


def images(count: int = 3, side: int = 4, seed: int = 0) -> Tensor:
    draw = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (count, 3, side, side), generator=draw, dtype=torch.uint8)


def test_they_are_one_row_for_each_image_in_float64(toy):
    given = images()
    found = Features("cpu")(toy.space(), given)
    assert found.dtype == torch.float64
    torch.testing.assert_close(found, (given.float().mean((2, 3)) + 1 / 3).double(), rtol=0, atol=0)


def test_the_same_images_are_seen_once(toy):
    features, given = Features("cpu"), images()
    assert features(toy.space(), given) is features(toy.space(), given)
    assert len(toy.batches) == 1


def test_they_are_remembered_on_disk_to_the_bit(toy):
    one, other = (Features("cpu")(toy.space(), images()) for _ in range(2))
    torch.testing.assert_close(one, other, rtol=0, atol=0)
    assert (toy.built, len(toy.batches)) == (1, 1)


@pytest.mark.parametrize(
    "change",
    [
        lambda toy: (toy.space(), images(seed=1)),
        lambda toy: (toy.space(), images().flip(0)),
        lambda toy: (toy.space(), images()[:2]),
        lambda toy: (toy.space(), images().reshape(3, 3, 2, 8)),
        lambda toy: (toy.space(preprocessing="other"), images()),
        lambda toy: (toy.space(weights="vgg16"), images()),
    ],
    ids=["pixels", "order", "count", "shape", "preprocessing", "weights"],
)
def test_what_they_depend_on_is_computed_again(toy, change):
    Features("cpu")(toy.space(), images())
    space, given = change(toy)
    found = Features("cpu")(space, given)
    assert len(toy.batches) == 2
    torch.testing.assert_close(found, (given.float().mean((2, 3)) + 1 / 3).double(), rtol=0, atol=0)


def test_one_pixel_is_enough(toy):
    Features("cpu")(toy.space(), images())
    other = images()
    other[2, 1, 3, 3] ^= 1
    Features("cpu")(toy.space(), other)
    assert len(toy.batches) == 2


def test_a_list_and_a_tensor_of_the_same_images_are_the_same(toy):
    Features("cpu")(toy.space(), images())
    Features("cpu")(toy.space(), list(images()))
    assert len(toy.batches) == 1


def test_two_spaces_at_once_are_kept_apart(toy):
    features, given = Features("cpu"), images()
    features(toy.space(), given)
    features(toy.space(preprocessing="other"), given)
    assert toy.built == 2


@pytest.mark.parametrize("harm", [b"", b"not a tensor", None])
def test_a_damaged_file_is_made_again(toy, harm):
    expected = Features("cpu")(toy.space(), images())
    (kept,) = place().glob("*.safetensors")
    content = kept.read_bytes()
    kept.write_bytes(content[:-1] + bytes([content[-1] ^ 1]) if harm is None else harm)
    torch.testing.assert_close(Features("cpu")(toy.space(), images()), expected, rtol=0, atol=0)
    assert len(toy.batches) == 2
    assert kept.read_bytes() == content


def test_without_a_place_to_keep_them_they_are_computed(toy, cache, monkeypatch):
    (cache / "file").touch()
    monkeypatch.setenv("LOSSBENCH_CACHE", str(cache / "file"))
    for _ in range(2):
        Features("cpu")(toy.space(), images())
    assert len(toy.batches) == 2


def test_on_a_full_disk_they_are_computed(toy, monkeypatch):
    def full(*_, **__):
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr(module, "write_file", full)
    assert len(Features("cpu")(toy.space(), images())) == 3


def test_a_process_waits_for_one_that_computes_the_same(toy, monkeypatch):
    held = []
    monkeypatch.setattr(FileLock, "acquire", lambda self, *_, **__: held.append(self.lock_file))
    Features("cpu")(toy.space(), images())
    assert held == [str(place() / f".{next(place().glob('*.safetensors')).stem.rpartition('-')[0]}.lock")]


def test_batches_have_one_size_and_at_most_so_many_images(toy):
    given = [*images(BATCH + 2), *images(2, side=5), *images(1)]
    found = Features("cpu")(toy.space(), given)
    assert toy.batches == [(BATCH, 3, 4, 4), (2, 3, 4, 4), (2, 3, 5, 5), (1, 3, 4, 4)]
    expected = torch.stack([image.float().mean((1, 2)) + 1 / 3 for image in given]).double()
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-4)


def test_convolutions_are_not_shortened_while_it_looks(monkeypatch):
    seen = []

    def build(device):
        def see(images):
            seen.append((torch.backends.cudnn.allow_tf32, torch.backends.cudnn.deterministic))
            return images.float().mean((2, 3))

        return see

    before = torch.backends.cudnn.allow_tf32, torch.backends.cudnn.deterministic
    Features("cpu")(Space("alexnet", "none", build), images())
    assert seen == [(False, True)]
    assert (torch.backends.cudnn.allow_tf32, torch.backends.cudnn.deterministic) == before
