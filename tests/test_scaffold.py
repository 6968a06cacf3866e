"""A new package installs, passes its own tests and is found: what `lossbench new` promises."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import venv

import pytest

from lossbench import OptionError
from lossbench.scaffold import FILES, TEMPLATE, scaffold


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """Return the package and the programs of an environment in which it is installed, beside what is there."""
    place = tmp_path_factory.mktemp("new")
    package, _ = scaffold("soft_edges", place / "lossbench-soft_edges")
    venv.create(place / "venv", system_site_packages=True, with_pip=False)
    (folder,) = (place / "venv").glob("lib/python*/site-packages")
    here = [path for path in sys.path if path.endswith("-packages")]
    (folder / "here.pth").write_text("\n".join(f"import site; site.addsitedir({path!r})" for path in here))
    python = place / "venv" / "bin" / "python"
    install = ["-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation", "--no-index"]
    subprocess.run([python, *install, package], check=True)
    return package, python


def command(python, *words, **where):
    code = "import sys; from lossbench.cli import main; sys.argv[0] = 'lossbench'; main()"
    return subprocess.run(
        [python, "-c", code, *words], capture_output=True, text=True, env=os.environ | {"COLUMNS": "160"}, **where
    )


def test_it_passes_its_own_tests(installed):
    package, python = installed
    done = subprocess.run(
        [python, "-m", "pytest", "-q", "-p", "no:cacheprovider"], cwd=package, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "23 passed" in done.stdout


def test_it_shows_in_the_list_and_trains(installed, tmp_path):
    _, python = installed
    listed = command(python, "plugins", cwd=tmp_path)
    assert "soft_edges" in listed.stdout
    assert "Soft edges: the mean colour of the translation is that of the target." in listed.stdout
    assert "lossbench-soft_edges 0.1.0" in listed.stdout
    small = ["--steps", "1", "--size", "32", "--load-size", "32", "--set", "model.ngf=4", "--set", "model.ndf=4"]
    ran = command(python, "run", "--plugins", "soft_edges", *small, "--out", "run", cwd=tmp_path)
    assert ran.returncode == 0, ran.stderr
    assert json.loads((tmp_path / "run" / "run.json").read_text())["config"]["soft_edges.weight"] == 1.0


def test_every_file_of_the_template_is_used():
    assert {path.name for path in TEMPLATE.iterdir()} == set(FILES)


@pytest.mark.parametrize("name", ["Soft", "soft-edges", "1st", "", "class", "train", "a b"])
def test_a_name_that_cannot_be_is_refused(name, tmp_path):
    with pytest.raises(OptionError, match=r"A loss cannot be called .*: a name is small letters, digits and _"):
        scaffold(name, tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_a_name_that_is_taken_is_refused(tmp_path):
    with pytest.raises(OptionError, match=r"`tv` is taken by lossbench \d.*. Choose another name."):
        scaffold("tv", tmp_path / "new")


def test_nothing_is_written_over(lossbench, tmp_path):
    assert lossbench("new", "mine")[0] == 0
    path = tmp_path / "lossbench-mine" / "lossbench_mine.py"
    path.write_text("my work")
    code, _, err = lossbench("new", "mine")
    assert (code, err) == (2, "lossbench: lossbench-mine is there already. Name another place with --out.\n")
    assert path.read_text() == "my work"


def test_a_loss_that_is_a_file_gets_a_package_around_it(lossbench, write_plugin, tmp_path):
    path = write_plugin(
        "mine",
        "def mine():\n    return lambda fake: fake.square().mean()\n@hookimpl\ndef lossbench_loss(): return LossSpec(mine)",
    )
    code, _, err = lossbench("new", "./mine.py", "--out", "package")
    assert (code, err) == (0, "")
    assert (tmp_path / "package" / "lossbench_mine.py").read_text() == path.read_text()
    assert [each.name for each in (tmp_path / "package" / "tests").iterdir()] == ["test_mine.py"]
    assert (
        lossbench("new", "./yours.py")[2]
        == "lossbench: There is no file yours.py. Name a loss, or the file that it is in.\n"
    )
