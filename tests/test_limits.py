"""Where the machine gives no more: one line that says what to do, and nothing that was saved is lost."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from lossbench.record import read_record

SMALL = "--plugins tv --size 32 --load-size 32 --set model.ngf=4 --set model.ndf=4 --set model.generator=resnet_1blocks"
LIMITED = """
import re, resource, sys
import kornia, lossbench.run
from lossbench.cli import main
name, value = sys.argv.pop(1), int(sys.argv.pop(1))
if name == "RLIMIT_AS":  # beyond what is in use
    value += 1024 * int(re.search(r"VmSize:\\s+(\\d+)", open("/proc/self/status").read())[1])
if name != "NONE":
    resource.setrlimit(getattr(resource, name), (value, value))
main()
"""


def limited(where: Path, limit: str, value: int, *words: object) -> tuple[int, str]:
    """Run the command line in a process with a limit; return its exit code and what it complains of."""
    done = subprocess.run(
        [sys.executable, "-c", LIMITED, limit, str(value), *map(str, words)],
        cwd=where, env=os.environ | {"OMP_NUM_THREADS": "1"}, capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert "Traceback (most" not in done.stderr
    assert done.stderr.count("\n") == (done.returncode != 0)
    return done.returncode, done.stderr


def resumed(where: Path) -> bool:
    """Whether the run goes on to its end once the limit is gone."""
    code, err = limited(where, "NONE", 0, "run", "--resume", "run")
    return (code, err, read_record(where / "run")["status"]) == (0, "", "ok")


def test_a_file_that_may_not_grow_is_one_line_and_the_run_goes_on_later(tmp_path):
    code, err = limited(tmp_path, "RLIMIT_FSIZE", 20_000, "run", *SMALL.split(), "--steps", 4, "--out", "run")
    assert code == 2
    assert re.match(
        r"lossbench: run/\S+ cannot be written: file too large\. Raise the limit: ulimit -f unlimited\.", err
    )
    assert err.endswith("Once mended, go on with: lossbench run --resume run\n")
    assert resumed(tmp_path)


def test_a_full_disk_is_one_line_and_the_run_goes_on_later(tmp_path):
    (tmp_path / "disk").mkdir()
    if subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=300k", "tmpfs", tmp_path / "disk"], capture_output=True
    ).returncode:
        pytest.skip("mounting a small disk is not allowed here")
    try:
        code, err = limited(
            tmp_path / "disk", "NONE", 0, "run", *SMALL.split(), "--steps", 30, "--every", 1, "--out", "run"
        )
        assert code == 2
        assert re.match(r"lossbench: run/\S+ cannot be written: no space left on device\. Free some space", err)
        assert read_record(tmp_path / "disk" / "run")["status"] == "failed"
        assert not list((tmp_path / "disk").rglob("*.part"))
        subprocess.run(["mount", "-o", "remount,size=50M", tmp_path / "disk"], check=True)
        assert resumed(tmp_path / "disk")
    finally:
        subprocess.run(["umount", tmp_path / "disk"], check=True)


@pytest.mark.parametrize("megabytes", [150, 700])
def test_no_memory_is_one_line_with_what_to_make_smaller(tmp_path, megabytes):
    words = ["run", "--plugins", "tv", "--size", 256, "--batch", 16, "--steps", 2, "--out", "run"]
    code, err = limited(tmp_path, "RLIMIT_AS", megabytes * 10**6, *words)
    assert code == 2
    assert "here is not enough memory. Use a smaller --batch or --size, a smaller model" in err
    assert "--strategy component" in err


def test_too_few_open_files_are_one_line(tmp_path):
    code, err = limited(tmp_path, "RLIMIT_NOFILE", 5, "run", *SMALL.split(), "--steps", 2, "--out", "run")
    assert code == 2
    assert re.search("oo many open files.*Raise the limit: ulimit -n 4096", err)
    assert resumed(tmp_path)


@pytest.mark.parametrize("out", ["/proc/run", "/dev/null/run", "file/run", "file"])
def test_a_place_that_cannot_be_written_is_one_line(tmp_path, monkeypatch, capsys, out):
    from lossbench.cli import main

    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").touch()
    monkeypatch.setattr(sys, "argv", ["lossbench", "run", *SMALL.split(), "--steps", "1", "--out", out])
    with pytest.raises(SystemExit) as end:
        main()
    err = capsys.readouterr().err
    assert (end.value.code, err.count("\n")) == (2, 1)
    assert re.match(rf"lossbench: --out {out}: .*\. Choose a folder that can be written\.", err)
