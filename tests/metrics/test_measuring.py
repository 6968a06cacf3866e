"""From images to values: what a metric asks for is computed once, and what cannot be measured says why."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from torch import Tensor

from lossbench.errors import OptionError, PluginError, WeightsError
from lossbench.metrics import chosen, measure, measuring, require, unavailable

BUILT_IN = (
    "colour", "contour_error", "fd_efficientnet_lite0", "fid", "fid_clean", "hue_drift", "kid", "kid_clean", "l1",
    "lpips", "lpips_cycle", "lpips_identity", "lpips_io", "mask_iou", "not_found", "psnr", "shape_error", "sharpness",
    "ssim",
)  # fmt: skip


def images(*levels: int) -> Tensor:
    return torch.stack([torch.full((3, 8, 8), level, dtype=torch.uint8) for level in levels])


@pytest.fixture
def write(write_plugin):
    """Return a writer of a metric's file: its parameters and body in, the word for it out."""

    def made(parameters: str, body: str, name: str = "mine", spec: str = 'better="lower"') -> str:
        code = f"calls = []\ndef mine({parameters}):\n    {body}\n"
        code += f"@hookimpl\ndef lossbench_metric():\n    return MetricSpec(mine, {spec})\n"
        return str(write_plugin(name, code))

    return made


def found(word: str, given=None, name: str = "mine", **options):
    return measure(chosen([word]), {"fake": images(1, 2, 3)} if given is None else given, **options)[name]


# Values ---------------------------------------------------------------------------------------------------------------


def test_a_number_for_each_image_becomes_their_mean(write):
    cell = found(write("fake", "return [float(x.float().mean()) for x in fake]"))
    assert (cell["value"], cell["n"]) == (2.0, 3)


def test_an_image_in_which_there_is_nothing_to_measure_does_not_count(write):
    cell = found(write("fake", 'return [1.0, float("nan"), 4.0]'))
    assert (cell["value"], cell["n"]) == (2.5, 2)


def test_one_number_is_of_all_translations(write):
    cell = found(write("fake", "return 7"))
    assert (cell["value"], cell["n"]) == (7.0, 3)
    assert isinstance(cell["value"], float)


def test_of_two_sets_both_are_counted(write):
    given = {"fake": images(1, 2, 3), "target": images(1, 2)}
    cell = found(write("fake, target", "return 7"), given)
    assert (cell["n"], cell["n_target"]) == (3, 2)
    assert "n_target" not in found(write("fake, target", "return [1, 2, 3]", "other"), given, "other")
    assert "n_target" not in found(write("fake", "return 7", "third"), given, "third")


@pytest.mark.parametrize("value", [math.nan, [math.nan, math.nan, math.nan], []])
def test_nothing_anywhere_is_no_value(write, value):
    cell = found(write("fake", f"nan = float('nan'); return {value}"))
    assert (cell["value"], cell["n"]) == (None, 0)
    assert cell["reason"] == "there is no image in which anything can be measured"


@pytest.mark.parametrize("value", ["inf", "[1, inf, 2]", "-inf"])
def test_what_is_infinite_is_no_value(write, value):
    cell = found(write("fake", f"inf = float('inf'); return {value}"))
    assert (cell["value"], cell["reason"]) == (None, "it is infinite")


def test_a_value_says_what_it_means(write):
    spec = 'better="higher", unit="px", shown=100, protocol="2", weights=("alexnet",)'
    cell = found(write("fake", "return 1", spec=spec))
    assert {key: cell[key] for key in ("better", "unit", "shown", "protocol")} == {
        "better": "higher", "unit": "px", "shown": 100, "protocol": "2",
    }  # fmt: skip
    assert cell["weights"].keys() == {"alexnet"}
    assert len(cell["weights"]["alexnet"]) == 64
    assert len(cell["sha256"]) == 64


def test_every_built_in_metric_says_what_its_values_mean():
    metrics = chosen(BUILT_IN)
    assert [each.name for each in metrics] == list(BUILT_IN)
    for each in metrics:
        facts = each.facts()
        assert facts["better"] in ("lower", "higher")
        assert facts["distribution"] == "lossbench"
    assert {each.name for each in metrics if each.facts()["better"] == "higher"} == {"mask_iou", "psnr", "ssim"}
    assert {each.name: each.facts()["shown"] for each in metrics if each.facts()["shown"] != 1} == {
        "kid": 100, "kid_clean": 100,
    }  # fmt: skip


# What they ask for ----------------------------------------------------------------------------------------------------


def test_images_are_made_by_the_generators_and_once(write):
    calls = []

    def translate(some):
        calls.append(some)
        return some + 1

    given = {"real": images(1), "target": images(9), "translate": translate, "translate_back": lambda some: some + 10}
    words = [
        write("real, fake, rec, idt, target", "return [int(x[0, 0, 0, 0]) for x in (real, fake, rec, idt, target)]"),
        write("rec, fake", "return 0", "other"),
    ]
    values = measure(chosen(words), given)
    assert values["mine"]["value"] == (1 + 2 + 12 + 10 + 9) / 5
    assert len(calls) == 2  # of real and of target


def test_translations_that_are_given_are_not_made(write):
    given = {"real": images(1), "fake": images(5), "translate": lambda some: some + 1}
    assert found(write("fake", "return [float(fake[0, 0, 0, 0])]"), given)["value"] == 5


