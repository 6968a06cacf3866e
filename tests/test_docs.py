"""What is written is so: examples run, tables are those of the results, nothing is missing."""

from __future__ import annotations

import copy
import json
import re
import shlex
import subprocess
import sys
from dataclasses import fields
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from typer.main import get_command

from lossbench import load_loss, weights
from lossbench.cli import app
from lossbench.config import parse_assignment
from lossbench.hookspecs import Recipe
from lossbench.networks import patch_discriminator
from lossbench.options import declared
from lossbench.prepare import prepare, settle
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


def test_the_recipe_of_the_contract_trains(tmp_path, lossbench):
    (code,) = [block for block in blocks("docs/contract.md", "python") if "lossbench_recipe" in block]
    (tmp_path / "outline.py").write_text(code, "utf-8")
    run = prepare(recipe=str(tmp_path / "outline.py"), settings={"model.ngf": 4, "model.ndf": 4, "data.size": 32})
    assert [bound.label for bound in run.objective.terms] == ["A2B/gan", "A2B/gan:D", "A2B/edges"]
    assert (run.config.train.steps, run.config.pool.size) == (300, 0)
    before = run.networks.G["A2B"].layers[0].weight.clone()
    run.trainer.step(1)
    assert not run.networks.G["A2B"].layers[0].weight.equal(before)
    assert run.config.recipe.networks[1] is patch_discriminator
    command = re.search(r"`lossbench (run --recipe ./outline.py [^`]*)`", read("docs/contract.md"))[1]
    code, out, err = lossbench(*command.split(), "--print-config")
    assert (code, "ngf = 8" in out) == (0, True), err


def test_the_fields_of_a_recipe_are_documented():
    for field in fields(Recipe):
        assert re.search(rf"^\| `{field.name}(\(size\))?` \|", read("docs/contract.md"), re.MULTILINE), field.name
        assert field.name in re.search(r"^Recipe\((.*)\)$", read("docs/contract.md"), re.MULTILINE)[1].split(", ")


def test_the_weights_of_their_page_are_pulled_and_used(tmp_path, lossbench, tiny, capsys, monkeypatch):
    declares, hashes, loss = blocks("docs/weights.md", "python")
    for name, code in (("sharpen", declares), ("sharpness", loss)):
        (tmp_path / f"{name}.py").write_text(code, "utf-8")
    content = re.search(r"which here is `([^`]*)`", read("docs/weights.md"))[1]
    (tmp_path / "sharpen.json").write_text(f"{content}\n", "utf-8")
    words = re.search(r"`lossbench (weights pull ./sharpen.py [^`]*)`", read("docs/weights.md"))[1]
    code, _, err = lossbench(*words.split())
    assert code == 0, err
    assert weights.pretrained("./sharpen.py")["kernel"].sum() == 1
    monkeypatch.syspath_prepend(str(tmp_path))
    exec(compile(hashes, "docs/weights.md", "exec"), {})
    assert capsys.readouterr().out.strip() == load("weights", "./sharpen.py").spec.sha256
    run = tiny("cycle,./sharpness.py")
    assert run.trainer.gradients(1, run.objective.active(1, 0.0))["A2B/sharpness"] > 0


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
    "docs/recipes.md",
    "docs/weights.md",
]  # pages that tell what to type
PRETRAINED = {"content": ["vgg16"], "style": ["vgg16"], "lpips": ["vgg16", "lpips-vgg"]}  # what losses see with


def flags_of(command):
    """Return a command's flags, and those of the commands under it."""
    below = getattr(command, "commands", {}).values()
    return {flag for option in command.params for flag in option.opts} | set().union(*map(flags_of, below))


def runs_of(page):
    """Return every run that a page begins, in a block or in a line, and the weights that it needs."""
    lines = [line for block in blocks(page, "console") for line in block.splitlines()]
    if page == "docs/recipes.md":
        lines += re.findall(r"^\|.*`(lossbench run [^`]*)` \|$", read(page), re.MULTILINE)
    lines = [re.sub(r"^(\.venv/bin/|\w+=\S+ )", "", line) for line in lines]
    begun = [line for line in lines if line.startswith("lossbench run") and "--resume" not in line]
    return {line: {name for loss, names in PRETRAINED.items() if loss in line for name in names} for line in begun}


def write_pairs(folder):
    """Write two pairs of 64 px side by side into each of three folders."""
    draw = np.random.default_rng(0)
    for side in ("train", "val", "test"):
        (folder / side).mkdir(parents=True)
        for n in range(2):
            cv2.imwrite(str(folder / side / f"{n}.png"), draw.integers(0, 256, (64, 128, 3), np.uint8))
    return folder


