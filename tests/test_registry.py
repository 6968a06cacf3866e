"""Names to plugins: one door, one name, errors that teach."""

from __future__ import annotations

import ast
import subprocess
import sys
import tomllib
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from lossbench import PluginError
from lossbench.catalogue import sentence
from lossbench.registry import listing, load, misfit, source

ROOT = Path(__file__).parent.parent


def built_in(group):
    return {
        name: entry for name, entries in listing(group).items() for entry in entries if entry.dist.name == "lossbench"
    }


# Laws 1 and 2 -----------------------------------------------------------------------------------------------------


ROOMS = {"losses": ".", "metrics": "metrics", "observers": "observers", "recipes": "recipes", "weights": "weights"}


def test_pyproject_is_the_only_list_of_what_is_built_in():
    entry_points = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["entry-points"]
    for group, room in ROOMS.items():
        files = {path.stem for path in (ROOT / "plugins" / room).glob("*.py") if not path.stem.startswith("_")}
        assert {name.replace("-", "_") for name in entry_points[f"lossbench.{group}"]} == files
        assert set(entry_points[f"lossbench.{group}"]) == set(built_in(group))


@pytest.mark.parametrize(("group", "name"), [(group, name) for group in ROOMS for name in sorted(built_in(group))])
def test_entry_point_file_and_test_have_one_name(group, name):
    word, room = name.replace("-", "_"), ROOMS[group]
    assert built_in(group)[name].value == ".".join(["lossbench_plugins", *(() if room == "." else (room,)), word])
    assert (ROOT / "plugins" / room / f"{word}.py").is_file()
    assert (ROOT / "tests" / "plugins" / room / f"test_{word}.py").is_file()


def imports(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module or ""


def test_the_host_knows_no_plugin():
    for path in (ROOT / "lossbench").rglob("*.py"):
        assert not [name for name in imports(path) if name.startswith(("lossbench_plugins", "plugins"))], path


def test_plugins_import_public_names_only():
    public = {"lossbench", "lossbench.metrics", "lossbench.networks", "lossbench.testing"}
    for path in (ROOT / "plugins").rglob("*.py"):
        assert {name for name in imports(path) if name.startswith("lossbench")} - {"lossbench_plugins"} <= public, path


ORDER = ["cli", "run", "trainer", "plan", "objective", "registry", "hookspecs"]


def test_arrows_run_one_way():
    for place, name in enumerate(ORDER):
        above = {f"lossbench.{higher}" for higher in ORDER[:place]}
        source = ast.parse((ROOT / "lossbench" / f"{name}.py").read_text())
        typing_only = {id(node) for block in ast.walk(source) if is_type_checking(block) for node in ast.walk(block)}
        found = {
            node.module for node in ast.walk(source) if isinstance(node, ast.ImportFrom) and id(node) not in typing_only
        }
        assert not found & above, name


def is_type_checking(node):
    return isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"


# Law 11 -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("command", [["--help"], ["plugins"], ["run", "--help"], ["--version"]])
def test_cold_commands_import_no_torch(command):
    code = (
        "import sys\nfrom lossbench.cli import main\n"
        f"sys.argv = ['lossbench', *{command}]\n"
        "try: main()\nexcept SystemExit as end: assert not end.code\n"
        "assert not {'torch', 'cv2', 'kornia', 'skimage', 'matplotlib', 'lossbench_plugins'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_importing_lossbench_imports_no_torch():
    subprocess.run([sys.executable, "-c", "import lossbench, sys; assert 'torch' not in sys.modules"], check=True)


@pytest.mark.parametrize("group", ["losses", "metrics", "observers", "recipes"])
def test_every_plugin_opens_with_a_sentence(group):
    for name, entry in built_in(group).items():
        assert sentence(source(entry.value)).endswith("."), name


# Errors -----------------------------------------------------------------------------------------------------------


def test_an_unknown_name_gets_the_near_miss_and_the_two_ways_out():
    with pytest.raises(PluginError) as error:
        load("losses", "cylce")
    assert str(error.value).startswith("No plugin `cylce` in lossbench.losses. Did you mean `cycle`? Installed: ")
    assert "pip install" in str(error.value)
    assert "./cylce.py" in str(error.value)


def test_a_missing_file_is_one_line():
    with pytest.raises(PluginError, match=r"No plugin file \S*nowhere.py"):
        load("losses", "./nowhere.py")


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("def nothing(): ...", r"mine in .*mine.py has no `lossbench_loss`. Add a function of that name, marked with `@lossbench.hookimpl`"),
        ("@hookimpl\ndef lossbench_los(): ...", r"`lossbench_los` is no hook. Did you mean `lossbench_loss`\? Hooks: lossbench_loss, "),
        ("def lossbench_loss(): ...", r"`lossbench_loss` is not marked. Write `@lossbench.hookimpl` above it."),
        ("@hookimpl\ndef lossbench_loss(): return 3", r"lossbench_loss returned 3; return a LossSpec"),
        ("@hookimpl\ndef lossbench_loss(): return None", r"lossbench_loss returned None; return a LossSpec"),
        ("@hookimpl\ndef lossbench_loss(): 1 / 0", r"lossbench_loss failed with ZeroDivisionError: division by zero"),
        ("@hookimpl\ndef lossbench_loss(x): ...", r"mine in .*lossbench_loss"),
        ("import nothing_of_this_name", r"mine in .*mine.py cannot be loaded: ModuleNotFoundError"),
        ("from lossbench import Nothing", r"mine in .*: ImportError: cannot import name 'Nothing'.* This is lossbench 0\..*\. Ask for what it has\."),
        ("def (", r"mine in .*mine.py cannot be loaded: SyntaxError"),
    ],
)  # fmt: skip
def test_a_file_that_is_no_plugin_says_why(write_plugin, code, message):
    with pytest.raises(PluginError, match=message):
        load("losses", str(write_plugin("mine", code)))


