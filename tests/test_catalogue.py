"""What is installed, and what a shell can complete."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Literal

import pytest
from pydantic import Field

from lossbench import PluginError, completion
from lossbench.catalogue import entries, named, option_names, type_name
from lossbench.options import declared
from lossbench.registry import listing, load

GROUPS = ("losses", "observers")


def test_every_plugin_is_listed_with_its_sentence_and_its_owner(lossbench):
    code, out, _ = lossbench("plugins")
    assert code == 0
    for entry in entries():
        assert entry.name in out
        assert f"{entry.distribution} {entry.version}, {entry.origin}" in " ".join(out.split())
    assert "Total variation: neighbouring pixels agree." in out


def test_json_has_every_fact_without_import_and_all_details_with_it(lossbench):
    short = json.loads(lossbench("plugins", "--json")[1])
    full = json.loads(lossbench("plugins", "--json", "--verbose")[1])
    assert [entry["name"] for entry in short] == [entry["name"] for entry in full]
    facts = {"name", "kind", "sentence", "distribution", "version", "origin", "clash"}
    assert all(set(entry) == facts for entry in short)
    (tv,) = (entry for entry in full if entry["name"] == "tv")
    assert tv["asks"] == ["fake"]
    assert tv["options"] == [
        {"key": "tv.weight", "type": "number or schedule", "default": 0.1},
        {"key": "tv.power", "type": "1 or 2", "default": 1},
    ]
    assert tv["references"] == ["Rudin, Osher & Fatemi, 1992", "Mahendran & Vedaldi, 2015"]


def test_verbose_shows_each_as_show_does(lossbench):
    everything = lossbench("plugins", "--verbose")[1]
    for name in ("gan", "cyclegan", "csv"):
        code, out, _ = lossbench("plugins", "show", name)
        assert code == 0
        assert out.strip() in everything


def test_a_file_can_be_shown(lossbench, write_plugin):
    code = (
        "def mine(*, power: int = 3):\n    '''``mean`` (Nobody, 2031).'''\n    def term(other_fake, rec):\n        return (other_fake - rec).mean()\n"
        "    return term\n@hookimpl\ndef lossbench_loss(): return LossSpec(mine, weight='linear:0,2', checks={'bf16': 'why not'})"
    )
    code, out, _ = lossbench("plugins", "show", write_plugin("mine", code))
    assert code == 0
    for said in (
        "mine.power",
        "linear:0,2",
        "asks for other_fake: the translation",
        "does not pass bf16: why not",
        "see Nobody, 2031",
    ):
        assert said in out


def test_a_plugin_that_cannot_be_loaded_says_why_in_its_place(lossbench, monkeypatch):
    def lost(group, word):
        raise PluginError(f"{word} is lost")

    monkeypatch.setattr("lossbench.catalogue.load", lost)
    code, out, _ = lossbench("plugins", "--verbose")
    assert code == 0
    for entry in entries():
        assert f"{entry.name} is lost" in out


def test_what_is_not_there_is_one_line(lossbench):
    code, out, err = lossbench("plugins", "show", "cylce")
    assert (code, out) == (2, "")
    assert "Did you mean `cycle`?" in err


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        (int, "int"),
        (float | None, "float or none"),
        (Literal["a", 2], "a or 2"),
        (tuple[int, ...], "list of int"),
        (Annotated[int, Field(gt=0)] | None, "int or none"),
        (Callable[..., int] | None, "module:function or none"),
        (Path, "Path"),
    ],
)
def test_types_are_named_as_a_user_reads_them(kind, name):
    assert type_name(kind) == name


# Completion -------------------------------------------------------------------------------------------------------


def test_options_read_from_a_file_are_those_of_the_builder():
    for group in GROUPS:
        for name, (entry, *_) in listing(group).items():
            spec = load(group, name).spec
            assert option_names(entry) == list(declared(spec.builder if group == "losses" else spec)), name


def test_names_are_completed_one_after_another():
    assert completion.losses("c") == ["circularity", "colour", "content", "cycle"]
    assert completion.losses("cycle,ci") == ["cycle,circularity"]
    assert completion.observers("csv,ten") == ["csv,tensorboard"]
    assert completion.recipes("cy") == ["cyclegan"]


def test_keys_are_completed():
    assert completion.keys("tv.") == ["tv.weight=", "tv.power="]
    assert completion.keys("train.be") == ["train.beta1=", "train.beta2="]
    assert "model.ngf=" in completion.keys("model.")


def test_a_shell_completes_without_importing_torch():
    code = (
        "import sys\nfrom lossbench.cli import main\ntry: main()\nexcept SystemExit: pass\n"
        "assert not {'torch', 'lossbench_plugins'} & set(sys.modules)"
    )
    words = {"_LOSSBENCH_COMPLETE": "complete_bash", "COMP_WORDS": "lossbench run --set gan.m", "COMP_CWORD": "3"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=os.environ | words)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["gan.mode="]


def test_every_entry_of_a_file_is_found_again():
    ((entry, details),) = named("gradients")
    assert entry.kind == "observers"
    assert [option.key for option in details.options] == ["gradients.every"]


def test_a_plugin_that_cannot_be_built_is_one_line(lossbench, write_plugin):
    path = write_plugin(
        "mine", "def mine():\n    raise ValueError('boom')\n@hookimpl\ndef lossbench_loss(): return LossSpec(mine)"
    )
    code, _, err = lossbench("plugins", "show", path)
    assert (code, err) == (2, "lossbench: mine cannot be built: ValueError: boom.\n")


def test_an_observer_that_is_a_file_is_shown_as_one(lossbench, write_plugin):
    code = "class Mine:\n    '''Nothing.'''\n    def __init__(self, *, every: int = 3): ...\n    @hookimpl\n    def lossbench_step(self): ...\n@hookimpl\ndef lossbench_observer(): return Mine"
    code, out, _ = lossbench("plugins", "show", write_plugin("mine", code))
    assert code == 0
    assert "mine  observers" in out
    assert "mine.every" in out


def test_a_loss_and_a_recipe_of_one_name_are_both_shown(lossbench):
    assert [entry.kind for entry, _ in named("style")] == ["losses", "recipes"]
    code, out, _ = lossbench("plugins", "show", "style", "--json")
    assert code == 0
    assert [each["kind"] for each in json.loads(out)] == ["losses", "recipes"]


def test_an_option_that_both_networks_have_is_shown_once_with_the_recipes_default():
    ((_, details),) = named("pix2pix")
    norms = [option for option in details.options if option.key == "model.norm"]
    assert [option.default for option in norms] == ["batch"]
