"""Strangers' distributions, built and installed for real."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable
from importlib.metadata import distributions
from pathlib import Path

import pytest

HERE = Path(__file__).parent


@pytest.fixture(scope="session")
def installed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Install every distribution by one call of pip, then part them: name -> a folder that holds it alone."""
    sources, together, apart = map(tmp_path_factory.mktemp, ("sources", "together", "apart"))
    copies = [shutil.copytree(source, sources / source.name) for source in sorted(HERE.glob("lossbench-*"))]
    install = ["-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation", "--no-compile", "--target"]
    subprocess.run([sys.executable, *install, together, *copies], check=True)
    for distribution in distributions(path=[str(together)]):
        for file in distribution.files or ():
            place = apart / distribution.name / file
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(together / file, place)
    return {folder.name: folder for folder in sorted(apart.iterdir())}


@pytest.fixture
def stranger(installed: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Return an installer for the length of a test: lossbench-hue."""
    return lambda name: monkeypatch.syspath_prepend(installed[name])
