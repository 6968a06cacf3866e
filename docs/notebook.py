"""Runs the notebooks of the docs and keeps what they print: ``python docs/notebook.py``."""

from __future__ import annotations

from pathlib import Path

import nbformat
from nbclient import NotebookClient

for path in Path(__file__).parent.glob("*.ipynb"):
    notebook = nbformat.read(path, as_version=4)
    NotebookClient(notebook).execute()
    for cell in notebook.cells:
        cell.metadata = {}  # when it ran
    nbformat.write(notebook, path)
