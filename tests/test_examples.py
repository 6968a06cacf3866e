"""The packages under examples/ are what `lossbench new` promises: sound, installable, tested."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from lossbench.testing import parametrize_loss_checks

EXAMPLES = sorted((Path(__file__).parent.parent / "examples").glob("lossbench-*"))
LOSSES = [path for folder in EXAMPLES for path in folder.glob("lossbench_*.py")]


@parametrize_loss_checks(*LOSSES)
def test_each_example_is_sound(check):
    check()


def test_they_install_and_pass_the_tests_of_their_values(tmp_path):
    copies = [shutil.copytree(folder, tmp_path / folder.name) for folder in EXAMPLES]
    install = [
        "-m",
        "pip",
        "install",
        "--quiet",
        "--no-deps",
        "--no-build-isolation",
        "--target",
        str(tmp_path / "site"),
    ]
    subprocess.run([sys.executable, *install, *map(str, copies)], check=True)
    there = os.environ | {"PYTHONPATH": str(tmp_path / "site")}
    for copy in copies:
        command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *copy.glob("tests/*_value.py")]
        done = subprocess.run(command, cwd=copy, env=there, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("folder", EXAMPLES, ids=lambda folder: folder.name)
def test_each_has_what_a_package_has(folder):
    found = {path.relative_to(folder).parts[0] for path in folder.rglob("*")}
    assert {"README.md", "pyproject.toml", "tests", ".github", ".gitignore"} <= found
