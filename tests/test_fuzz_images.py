"""Damaged image files: each is read or refused with a reason, and nothing else ever happens."""

from __future__ import annotations

import re
import signal
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from benchmarks import fuzz


def test_300_damaged_files_are_read_or_refused_with_a_reason(tmp_path):
    result = fuzz.fuzz(300, seed=1, keep=tmp_path)
    assert result["findings"] == []
    assert result["read"] + result["refused"] == result["files"] == 300
    assert min(result["read"], result["refused"]) > 30  # neither harmless nor hopeless
    assert sum(result["reasons"].values()) == result["refused"]
    assert len(result["reasons"]) > 5


def test_the_same_seed_damages_the_same_files_and_another_seed_others():
    first, same, other = ([content for _, content, _ in fuzz.damaged(50, seed)] for seed in (1, 1, 2))
    assert first == same != other


@pytest.mark.parametrize(
    ("end", "found"),
    [
        ("os._exit(7)", "the reader ended with 7"),
        ("os.kill(os.getpid(), signal.SIGSEGV)", f"the reader ended with {-signal.SIGSEGV}"),
        ("time.sleep(60)", "nothing within 0.2 s"),
    ],
)
def test_a_file_that_ends_the_reader_is_found_and_the_next_is_read(tmp_path, monkeypatch, end, found):
    monkeypatch.setattr(fuzz, "PATIENCE", 0.2)
    code = (
        f"import os, signal, sys, time\nprint('ready', flush=True)\nfor line in sys.stdin:\n  if 'bad' in line: {end}\n"
    )
    with fuzz.Reader([sys.executable, "-c", code + "  print('{}', flush=True)"]) as reader:
        outcomes = [reader.read(tmp_path / name) for name in ("good", "bad", "good")]
    assert outcomes == [{}, {"found": found}, {}]


def image(*shape: int, dtype: type = np.uint8) -> tuple[list[np.ndarray], dict[Path, str]]:
    return [np.zeros(shape, dtype)], {}


@pytest.mark.parametrize(
    ("read", "found"),
    [
        (lambda path: 1 / 0, "ZeroDivisionError: division by zero"),
        (lambda path: image(3, 9, 3), r"an image of uint8 \(3, 9, 3\)"),
        (lambda path: image(9, 9), r"an image of uint8 \(9, 9\)"),
        (lambda path: image(9, 9, 3, dtype=np.float32), "an image of float32"),
        (lambda path: image(9, 9, 3), "seen with a side of 8, read as"),
        (lambda path: ([np.random.default_rng().integers(0, 256, (8, 8, 3), np.uint8)], {}), "other pixels"),
        (lambda path: ([], {}), "neither read nor refused"),
        (lambda path: ([], {path: ""}), "a reason like ''"),
        (lambda path: ([], {path: "two\nlines"}), "a reason like 'two"),
        (lambda path: ([], {path: "damaged (MemoryError: )"}), "more than 2 GB"),
    ],
)
def test_what_is_neither_an_image_nor_a_reason_is_found(tmp_path, monkeypatch, read, found):
    Image.new("RGB", (8, 8)).save(tmp_path / "x.png")
    assert fuzz._outcome(tmp_path / "x.png") == {}
    monkeypatch.setattr(fuzz, "read_images", lambda paths: read(paths[0]))
    assert re.search(found, fuzz._outcome(tmp_path / "x.png")["found"])


def test_what_is_found_is_kept_for_reproduction(tmp_path, monkeypatch):
    monkeypatch.setattr(fuzz.Reader, "read", lambda self, path: {"found": "it"} if "00001" in path.name else {})
    result = fuzz.fuzz(3, seed=1, keep=tmp_path / "kept")
    (finding,) = result["findings"]
    name, content, done = list(fuzz.damaged(3, seed=1))[1]
    assert finding == {"file": f"00001-{name}", "done": done, "what": "it"}
    assert [path.read_bytes() for path in (tmp_path / "kept").iterdir()] == [content]
    assert (result["read"], result["refused"]) == (2, 0)