def test_what_metrics_share_is_computed_once(write):
    code = "once(shared, fake); return 1\ndef shared(x):\n    calls.append(x)\n    assert len(calls) == 1"
    word = write("fake, once", code)
    other = Path(word).with_name("other.py")
    other.write_text(
        "import sys\nfrom lossbench import *\ndef other(fake, once):\n"
        "    shared = sys.modules['lossbench_file_mine'].shared\n"
        "    return 1 if once(shared, fake) is None else 0\n"
        '@hookimpl\ndef lossbench_metric():\n    return MetricSpec(other, better="lower")\n'
    )
    values = measure(chosen([word, str(other)]), {"fake": images(1)})
    assert [values[name]["value"] for name in ("mine", "other")] == [1, 1]


def test_nothing_is_differentiated(write):
    assert found(write("fake", "import torch; return float(torch.is_grad_enabled())"))["value"] == 0


def test_only_what_is_asked_for_is_computed(write):
    def translate(some):
        raise AssertionError

    given = {"real": images(1), "target": images(1), "translate": translate}
    assert found(write("real", "return 1"), given)["value"] == 1


@pytest.mark.parametrize(
    ("asks", "reason"),
    [
        ("truth", "there is no truth to compare with"),
        ("target", "there are no images of the target domain"),
        ("real", "the source images are not known"),
        ("rec", "there is no generator back"),
        ("idt", "there is no generator to translate with"),
    ],
)
def test_what_is_not_there_is_said(write, asks, reason):
    cell = found(write(asks, "return 1"))
    assert (cell["value"], cell["n"], cell["reason"]) == (None, 0, reason)


def test_whoever_measures_may_say_why_it_is_not_there(write):
    cell = found(write("truth", "return 1"), lacking={"truth": "the files have other names"})
    assert cell["reason"] == "the files have other names"


def test_without_a_generator_there_is_no_identity(write):
    cell = found(write("idt", "return 1"), {"fake": images(1), "target": images(1)})
    assert cell["reason"] == "there is no generator to translate with"


# What fails -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ('raise DataError("no  such\\nthing")', "no such thing"),
        ("import no_such_package", "it needs the package `no_such_package`: pip install no_such_package"),
        ("return 1 / 0", "it failed: ZeroDivisionError: division by zero"),
    ],
)
def test_a_metric_that_fails_is_unavailable_and_the_others_are_not(write, body, reason):
    words = [write("fake", body), write("fake", "return 1", "other")]
    values = measure(chosen(words), {"fake": images(1)})
    assert (values["mine"]["value"], values["mine"]["reason"]) == (None, reason)
    assert values["other"]["value"] == 1


def test_images_without_a_partner_are_a_mistake():
    cell = found("l1", {"fake": images(1, 2), "truth": images(1)}, "l1")
    assert cell["value"] is None
    assert "shorter" in cell["reason"]


def test_weights_that_cannot_be_had_are_said_beforehand(monkeypatch):
    def absent(word):
        if word == "lpips-alex":
            raise WeightsError(f"{word} cannot be had.\nTried: nothing")

    monkeypatch.setattr(measuring, "pull", absent)
    reasons = unavailable(chosen(["fid", "lpips", "l1"]))
    assert reasons == {"lpips": "lpips-alex cannot be had. Tried: nothing"}
    require(["fid", "l1"], reasons)
    with pytest.raises(OptionError, match=r"^--require lpips: unavailable, lpips-alex cannot be had\. Tried"):
        require(["l1", "lpips"], reasons)


# What is asked for ----------------------------------------------------------------------------------------------------


def test_a_metric_is_measured_once_however_often_it_is_named():
    assert [each.name for each in chosen(["l1", "psnr", "l1"])] == ["l1", "psnr"]


def test_a_file_with_the_name_of_another_metric_is_refused(write):
    with pytest.raises(OptionError, match="Metric `l1` is asked for twice, by name or as a file"):
        chosen(["l1", write("fake", "return 1", "l1")])


def test_a_metric_that_asks_for_what_there_is_not_is_refused_with_the_near_miss(write):
    with pytest.raises(PluginError, match=r"asks for `fakes`\. Did you mean `fake`\? Metrics may ask for: real, fake"):
        chosen([write("fakes", "return 1")])


def test_an_unknown_metric_is_refused_with_the_near_miss():
    with pytest.raises(PluginError, match="Did you mean `psnr`"):
        chosen(["psrn"])


# Groups ---------------------------------------------------------------------------------------------------------------


def test_a_group_is_measured_by_itself_and_computed_with_the_rest(write):
    word = write("fake", "calls.append(1); return [float(x.float().mean()) + len(calls) for x in fake]")
    values = measure(chosen([word, f"{word}@some"]), {"fake": images(1, 2, 9)}, groups={"some": [0, 2]})
    assert (values["mine"]["value"], values["mine"]["n"]) == (5, 3)
    assert (values["mine@some"]["value"], values["mine@some"]["n"]) == (6, 2)


def test_a_group_of_one_number_is_none(write):
    cell = found(write("fake", "return 1") + "@some", groups={"some": [0]}, name="mine@some")
    assert (cell["value"], cell["reason"]) == (None, "it is a number of all images together, and none of a group's")


def test_a_group_that_does_not_exist_is_said(write):
    word = write("fake", "return [1.0]")
    cell = found(word + "@faces", groups={"some": [0]}, name="mine@faces")
    assert cell["reason"].startswith("there is no group `faces` of test images")
    assert cell["reason"].endswith("groups: some")
    assert found(word + "@faces", name="mine@faces")["reason"].endswith("groups: none")
