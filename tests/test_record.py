"""Files are written whole or not at all, and a log is cut to whole lines."""

from __future__ import annotations

import errno
import hashlib
import os
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lossbench import RunError
from lossbench.files import write_bytes, write_file, write_json
from lossbench.record import LOG, left, read_log, whole_lines

OLD = b"what was there before"


@pytest.fixture
def old(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(OLD)
    return path


def assert_untouched(path):
    assert path.read_bytes() == OLD
    assert list(path.parent.iterdir()) == [path]


def test_a_file_is_replaced(old):
    write_bytes(old, b"new")
    assert old.read_bytes() == b"new"
    assert list(old.parent.iterdir()) == [old]


def half_then(error):
    def write(file):
        file.write(b"half of")
        file.flush()
        raise error

    return write


@pytest.mark.parametrize("stamp", [False, True])
@pytest.mark.parametrize("error", [ValueError("no"), KeyboardInterrupt()], ids=repr)
def test_a_write_that_raises_leaves_the_old_file(old, error, stamp):
    with pytest.raises(type(error)):
        write_file(old, half_then(error), stamp=stamp)
    assert_untouched(old)


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)), "no space left on device. Free some space"),
        (OSError(errno.EDQUOT, os.strerror(errno.EDQUOT)), "Free some space"),
        (OSError(errno.EROFS, os.strerror(errno.EROFS)), "Choose a place that can be written."),
        (OSError(errno.EIO, os.strerror(errno.EIO)), "Mend that and try again."),
        (MemoryError(), "there is not enough memory"),
    ],
    ids=repr,
)
def test_what_the_machine_refuses_is_one_line(old, error, message):
    with pytest.raises(RunError, match=message) as caught:
        write_file(old, half_then(error))
    assert str(caught.value).startswith(f"{old} cannot be written: ")
    assert_untouched(old)


LIMITED = """
import resource, sys
from pathlib import Path
from lossbench.errors import RunError
from lossbench.files import write_bytes
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
try:
    write_bytes(Path(sys.argv[1]), b"x" * 5000)
except RunError as error:
    print(error)
"""


def test_a_limit_on_files_leaves_the_old_file(old):
    told = subprocess.run([sys.executable, "-c", LIMITED, old], check=True, capture_output=True, text=True).stdout
    assert told == f"{old} cannot be written: file too large. Raise the limit: ulimit -f unlimited.\n"
    assert_untouched(old)


def test_a_folder_in_the_way_is_one_line(tmp_path):
    (tmp_path / "file" / "inside").mkdir(parents=True)
    with pytest.raises(RunError, match=r"file cannot be written: .*is a directory"):
        write_bytes(tmp_path / "file", b"new")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_folder_that_is_missing_is_one_line(tmp_path):
    with pytest.raises(RunError, match=r"cannot be written: no such file or directory"):
        write_bytes(tmp_path / "nowhere" / "file", b"new")


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
def test_a_number_that_is_not_finite_is_no_json(old, number):
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(old, {"number": number})
    assert_untouched(old)


# Logs -------------------------------------------------------------------------------------------------------------

LINES = [f'{{"step": {step}, "raw": {{"A2B/cycle": {0.1 * step!r}}}}}\n'.encode() for step in range(1, 13)]
WHOLE = b"".join(LINES)


@given(st.integers(0, len(WHOLE)))
def test_a_log_cut_anywhere_holds_its_whole_lines(tmp_path_factory, at):
    path = tmp_path_factory.getbasetemp() / "cut.jsonl"
    path.write_bytes(WHOLE[:at])
    count = WHOLE[:at].count(b"\n")
    assert whole_lines(path) == LINES[:count]
    assert [line["step"] for line in read_log(path)] == list(range(1, count + 1))


@given(st.integers(0, len(LINES)), st.binary(max_size=30), st.booleans())
def test_what_is_no_next_step_does_not_count(tmp_path_factory, count, rest, ended):
    path = tmp_path_factory.getbasetemp() / "rest.jsonl"
    path.write_bytes(b"".join(LINES[:count]) + rest + (b"\n" if ended else b""))
    assert whole_lines(path) == LINES[:count]


@given(st.integers(0, len(WHOLE)), st.integers(0, len(LINES)))
def test_the_hash_of_a_log_is_that_of_its_first_lines(tmp_path_factory, at, steps):
    path = tmp_path_factory.getbasetemp() / "hash" / LOG
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(WHOLE[:at])
    first = hashlib.sha256(b"".join(LINES[:steps])).hexdigest()
    assert left(path.parent, steps).get(LOG) == (first if WHOLE[:at].count(b"\n") >= steps else None)


@pytest.mark.parametrize(
    "line",
    [b"\n", b"[]\n", b"7\n", b"null\n", b"{}\n", b'{"step": 3}', b'{"step": 2}\n', b'{"step": 4}\n', b'{"step": "3"}\n',
     b'{"step": 3}}\n', b"\xff\xfe\n", b"\0\0\0\n", b'{"step": null}\n'],
    ids=lambda line: repr(line[:20]),
)  # fmt: skip
def test_a_third_line_that_is_none(tmp_path, line):
    path = tmp_path / "metrics.jsonl"
    path.write_bytes(LINES[0] + LINES[1] + line + LINES[2])
    assert whole_lines(path) == LINES[:2]


def test_no_log_holds_no_line(tmp_path):
    assert whole_lines(tmp_path / "metrics.jsonl") == []
    assert left(tmp_path, 1) == {}
