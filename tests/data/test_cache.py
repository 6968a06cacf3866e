"""The cache of decoded images: each is decoded once, and nothing that is damaged is believed."""

from __future__ import annotations

import hashlib
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image as Pillow

from lossbench.data import cache as store
from lossbench.data import read_images, resized
from lossbench.data.images import look

SIZE = 8


def draw(path: Path, seed: int) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (10, 12, 3), dtype=np.uint8)
    Pillow.fromarray(pixels).save(path)
    return path


def looked_at(paths):
    found, bad = look(sorted(paths))
    assert not bad
    return found


def pixels_of(paths) -> torch.Tensor:
    return resized(read_images(sorted(paths))[0], SIZE)


@pytest.fixture
def images(tmp_path):
    """Return the paths of three images."""
    return [draw(tmp_path / "data" / f"{index}.png", index) for index in range(3)]


@pytest.fixture
def decoded_files(monkeypatch):
    """Return the list of what is decoded, as it grows."""
    seen, decode = [], store.decode

    def counted(path, *more):
        seen.append(path)
        return decode(path, *more)

    monkeypatch.setattr(store, "decode", counted)
    return seen


def held() -> tuple[Path, Path]:
    """Return the two files of the only entry: what it says, and the pixels."""
    (meta,) = store.place().glob("*.json")
    return meta, meta.with_suffix(".uint8")


def kept() -> set[str]:
    """Return the endings of what is in the cache, less locks."""
    return {path.suffix for path in store.place().iterdir()} - {".lock"}


# What is kept ---------------------------------------------------------------------------------------------------------


def test_an_image_is_decoded_once_and_as_it_would_be_afresh(images, decoded_files):
    first, second = (store.decoded(looked_at(images), SIZE, "x") for _ in range(2))
    assert sorted(decoded_files) == images
    for tensor, bad, note in (first, second):
        assert torch.equal(tensor, pixels_of(images))
        assert (bad, note) == ({}, "")


def test_another_name_time_or_place_of_the_same_images_is_the_same_entry(images, decoded_files, tmp_path):
    store.decoded(looked_at(images), SIZE, "x")
    decoded_files.clear()
    others = [Path(shutil.copyfile(path, tmp_path / f"other-{path.name}")) for path in images]
    os.utime(others[0], (1, 1))
    tensor, _, _ = store.decoded(looked_at(others), SIZE, "y")
    assert torch.equal(tensor, pixels_of(images))
    assert not decoded_files


@pytest.mark.parametrize("change", ["content", "size", "order", "number"])
def test_other_images_or_another_size_are_another_entry(images, decoded_files, change):
    files, size = looked_at(images), SIZE
    store.decoded(files, size, "x")
    decoded_files.clear()
    if change == "content":
        draw(images[1], seed=9)
        files = looked_at(images)
    elif change == "size":
        size = SIZE + 1
    else:
        files = files[::-1] if change == "order" else files[:2]
    tensor, _, _ = store.decoded(files, size, "x")
    assert len(decoded_files) == len(files)
    assert torch.equal(tensor, resized(read_images([file.path for file in files])[0], size))


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_images_are_mapped_from_the_disk_and_not_held_in_memory(images):
    tensor, _, _ = store.decoded(looked_at(images), SIZE, "x")
    maps = Path("/proc/self/maps").read_text("utf-8")
    (line,) = [line for line in maps.splitlines() if line.endswith(str(held()[1]))]
    first, last = (int(number, 16) for number in line.split()[0].split("-"))
    assert first <= tensor.data_ptr() < last


def test_writing_to_the_tensor_changes_nothing_on_disk(images):
    tensor, _, _ = store.decoded(looked_at(images), SIZE, "x")
    before = held()[1].read_bytes()
    tensor.fill_(7)
    assert held()[1].read_bytes() == before
    assert torch.equal(store.decoded(looked_at(images), SIZE, "x")[0], pixels_of(images))


def test_nothing_is_written_beside_the_images(images, tmp_path):
    def state():
        return {path: (path.stat().st_mtime_ns, path.stat().st_size) for path in (tmp_path / "data").rglob("*")}

    before = state()
    store.decoded(looked_at(images), SIZE, "x")
    assert state() == before


