"""Options are keyword-only parameters, declared once."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import pytest

from lossbench import OptionError, PluginError
from lossbench.options import declared, resolve


def builder(
    *,
    flag: bool = False,
    power: int = 1,
    scale: float = 0.5,
    name: str = "a",
    mode: Literal["x", "y"] = "x",
    layers: tuple[int, ...] = (1, 2),
    file: Path = Path("a"),
    f: Callable[[float], float] | None = None,
) -> None: ...


def test_defaults_come_from_the_signature():
    assert resolve(builder, {}, "b") == {
        "flag": False, "power": 1, "scale": 0.5, "name": "a", "mode": "x", "layers": (1, 2), "file": Path("a"), "f": None,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"power": "3"}, 3), ({"scale": 2}, 2.0), ({"flag": "true"}, True), ({"name": 7}, "7"), ({"mode": "y"}, "y"),
        ({"layers": [4, 5, 6]}, (4, 5, 6)), ({"file": "b/c"}, Path("b/c")), ({"f": "math:sqrt"}, math.sqrt), ({"f": math.cos}, math.cos),
    ],
)  # fmt: skip
def test_values_are_converted_to_the_declared_type(given, expected):
    (name,) = given
    assert resolve(builder, given, "b")[name] == expected


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"powr": 1}, r"b has no option `powr`. Did you mean `power`\? Options of b: flag=False, power=1"),
        ({"power": "two"}, r"b.power='two': input should be a valid integer"),
        ({"scale": "nan"}, r"b.scale='nan': input should be a finite number"),
        ({"mode": "z"}, r"b.mode='z': input should be 'x' or 'y'"),
        ({"f": "math:nothing"}, r"b.f='math:nothing': "),
    ],
)
def test_what_cannot_be_is_one_line_that_lists_every_option(given, message):
    with pytest.raises(OptionError, match=message):
        resolve(builder, given, "b")


def test_only_keyword_only_parameters_are_options():
    def network(channels: int, *, width: int = 3) -> None: ...

    assert list(declared(network)) == ["width"]


def no_default(*, a: int) -> None: ...
def no_type(*, a=1) -> None: ...
def weight(*, weight: float = 1.0) -> None: ...


@pytest.mark.parametrize("function", [no_default, no_type, weight])
def test_an_option_has_a_type_a_default_and_a_free_name(function):
    with pytest.raises(PluginError, match="needs a type and a default, and a name other than `weight`"):
        resolve(function, {}, "b")


def test_an_option_that_nobody_could_set_is_refused(tiny, write_plugin):
    path = write_plugin(
        "mine",
        "def mine(power: int = 1):\n    return lambda fake: fake.mean()\n@hookimpl\ndef lossbench_loss(): return LossSpec(mine)",
    )
    with pytest.raises(
        PluginError,
        match=r"mine.py: a builder has keyword-only options and nothing else; mend `power: ?'?int'? = 1`. Write a star before it: `def mine\(\*, power",
    ):
        tiny(f"cycle,{path}")


def test_an_option_that_no_toml_file_can_hold_is_refused(tiny, write_plugin):
    path = write_plugin(
        "mine",
        "import enum\nclass Norm(enum.Enum):\n    L1 = 1\ndef mine(*, norm: Norm = Norm.L1):\n    return lambda fake: fake.mean()\n@hookimpl\ndef lossbench_loss(): return LossSpec(mine)",
    )
    with pytest.raises(
        PluginError, match=r"mine: option `norm` is of type Norm, which no TOML file can hold. Options are bool, int"
    ):
        tiny(f"cycle,{path}")


def test_only_the_types_of_options_have_to_be_known(tiny, write_plugin):
    code = "def mine(*, power: 'int' = 1) -> 'NotImported':\n    return lambda fake: fake.abs().pow(power).mean()\n@hookimpl\ndef lossbench_loss(): return LossSpec(mine)"
    assert tiny(f"cycle,{write_plugin('mine', code)}", mine__power=2).config.everything()["mine.power"] == 2
    code = code.replace("'int'", "'NotImported'")
    with pytest.raises(
        PluginError, match=r"Option `power`: its type cannot be read, name 'NotImported' is not defined. Import it"
    ):
        tiny(f"cycle,{write_plugin('mine', code)}")


def test_an_option_may_be_called_as_an_image_is(tiny, write_plugin):
    code = "def mine(*, target: float = 0.5):\n    return lambda fake: (fake.mean() - target).square()\n@hookimpl\ndef lossbench_loss(): return LossSpec(mine)"
    assert tiny(f"cycle,{write_plugin('mine', code)}", mine__target=0.1).config.everything()["mine.target"] == 0.1


def test_a_builder_that_was_called_is_told(tiny, write_plugin):
    code = "def mine():\n    def term(fake):\n        return fake.mean()\n    return term\n@hookimpl\ndef lossbench_loss(): return LossSpec(mine())"
    with pytest.raises(
        PluginError,
        match=r"mine.py: what LossSpec is given asks for `fake`, as a term does. Give it the builder itself",
    ):
        tiny(f"cycle,{write_plugin('mine', code)}")


def made(*, layers: tuple[str, ...] = ("a",), sizes: tuple[int, ...] | None = None, file: Path | None = None) -> None:
    """Options that a shell writes as plain words."""


@pytest.mark.parametrize(
    ("given", "found"), [("a,b", ("a", "b")), ("a", ("a",)), (" a , b ", ("a", "b")), (["a", "b"], ("a", "b"))]
)
def test_a_list_of_text_needs_no_quotes(given, found):
    assert resolve(made, {"layers": given}, "made")["layers"] == found


def test_a_list_of_numbers_needs_no_brackets():
    assert resolve(made, {"sizes": "3,4"}, "made")["sizes"] == (3, 4)
    with pytest.raises(OptionError, match=r"made.sizes='3,x': "):
        resolve(made, {"sizes": "3,x"}, "made")


def test_a_file_means_the_same_from_any_folder(tmp_path, monkeypatch):
    (tmp_path / "x.png").touch()
    monkeypatch.chdir(tmp_path)
    assert resolve(made, {"file": "x.png"}, "made")["file"] == tmp_path / "x.png"
    assert resolve(made, {"file": "y.png"}, "made")["file"] == Path("y.png")  # the loss will say that it is not there


def test_the_choices_of_an_option_are_shown_as_they_are_written():
    def choosy(*, way: Literal["A2B", "B2A"] = "A2B") -> None: ...

    with pytest.raises(OptionError, match=r"choosy.way='x': input should be 'A2B' or 'B2A'\."):
        resolve(choosy, {"way": "x"}, "choosy")