def begin(line, tmp_path, lossbench, files):
    """Try whether a run could begin; return the exit code and what is said."""
    write_images(tmp_path / "datasets" / "maps")
    picture = write_pairs(tmp_path / "datasets" / "facades") / "train" / "0.png"
    line = re.sub(r"(?<=,)(\w+)(?= |$)", lambda match: files.get(match[1], match[1]), line)
    line = line.replace("--device cuda", "").replace("--data DIR --size 256 --load-size 256", "--data DIR")
    line = line.replace("--data DIR", "--data datasets/maps --size 64").replace("=FILE", f"={picture}")
    code, _, err = lossbench(*shlex.split(line)[1:], "--print-config")
    return code, err


@pytest.mark.parametrize("page", TOLD)
def test_every_command_and_flag_of_a_page_exists(page):
    text = read(page)
    flags = {name: flags_of(command) for name, command in COMMANDS.items()}
    typed = [line for block in blocks(page, "console") for line in block.splitlines()]
    for words in [*typed, *re.findall(r"`(lossbench [^`]+)`", text)]:
        if command := re.match(r"(?:\.venv/bin/)?lossbench ([\w-]+)", words):
            assert command[1] in COMMANDS, words
            assert set(re.findall(r"(?<!\S)--[a-z-]+", words)) <= flags[command[1]], words
    for flag in re.findall(r"(?<![\w-])--[a-z][a-z-]*", re.sub("^tensorboard .*", "", text, flags=re.MULTILINE)):
        assert any(flag in some for some in flags.values()), flag


@pytest.mark.parametrize("page", TOLD)
def test_every_dotted_key_of_a_page_exists(page, tmp_path, tiny):
    alone = examples(page, tmp_path) if page != "docs/weights.md" else []  # whose loss needs its weights
    chosen = ["cycle", *map(str, alone)]
    config = tiny(",".join(chosen)).config
    known = {key.removesuffix(".A2B").removesuffix(".B2A") for key in config.everything()}
    losses = {name: declared(load("losses", name).spec.builder) for name in built_in("losses")}
    known |= {f"{name}.{key}" for name, options in losses.items() for key in ("weight", *options)}
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


@pytest.mark.parametrize(("page", "line"), [(page, line) for page in TOLD for line in runs_of(page)])
def test_every_run_of_a_page_could_begin(page, line, tmp_path, lossbench, request):
    if needed := runs_of(page)[line]:
        pulled = request.getfixturevalue("real_weights")
        for name in needed:
            pulled(name)
    files = {path.stem: f"./{path.name}" for path in examples(page, tmp_path)}
    code, err = begin(line, tmp_path, lossbench, files)
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


def test_every_table_is_that_of_its_results(real_weights):
    for name in {name for names in PRETRAINED.values() for name in names}:
        real_weights(name)
    done = subprocess.run(
        [sys.executable, ROOT / "benchmarks" / "tables.py", "--check"], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_runs_that_pages_show_are_those_that_their_commands_begin():
    """The command above a run's curves, today, has the settings that the run had."""
    shown = re.findall(
        r"```console\n(lossbench run [^\n]*)\n```\n\n!\[[^]]*\]\(images/([\w-]+)-losses.png", read("docs/curves.md")
    )
    assert len(shown) == 6
    for command, name in shown:
        words = shlex.split(command)[2:]
        flags = list(pairwise(words))
        plugins = dict(flags)["--plugins"]
        told = json.loads(read(f"benchmarks/results/run-{name}.json"))["config"]
        now = settle(plugins, settings=dict(parse_assignment(word) for flag, word in flags if flag == "--set"))
        expected = {key: value for key, value in now.config.dotted().items() if key != "train.keep"}
        assert {key: told.get(key, value) for key, value in expected.items()} == expected, command


def test_every_loss_is_documented():
    for name in built_in("losses"):
        assert f"| `{name}` |" in read("docs/losses.md"), name


def test_every_loss_and_recipe_says_where_it_comes_from_and_how_it_is_verified():
    table = re.search(r"<!-- table: verified -->\n(.*?)<!-- end -->", read("docs/losses.md"), re.DOTALL)[1]
    rows = [re.split(r" \| ", row.strip("| ")) for row in table.strip().splitlines()[2:]]
    named = {re.search("`([^`]+)`", row[0])[1] for row in rows}
    assert named == {*built_in("losses"), *(f"--recipe {name}" for name in built_in("recipes"))}
    for row in rows:
        assert [bool(cell.removeprefix("<code>")) for cell in row] == [True] * 5, row


def built_in(group):
    """Return the names of our own plugins."""
    return [name for name, entries in listing(group).items() if entries[0].dist.name == "lossbench"]


def test_every_pretrained_network_is_documented():
    for name in built_in("weights"):
        assert f"| `{name}` |" in read("docs/weights.md"), name


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