def test_what_is_unusable_is_remembered_with_its_reason(images, decoded_files):
    whole = images[1].read_bytes()
    images[1].write_bytes(whole[: len(whole) // 2])
    files = looked_at(images)
    first, second = (store.decoded(files, SIZE, "x") for _ in range(2))
    assert len(decoded_files) == 3
    for tensor, bad, _ in (first, second):
        assert torch.equal(tensor, pixels_of([images[0], images[2]]))
        assert bad == {images[1]: "image file is truncated"}


def test_of_images_that_are_all_unusable_nothing_is_kept(images):
    for path in images:
        path.write_bytes(path.read_bytes()[:-100])
    tensor, bad, _ = store.decoded(looked_at(images), SIZE, "x")
    assert tensor.shape == (0, 3, SIZE, SIZE)
    assert sorted(bad) == images
    assert not store.entries()


def test_a_file_that_cannot_be_opened_for_a_moment_is_not_unusable_for_ever(images):
    files = looked_at(images)
    aside = images[1].rename(images[1].with_suffix(".aside"))
    assert list(store.decoded(files, SIZE, "x")[1]) == [images[1]]
    aside.rename(images[1])
    tensor, bad, _ = store.decoded(looked_at(images), SIZE, "x")
    assert not bad
    assert torch.equal(tensor, pixels_of(images))


def test_a_file_that_changes_while_it_is_read_does_not_take_the_place_of_what_it_was(images):
    files, before = looked_at(images), images[1].read_bytes()
    draw(images[1], seed=9)
    store.decoded(files, SIZE, "x")
    images[1].write_bytes(before)
    assert torch.equal(store.decoded(looked_at(images), SIZE, "x")[0], pixels_of(images))


def test_the_place_is_the_systems_unless_named(monkeypatch, tmp_path):
    monkeypatch.setenv("LOSSBENCH_CACHE", str(tmp_path))
    assert store.place() == tmp_path / "images"
    monkeypatch.setenv("LOSSBENCH_CACHE", "")
    monkeypatch.setattr("lossbench.files.user_cache_path", lambda name: tmp_path / "system" / name)
    assert store.place() == tmp_path / "system" / "lossbench" / "images"


# Damage ---------------------------------------------------------------------------------------------------------------


def flip(meta: Path, pixels: Path) -> None:
    content = bytearray(pixels.read_bytes())
    content[len(content) // 2] ^= 1
    pixels.write_bytes(content)


def fact(**facts):
    """Return a damager that puts facts into what the entry says of itself."""
    return lambda meta, pixels: meta.write_text(json.dumps(json.loads(meta.read_text("utf-8")) | facts), "utf-8")


def said(content: bytes):
    return lambda meta, pixels: meta.write_bytes(content)


DAMAGE = {
    "pixel flipped": flip,
    "pixels cut": lambda meta, pixels: os.truncate(pixels, 100),
    "pixels empty": lambda meta, pixels: os.truncate(pixels, 0),
    "pixels longer": lambda meta, pixels: pixels.write_bytes(pixels.read_bytes() + b"\0"),
    "pixels missing": lambda meta, pixels: pixels.unlink(),
    "pixels a link to nowhere": lambda meta, pixels: (pixels.unlink(), pixels.symlink_to("nowhere")),
    "facts missing": lambda meta, pixels: meta.unlink(),
    "facts empty": said(b""),
    "facts cut": lambda meta, pixels: os.truncate(meta, 40),
    "facts garbage": said(b"\x00\xff\xfe garbage"),
    "facts a list": said(b"[]"),
    "facts null": said(b"null"),
    "facts without keys": said(b"{}"),
    "facts too deep": said(b"[" * 100_000),
    "n negative": fact(n=-3),
    "n less": fact(n=2),
    "n huge": fact(n=10**30),
    "n comes round": fact(n=3 + 2**58),  # 2**58 * 3 * 8 * 8 bytes are 0 in 64 bits
    "n endless": fact(n=float("inf")),
    "n no number": fact(n=float("nan")),
    "n a word": fact(n="three"),
    "n null": fact(n=None),
    "sha256 another": fact(sha256="0" * 64),
    "sha256 a number": fact(sha256=5),
    "bad a list": fact(bad=["0"]),
    "bad a word": fact(bad={"one": "x"}),
    "bad one of those that are there": fact(bad={"1": "x"}),
    "bad out of range": fact(bad={"3": "x"}),
    "bad negative": fact(bad={"-1": "x"}),
    "part left over": lambda meta, pixels: (meta.unlink(), (meta.parent / f".{pixels.name}.part").write_bytes(b"x")),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_entry_is_made_again(images, decoded_files, damage):
    files = looked_at(images)
    store.decoded(files, SIZE, "x")
    meta, pixels = held()
    DAMAGE[damage](meta, pixels)
    decoded_files.clear()
    for _ in range(2):
        tensor, bad, note = store.decoded(files, SIZE, "x")
        assert torch.equal(tensor, pixels_of(images))
        assert (bad, note) == ({}, "")
    assert sorted(decoded_files) == images  # by the first of the two
    assert not list(store.place().glob(".*.part"))


@pytest.mark.parametrize("damage", ["facts garbage", "facts a list", "facts too deep", "n endless", "pixels missing"])
def test_a_damaged_entry_does_not_hide_the_others(images, damage):
    store.decoded(looked_at(images), SIZE, "damaged")
    DAMAGE[damage](*held())
    store.decoded(looked_at(images[:2]), SIZE, "whole")
    assert [entry.facts.name for entry in store.entries()] == ["whole"]


# Processes ------------------------------------------------------------------------------------------------------------

START = """
import hashlib, os, signal, sys
from pathlib import Path
from lossbench.data import cache as store
from lossbench.data.images import look
files, _ = look([Path(word) for word in sys.argv[1:]])
"""
AT_ONCE = """
wait, go = os.pipe()
for number in range(4):
    if os.fork() == 0:
        os.close(go)
        os.read(wait, 1)  # until the parent closes its end
        tensor, bad, note = store.decoded(files, 8, "x")
        assert not bad and not note, (bad, note)
        os.write(1, hashlib.sha256(tensor.numpy().data).hexdigest().encode() + b"\\n")
        os._exit(0)
os.close(go)
ends = [os.waitstatus_to_exitcode(os.wait()[1]) for _ in range(4)]
sys.exit(any(ends))
"""
DIE = """
def die(*_): os.kill(os.getpid(), signal.SIGKILL)
def one_and_die(read, items): yield read(items[0]); die()
"""
DEATHS = {  # what is done to die there, and what is left
    "in the pixels": ("store.attempt = one_and_die", ".part"),
    "before the facts": ("store.write_json = die", ".uint8"),
}


def python(code: str, images) -> subprocess.CompletedProcess:
    return subprocess.run([sys.executable, "-c", START + code, *images], capture_output=True, text=True, timeout=60)


def test_processes_that_build_an_entry_at_once_all_get_the_right_pixels(images):
    done = python(AT_ONCE, images)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == [hashlib.sha256(pixels_of(images).numpy().data).hexdigest()] * 4
    held()  # one entry


@pytest.mark.parametrize("moment", DEATHS)
def test_what_a_killed_process_leaves_is_not_believed(images, moment):
    code, left = DEATHS[moment]
    done = python(f"{DIE}{code}\nstore.decoded(files, 8, 'x')", images)
    assert (done.returncode, done.stderr) == (-signal.SIGKILL, "")
    assert kept() == {left}
    tensor, bad, note = store.decoded(looked_at(images), SIZE, "x")
    assert torch.equal(tensor, pixels_of(images))
    assert (bad, note) == ({}, "")
    assert kept() == {".uint8", ".json"}


# Places that cannot be written ----------------------------------------------------------------------------------------


def occupied(path: Path) -> Path:
    path.write_text("a file")
    return path


def read_only(path: Path) -> Path:
    path.mkdir(mode=0o555)
    if os.access(path, os.W_OK):
        pytest.skip("root can write anywhere")
    return path


PLACES = {
    "a file": occupied,
    "read-only": read_only,
    "impossible": lambda path: Path("/proc/nowhere"),
}


def assert_read_without_cache(images) -> None:
    images[1].write_bytes(images[1].read_bytes()[:-100])
    tensor, bad, note = store.decoded(looked_at(images), SIZE, "x")
    assert torch.equal(tensor, pixels_of([images[0], images[2]]))
    assert list(bad) == [images[1]]
    assert note.startswith("Images are decoded into memory, because the cache cannot be used: ")


@pytest.mark.parametrize("kind", PLACES)
def test_without_a_place_to_write_images_come_into_memory_and_a_note_says_so(images, monkeypatch, tmp_path, kind):
    monkeypatch.setenv("LOSSBENCH_CACHE", str(PLACES[kind](tmp_path / "place")))
    assert_read_without_cache(images)
    assert store.entries() == []
    assert store.clear() == 0


def test_where_no_space_is_left_images_come_into_memory_and_nothing_is_left_behind(images):
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (SIZE * SIZE, limits[1]))
    try:
        tensor, bad, note = store.decoded(looked_at(images), SIZE, "x")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert torch.equal(tensor, pixels_of(images))
    assert not bad
    assert "file too large" in note
    assert not kept()


# Shown and cleared ----------------------------------------------------------------------------------------------------


def test_entries_are_listed_last_used_first(images):
    for number, seconds in ((1, 1000), (3, 3000), (2, 2000)):
        store.decoded(looked_at(images[:number]), SIZE, f"horses/{number}")
        newest = max(store.place().glob("*.json"), key=lambda path: path.stat().st_mtime)
        os.utime(newest, (seconds, seconds))
    found = store.entries()
    assert [(entry.facts.name, entry.facts.n, entry.facts.size) for entry in found] == [
        (f"horses/{n}", n, SIZE) for n in (3, 2, 1)
    ]
    assert [entry.megabytes for entry in found] == [n * 3 * SIZE * SIZE / 1e6 for n in (3, 2, 1)]
    store.decoded(looked_at(images[:1]), SIZE, "again")
    assert store.entries()[0].facts.name == "horses/1"


def test_clearing_frees_everything_but_what_is_not_ours_and_runs_go_on(images):
    tensor, _, _ = store.decoded(looked_at(images), SIZE, "x")
    whole, left = held(), store.place() / ".y.uint8.part"
    foreign = [
        store.place() / "notes.txt",
        store.place() / "folder.json" / "x.json",
        store.place() / "folder" / "x.part",
    ]
    for path in foreign:
        path.parent.mkdir(exist_ok=True)
        path.write_text("{}")
    left.write_bytes(b"left over")
    size = sum(path.stat().st_size for path in [*whole, left])
    assert store.clear() == pytest.approx(size / 1e6)
    assert sorted(path for path in store.place().rglob("*") if path.is_file()) == sorted(foreign)
    assert torch.equal(tensor, pixels_of(images))
    assert store.entries() == []
    assert torch.equal(store.decoded(looked_at(images), SIZE, "x")[0], pixels_of(images))


def test_a_cache_that_was_never_used_is_empty():
    assert store.entries() == []
    assert store.clear() == 0


def test_the_command_line_shows_and_clears_the_cache(images, lossbench):
    store.decoded(looked_at(images), 100, "horses/trainA")
    code, out, err = lossbench("cache")
    assert (code, err) == (0, "")
    (line,) = [line for line in out.splitlines() if "horses" in line]
    assert line.split()[:4] == ["horses/trainA", "3", "100", "0.1"]
    assert f"0.1 MB in {store.place()}; LOSSBENCH_CACHE names another place" in out
    assert lossbench("cache", "--clear") == (0, f"Freed 0.1 MB in {store.place().parent}\n", "")
    code, out, _ = lossbench("cache")
    assert "horses" not in out
    assert out.splitlines()[-1].startswith("0.0 MB in ")
