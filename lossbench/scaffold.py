"""A new package for a loss: everything but the idea. The files it is made of stand in ``template/``."""

from __future__ import annotations

import keyword
import re
from importlib.metadata import version
from pathlib import Path
from string import Template

from lossbench.errors import OptionError
from lossbench.registry import HOOKS, is_file, listing, load, package
from lossbench.settings import RESERVED

TEMPLATE = Path(__file__).parent / "template"
FILES = {
    "pyproject.txt": "pyproject.toml",
    "loss.txt": "lossbench_$name.py",
    "test.txt": "tests/test_$name.py",
    "value.txt": "tests/test_${name}_value.py",  # of the template's own loss
    "readme.txt": "README.md",
    "workflow.txt": ".github/workflows/test.yml",
    "gitignore.txt": ".gitignore",
}


def scaffold(word: str, out: Path | None = None) -> tuple[Path, Path]:
    """Write a package for a loss of this name, or around a loss that is a file; return its folder and the loss in it.

    Raises:
        OptionError: a name that cannot be, or is another plugin's; a folder that is not empty; no such file.
        PluginError: a file that is no loss.
    """
    given = Path(word) if is_file(word) else None
    name = given.stem if given else word
    _check(name, given)
    folder = out or Path(f"lossbench-{name}")
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise OptionError(f"{folder} is there already. Name another place with --out.")
    words = {"name": name, "Title": name.replace("_", " ").capitalize(), "version": version("lossbench")}
    texts = {source: Template((TEMPLATE / source).read_text("utf-8")).substitute(words) for source in FILES}
    if given:
        texts["loss.txt"] = given.read_text("utf-8")
        del texts["value.txt"]
    for source, text in texts.items():
        path = folder / Template(FILES[source]).substitute(words)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")
    return folder, folder / f"lossbench_{name}.py"


def _check(name: str, given: Path | None) -> None:
    if given and not given.is_file():
        raise OptionError(f"There is no file {given}. Name a loss, or the file that it is in.")
    if given:
        load("losses", str(given))  # a file that is no loss says why
    if not re.fullmatch(r"[a-z][a-z0-9_]*", name) or keyword.iskeyword(name) or name in RESERVED:
        raise OptionError(
            f"A loss cannot be called {name!r}: a name is small letters, digits and _, such as soft_edges, no word of "
            f"Python's, and none of {', '.join(RESERVED)}."
        )
    if entries := [entry for group in HOOKS for entry in listing(group).get(name, [])]:
        owner = " ".join(package(entries[0]))
        raise OptionError(f"`{name}` is taken by {owner}. Choose another name.")
