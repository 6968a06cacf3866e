"""What is written is so: examples run, tables are those of the results, nothing is missing."""

from __future__ import annotations

import copy
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from typer.main import get_command

from lossbench import load_loss
from lossbench.cli import app
from lossbench.options import declared
from lossbench.registry import listing, load
from lossbench.settings import SECTIONS
from lossbench.views import MEANING
from tests.conftest import TINY, write_images

ROOT = Path(__file__).parent.parent
PAGES = ["README.md", "CONTRIBUTING.md", *(f"docs/{path.name}" for path in (ROOT / "docs").glob("*.md"))]


def read(page):
    return (ROOT / page).read_text("utf-8")


def blocks(page, language):
    """Return a page's fenced blocks of a language, indentation removed."""
    found = re.findall(rf"^( *)```{language}\n(.*?)^ *```", read(page), re.DOTALL | re.MULTILINE)
    return [re.sub(rf"^{indent}", "", code, flags=re.MULTILINE) for indent, code in found]


def examples(page, folder):
    """Write a page's losses as files, named as their builders are; return the paths."""
    codes = {
        re.findall(r"return LossSpec\((\w+)", code)[0]: code
        for code in blocks(page, "python")
        if "lossbench_loss" in code
    }
    for name, code in codes.items():
        (folder / f"{name}.py").write_text(code, "utf-8")
    return [folder / f"{name}.py" for name in codes]


@pytest.mark.parametrize("page", ["README.md", "CONTRIBUTING.md", "docs/index.md"])
def test_the_example_of_a_loss_is_a_loss(page, tmp_path, tiny):
    (code,) = [block for block in blocks(page, "python") if "lossbench_loss" in block]
    path = tmp_path / "hue.py"
    path.write_text(code, "utf-8")
    assert load("losses", str(path)).spec.weight == 0.5
    tiny(f"cycle,{path}", hue__power=1).trainer.step(1)


def test_every_loss_of_the_tutorial_trains(tmp_path, tiny):
    paths = examples("docs/first-loss.md", tmp_path)
    assert [path.stem for path in paths] == ["charm", "patches", "steady", "bare"]
    for path in paths:
        run = tiny(f"cycle,{path}")
        for step in (1, 2):
            run.trainer.step(step)
        assert len(run.objective.modules) == (2 if path.stem in ("patches", "steady") else 0)


def test_the_observer_of_its_page_observes(tmp_path, lossbench):
    (code,) = blocks("docs/observers.md", "python")
    (tmp_path / "alarm.py").write_text(code, "utf-8")
    words = [word for key, value in TINY.items() for word in ("--set", f"{key}={value}")]
    code, out, _ = lossbench("run", "--observe", "./alarm.py", "--set", "alarm.limit=0.1", *words)
    assert (code, out.count("A2B/cycle is above 0.1 at step 1")) == (0, 1)


