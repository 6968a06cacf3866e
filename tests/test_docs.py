"""What is written is so: examples run, tables are those of the results, nothing is missing."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from lossbench.registry import listing, load
from lossbench.views import MEANING

ROOT = Path(__file__).parent.parent
PAGES = ["README.md", "CONTRIBUTING.md", *(f"docs/{path.name}" for path in (ROOT / "docs").glob("*.md"))]


def read(page):
    return (ROOT / page).read_text("utf-8")


def blocks(page, language):
    """Return a page's fenced blocks of a language, indentation removed."""
    found = re.findall(rf"^( *)```{language}\n(.*?)^ *```", read(page), re.DOTALL | re.MULTILINE)
    return [re.sub(rf"^{indent}", "", code, flags=re.MULTILINE) for indent, code in found]


@pytest.mark.parametrize("page", ["README.md", "CONTRIBUTING.md"])
def test_the_example_of_a_loss_is_a_loss(page, tmp_path, tiny):
    (code,) = [block for block in blocks(page, "python") if "lossbench_loss" in block]
    path = tmp_path / "hue.py"
    path.write_text(code, "utf-8")
    assert load("losses", str(path)).spec.weight == 0.5
    tiny(f"cycle,{path}", hue__power=1).trainer.step(1)


def test_the_python_example_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (code,) = [block for block in blocks("README.md", "python") if "lossbench.train(" in block]
    exec(compile(code, "README.md", "exec"), {})
    assert list((tmp_path / "runs").iterdir())


def test_ci_types_what_the_readme_says():
    _, test_command = blocks("README.md", "console")[:2]
    assert test_command in read(".ci/run")


def test_every_table_is_that_of_its_results():
    done = subprocess.run(
        [sys.executable, ROOT / "benchmarks" / "tables.py", "--check"], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_loss_is_documented():
    for name, entries in listing("losses").items():
        if entries[0].dist.name == "lossbench":
            assert f"| `{name}` |" in read("docs/losses.md"), name


def test_every_name_of_the_contract_is_documented():
    for name in MEANING:
        assert f"`{name}`" in read("docs/contract.md"), name


def test_every_fault_is_a_test():
    faults = re.findall(r"`(tests/[\w/]+\.py)::(\w+)(?:\[([\w-]+)\])?`", read("docs/faults.md"))
    assert len(faults) == read("docs/faults.md").count("`tests/") >= 40
    for path, name, case in faults:
        assert f"def {name}(" in read(path), name
        assert not case or f'"{case}"' in read(path), case


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", read(page)):
        assert ((ROOT / page).parent / target).exists(), target


def test_the_house_is_drawn_as_it_stands():
    drawn = set(re.findall(r"\w+\.py", read("docs/architecture.md")))
    assert {path.name for path in (ROOT / "lossbench").glob("*.py")} - {"__init__.py"} <= drawn