def test_a_file_is_named_after_its_stem_and_hashed(write_plugin):
    path = write_plugin("mine", "@hookimpl\ndef lossbench_loss(): return LossSpec(lambda: lambda fake: fake.mean())")
    plugin = load("losses", str(path))
    assert plugin.origin.name == "mine"
    assert plugin.origin.source == str(path)
    assert len(plugin.origin.sha256) == 64


# Made for another lossbench ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "wanted"),
    [
        ("lossbench>=99", "lossbench>=99"),
        ("Lossbench <0.1", "lossbench<0.1"),
        ("lossbench[mlflow]>=99; python_version > '3'", "lossbench>=99"),
        ("lossbench>=99; extra == 'later'", ""),
        ("lossbench>=0.1,<2", ""),
        ("lossbench", ""),
        ("lossbench @ https://example.org/lossbench.whl", ""),
        ("lossbench-hue>=99", ""),
        ("lossbench >< 3", ""),
    ],
)
def test_what_a_distribution_asks_of_lossbench(line, wanted):
    assert misfit(["torch>=99", line], "0.1.0") == wanted


def test_a_version_between_two_releases_counts_as_one():
    assert misfit(["lossbench>=0.1"], "0.2.0.dev3") == ""


@pytest.mark.parametrize("value", ["3 + 4!", "__main__", ":"])
def test_an_entry_point_that_is_none_is_one_line(monkeypatch, value):
    entry = EntryPoint("odd", value, "lossbench.losses")
    monkeypatch.setattr("lossbench.registry.entry_points", lambda group: [entry])
    with pytest.raises(PluginError, match=r"^odd of unknown (cannot be loaded|has no)"):
        load("losses", "odd")


def test_a_list_of_plugins_that_cannot_be_read_hides_only_its_own(tmp_path, monkeypatch):
    facts = tmp_path / "torn-1.0.dist-info"
    facts.mkdir()
    (facts / "METADATA").write_text("Metadata-Version: 2.1\nName: torn\nVersion: 1.0\n")
    (facts / "entry_points.txt").write_text("[lossbench.losses]\ntorn\n")
    monkeypatch.syspath_prepend(tmp_path)
    assert set(built_in("losses")) == set(listing("losses")) >= {"cycle", "tv"}


def test_a_file_that_was_edited_within_a_second_is_loaded_anew(write_plugin):
    for weight in (2.0, 3.0):
        path = write_plugin(
            "mine", f"@hookimpl\ndef lossbench_loss():\n    return LossSpec(lambda: None, weight={weight})"
        )
        assert load("losses", str(path)).spec.weight == weight
    assert not (path.parent / "__pycache__").exists()
