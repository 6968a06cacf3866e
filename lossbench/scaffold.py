"""A new package for a loss: everything but the idea. The files it is made of stand in ``template/``."""

from __future__ import annotations

import keyword
import re
from importlib.metadata import version
from pathlib import Path
from string import Template

from lossbench.errors import OptionError
from lossbench.registry import listing
from lossbench.settings import RESERVED

TEMPLATE = Path(__file__).parent / "template"
FILES = {
    "pyproject.txt": "pyproject.toml",
    "loss.txt": "lossbench_$name.py",
    "test.txt": "tests/test_$name.py",
    "readme.txt": "README.md",
    "workflow.txt": ".github/workflows/test.yml",
    "gitignore.txt": ".gitignore",
}


def scaffold(name: str, out: Path | None = None) -> Path:
    """Write a package for a loss of this name, by itself into ``lossbench-NAME``; return its folder.

    Raises:
        OptionError: a name that cannot be, or is another plugin's; a folder that is not empty.
    """
    if not re.fullmatch(r"[a-z][a-z0-9_]*", name) or keyword.iskeyword(name) or name in RESERVED:
        raise OptionError(
            f"A loss cannot be called {name!r}: a name is small letters, digits and _, such as soft_edges, and none of "
            f"{', '.join(RESERVED)}."
        )
    if entries := [entry for group in ("losses", "observers") for entry in listing(group).get(name, [])]:
        owner = f"{entries[0].dist.name} {entries[0].dist.version}" if entries[0].dist else entries[0].value
        raise OptionError(f"`{name}` is taken by {owner}. Choose another name.")
    folder = out or Path(f"lossbench-{name}")
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise OptionError(f"{folder} is there already. Name another place with --out.")
    words = {"name": name, "Title": name.replace("_", " ").capitalize(), "version": version("lossbench")}
    for source, target in FILES.items():
        path = folder / Template(target).substitute(words)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(Template((TEMPLATE / source).read_text("utf-8")).substitute(words), "utf-8")
    return folder