@pytest.mark.parametrize("page", ["README.md", "docs/first-loss.md"])
def test_the_python_example_runs(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (code,) = [block for block in blocks(page, "python") if "lossbench.train(" in block]
    exec(compile(code, page, "exec"), {})
    assert list((tmp_path / "runs").iterdir())


def test_the_notebook_runs_and_prints_what_it_shows(tmp_path):
    nbformat, nbclient = pytest.importorskip("nbformat"), pytest.importorskip("nbclient")
    kept = nbformat.read(ROOT / "docs" / "own-loop.ipynb", as_version=4)
    again = copy.deepcopy(kept)
    nbclient.NotebookClient(again, resources={"metadata": {"path": str(tmp_path)}}).execute()
    printed = [
        ["".join(each.get("text", "")) for cell in one.cells for each in cell.get("outputs", [])]
        for one in (kept, again)
    ]
    assert printed[0] == printed[1]
    assert any("image/png" in each.get("data", {}) for cell in again.cells for each in cell.get("outputs", []))


COMMANDS = get_command(app).commands
TOLD = [
    "docs/index.md",
    "docs/first-loss.md",
    "docs/checks.md",
    "docs/curves.md",
    "docs/migrate.md",
    "docs/observers.md",
]  # pages that tell what to type


@pytest.mark.parametrize("page", TOLD)
def test_every_command_and_flag_of_a_page_exists(page):
    text = read(page)
    flags = {name: {flag for option in command.params for flag in option.opts} for name, command in COMMANDS.items()}
    typed = [line for block in blocks(page, "console") for line in block.splitlines()]
    for words in [*typed, *re.findall(r"`(lossbench [^`]+)`", text)]:
        if command := re.match(r"(?:\.venv/bin/)?lossbench ([\w-]+)", words):
            assert command[1] in COMMANDS, words
            assert set(re.findall(r"(?<!\S)--[a-z-]+", words)) <= flags[command[1]], words
    for flag in re.findall(r"(?<![\w-])--[a-z][a-z-]*", re.sub("^tensorboard .*", "", text, flags=re.MULTILINE)):
        assert any(flag in some for some in flags.values()), flag


@pytest.mark.parametrize("page", TOLD)
def test_every_dotted_key_of_a_page_exists(page, tmp_path, tiny):
    built_in = [name for name, entries in listing("losses").items() if entries[0].dist.name == "lossbench"]
    chosen = ["cycle", *map(str, examples(page, tmp_path))]
    config = tiny(",".join(chosen)).config
    known = {key.removesuffix(".A2B").removesuffix(".B2A") for key in config.everything()}
    known |= {f"{name}.{key}" for name in built_in for key in ("weight", *declared(load("losses", name).spec.builder))}
    known |= {
        f"model.{key}"
        for name in listing("recipes")
        for each in load("recipes", name).spec.networks
        for key in declared(each)
    }
    for preset, function in config.recipe.presets.items():
        known |= {f"{preset}.{option}" for option in declared(function)}
    known |= {f"{name}.{key}" for name in listing("observers") for key in declared(load("observers", name).spec)}
    owners = "|".join({key.partition(".")[0] for key in known if "." in key} | {*SECTIONS})
    for key in re.findall(rf"(?<![\w./])((?:{owners})\.(?!(?:py|png|jsonl)\b)\w+(?:\.\w+)*)", read(page)):
        assert key.removesuffix(".A2B").removesuffix(".B2A") in known | {"charm.meen"}, key


@pytest.mark.parametrize("page", TOLD)
def test_every_run_of_a_page_could_begin(page, tmp_path, lossbench):
    files = {path.stem: f"./{path.name}" for path in examples(page, tmp_path)}
    write_images(tmp_path / "datasets" / "maps")
    for block in blocks(page, "console"):
        for line in (line.removeprefix(".venv/bin/") for line in block.splitlines()):
            if line.startswith("lossbench run") and "--resume" not in line:
                line = re.sub(r"(?<=,)(\w+)(?= |$)", lambda match: files.get(match[1], match[1]), line)
                line = line.replace("--device cuda", "").replace("--data DIR", "--data datasets/maps --size 64")
                code, _, err = lossbench(*shlex.split(line)[1:], "--print-config")
                assert (code == 0) is ("meen" not in line), err


@pytest.mark.parametrize("page", TOLD)
def test_what_a_page_shows_is_what_is_printed(page, tmp_path, lossbench):
    examples(page, tmp_path)
    for command, shown in re.findall(r"```text\n\$ lossbench ([^\n]*)\n(.*?)```", read(page), re.DOTALL):
        _, out, err = lossbench(*shlex.split(command))
        printed = "\n".join(line.rstrip() for line in (out + err).splitlines())
        for part in shown.split("...\n"):  # three points stand for lines that are left out
            assert part.strip() in printed, command


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


def test_a_discriminator_that_guesses_costs_what_the_page_says():
    for mode, guess, cost in (("lsgan", 0.5, "0.25"), ("vanilla", 0.0, "0.69")):
        sides, answer = load_loss("gan", mode=mode), torch.full((1, 1, 2, 2), guess)
        values = sides.generator(pred_fake=answer), sides.discriminator(pred_fake=answer, pred_real=answer)
        assert [f"{value:.2f}" for value in values] == [cost, cost]
        assert cost in read("docs/curves.md")


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", read(page)):
        assert ((ROOT / page).parent / target).exists(), target


def test_the_house_is_drawn_as_it_stands():
    drawn = set(re.findall(r"\w+\.py", read("docs/architecture.md")))
    assert {path.name for path in (ROOT / "lossbench").glob("*.py")} - {"__init__.py"} <= drawn
