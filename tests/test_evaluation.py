"""Folders of images, and a run's own test images, measured: every pair is by name, and what is not measured says why."""

from __future__ import annotations

import json
import math
import shutil
import time
from pathlib import Path

import cv2
import numpy as np
import pytest

import lossbench as api
from lossbench import weights
from lossbench.errors import DataError, OptionError, PluginError, RunError, WeightsError
from lossbench.prepare import prepare
from lossbench.record import read_record
from lossbench.resume import reopen
from lossbench.run import go
from tests.conftest import TINY, write_images

BRIGHTNESS = """
def {name}(fake, {other}):
    return [abs(float(a.double().mean() - b.double().mean())) for a, b in zip(fake, {other})]


@hookimpl
def lossbench_metric():
    return MetricSpec({name}, better="lower", unit="levels of 255")
"""


@pytest.fixture
def folder(tmp_path):
    """Return a writer of a folder: level of grey, or whole image, by file name."""

    def made(name, side=8, **images):
        place = tmp_path / name
        place.mkdir()
        for stem, image in images.items():
            grey = np.full((side, side, 3), image, np.uint8) if isinstance(image, int) else image
            cv2.imwrite(str(place / f"{stem}.png"), grey)
        return place

    return made


@pytest.fixture
def metric(write_plugin):
    """Return a metric that compares a translation with another image by brightness."""
    return lambda other, name="brightness": str(write_plugin(name, BRIGHTNESS.format(name=name, other=other)))


@pytest.fixture
def offline(monkeypatch):
    """No weights are here, and none can be had."""

    def made(plugin, *others):
        raise WeightsError(f"{plugin.origin.name} cannot be fetched.")

    monkeypatch.setattr(weights, "_made", made)
    monkeypatch.delenv("LOSSBENCH_WEIGHTS", raising=False)


def measured(*places, **options):
    return api.evaluate(*places, **options)["metrics"]


# Two folders ------------------------------------------------------------------------------------------------------


def test_translations_are_compared_with_their_truth_by_name(folder):
    fakes = folder("fakes", a=100, b=50)
    truth = folder("truth", other=255, b=60, a=130)
    values = measured(fakes, truth, metrics=["l1", "psnr"])
    assert values["l1"]["value"] == pytest.approx((30 + 10) / 2 / 127.5)
    assert values["psnr"]["value"] == pytest.approx(sum(20 * math.log10(255 / off) for off in (30, 10)) / 2)
    assert (values["l1"]["n"], values["l1"]["unit"], values["l1"]["better"]) == (2, "of 2", "lower")


def test_a_folder_beside_itself_is_without_error(folder):
    fakes = folder("fakes", a=np.arange(192, dtype=np.uint8).reshape(8, 8, 3), b=50)
    assert measured(fakes, fakes, metrics=["l1"])["l1"]["value"] == 0


def test_file_endings_do_not_matter(folder):
    fakes, truth = folder("fakes", a=100), folder("truth", a=130)
    (truth / "a.png").rename(truth / "a.webp")
    assert measured(fakes, truth, metrics=["l1"])["l1"]["value"] == pytest.approx(30 / 127.5)


def test_the_truth_is_brought_to_the_size_of_its_translation(folder):
    checks = np.zeros((16, 16, 3), np.uint8)
    checks[::2, ::2] = 200  # a quarter of the pixels: 50 on average
    values = measured(folder("fakes", a=40), folder("truth", a=checks), metrics=["l1"])
    assert values["l1"]["value"] == pytest.approx(10 / 127.5)


def test_each_of_its_own_size(folder):
    fakes = folder("fakes", a=np.full((8, 20, 3), 10, np.uint8), b=np.full((30, 8, 3), 20, np.uint8))
    truth = folder("truth", a=np.full((40, 9, 3), 10, np.uint8), b=np.full((8, 8, 3), 30, np.uint8))
    assert measured(fakes, truth, metrics=["l1"])["l1"]["value"] == pytest.approx(10 / 2 / 127.5)


def test_without_its_partner_there_is_a_reason_and_sets_are_measured_still(folder, metric):
    fakes, truth = folder("fakes", a=100, b=50), folder("truth", a=130, c=0)
    values = measured(fakes, truth, metrics=["l1", metric("target")])
    assert (values["l1"]["value"], values["l1"]["n"]) == (None, 0)
    assert values["l1"]["reason"] == f"{truth} has no image named b, which {fakes} has"
    assert values["brightness"]["value"] == pytest.approx((30 + 50) / 2)  # in order of name, whoever they are


def test_the_source_is_paired_the_same_way(folder, metric):
    fakes, real = folder("fakes", a=100, b=50), folder("real", c=0, b=70, a=100)
    word = metric("real")
    assert measured(fakes, fakes, source=real, metrics=[word])["brightness"]["value"] == pytest.approx(10)
    reasons = [
        measured(fakes, fakes, metrics=[word])["brightness"]["reason"],
        measured(fakes, fakes, source=folder("less", a=1), metrics=[word])["brightness"]["reason"],
    ]
    assert reasons[0] == "the images that were translated are not named: --source DIR"
    assert reasons[1].endswith(f"less has no image named b, which {fakes} has")


@pytest.mark.parametrize(("asks", "what"), [("rec", "back"), ("idt", "to translate with")])
def test_what_needs_a_generator_says_so(folder, metric, asks, what):
    fakes = folder("fakes", a=100)
    value = measured(fakes, fakes, source=fakes, metrics=[metric(asks)])["brightness"]
    assert value["reason"] == f"there is no generator {what}"


def test_values_say_what_they_depend_on(folder):
    fakes = folder("fakes", a=100)
    found = api.evaluate(fakes, fakes, metrics=["l1"])
    assert {"protocol", "weights", "sha256", "distribution", "version", "unit"} <= found["metrics"]["l1"].keys()
    assert found["environment"]["packages"]["torch"]
    assert json.loads(json.dumps(found, allow_nan=False)) == found


def test_what_cannot_be_had_is_unavailable_or_refused(folder, offline):
    fakes = folder("fakes", a=100, b=50)
    values = measured(fakes, fakes)
    assert list(values) == ["l1", "psnr", "ssim", "fid", "kid"]
    assert values["l1"]["value"] == 0
    assert (values["fid"]["value"], values["fid"]["n"]) == (None, 0)
    assert values["fid"]["reason"] == "fid-inception cannot be fetched."
    with pytest.raises(OptionError, match=r"^--require fid: unavailable, fid-inception cannot be fetched\.$"):
        measured(fakes, fakes, required=["fid"])


def test_what_is_required_and_could_not_be_measured_is_refused(folder):
    fakes, truth = folder("fakes", a=100), folder("truth", b=100)
    with pytest.raises(OptionError, match=r"^--require l1: unavailable, .*truth has no image named a"):
        measured(fakes, truth, metrics=["l1"], required=["l1"])
    with pytest.raises(OptionError, match=r"^--require kid: it is not measured\. Add it: --metrics kid$"):
        measured(fakes, fakes, metrics=["l1"], required=["kid"])


def test_many_images_are_paired_in_time(folder, monkeypatch):
    from lossbench import evaluation

    names = [Path(f"{n}.png") for n in range(30_000)]
    monkeypatch.setattr(evaluation, "image_paths", lambda folder: names)
    monkeypatch.setattr(evaluation, "read_images", lambda paths: ([np.zeros((4, 4, 3), np.uint8)] * len(paths), {}))
    began = time.process_time()
    found = evaluation._read({"fake": Path("fakes")})
    assert len(found["fake"]) == 30_000
    assert time.process_time() - began < 10  # by the square it would be minutes


# What is refused --------------------------------------------------------------------------------------------------


def test_files_that_are_no_images_are_listed(folder):
    fakes, truth = folder("fakes", a=100, b=1), folder("truth", a=100, b=1)
    (fakes / "b.png").write_text("no image")
    (truth / "a.png").write_bytes(b"")
    with pytest.raises(DataError) as error:
        measured(fakes, truth, metrics=["l1"])
    assert error.value.args == ("2 of 4 images cannot be used. Mend or remove them.",)
    assert [line.partition(": ")[2] for line in error.value.files] == [
        "not a PNG, JPEG, WebP, BMP or TIFF image, whatever its name says", "empty",
    ]  # fmt: skip


def test_two_images_of_one_name_are_refused(folder):
    fakes = folder("fakes", a=100)
    shutil.copy(fakes / "a.png", fakes / "a.bmp")
    with pytest.raises(DataError, match=r"fakes has two images named a\. Rename one of them\."):
        measured(fakes, fakes)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["fakes"], "fakes holds no run.json, so it is a folder of images. Name another: --against DIR"),
        (["fakes", "--against", "nowhere"], "No folder nowhere. Name a folder of images."),
        (["nowhere", "--against", "fakes"], "No folder nowhere. Name a folder of images."),
        (["fakes", "--against", "empty"], "empty holds no image."),
        (["fakes", "--against", "fakes", "--metrics", "psnrr"], "No plugin `psnrr` in lossbench.metrics. Did you mean `psnr`?"),
        (["fakes", "--against", "fakes", "--record"], "fakes is a folder of images, which has no record to write into."),
        (["fakes", "--against", "fakes", "--device", "cuda:9"], "train.device='cuda:9' cannot be used here."),
        (["fakes/a.png", "--against", "fakes"], "No folder fakes/a.png."),
    ],
)  # fmt: skip
def test_what_is_wrong_is_one_line(lossbench, folder, words, said):
    folder("fakes", a=100)
    folder("empty")
    code, out, err = lossbench("evaluate", *words)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert err.startswith(f"lossbench: {said}")


# The command line -------------------------------------------------------------------------------------------------


def test_the_command_line_shows_values_and_reasons(lossbench, folder, offline):
    fakes, truth = folder("fakes", a=100), folder("truth", a=130)
    code, out, err = lossbench(
        "evaluate", fakes, "--against", truth, "--metrics", "l1,lpips_cycle", "--metrics", "psnr"
    )
    assert (code, err) == (0, "")
    assert [line.split() for line in out.splitlines() if line.strip().startswith(("l1", "psnr"))] == [
        ["l1", "(of", "2)", "lower", f"{30 / 127.5:.4g}", "1"],
        ["psnr", "(dB)", "higher", f"{20 * math.log10(255 / 30):.4g}", "1"],
    ]
    assert "lpips_cycle: unavailable, " in out


def test_the_command_line_shows_how_many_images_each_set_has(lossbench, folder):
    fakes, real = folder("fakes", a=100, b=50), folder("real", c=130, d=0, e=9)
    code, out, _ = lossbench("evaluate", fakes, "--against", real, "--metrics", "colour")
    assert code == 0
    assert " 2 against 3 " in out


def test_as_json_it_is_all_of_it(lossbench, folder):
    fakes, truth = folder("fakes", a=100), folder("truth", a=130)
    code, out, _ = lossbench("evaluate", fakes, "--against", truth, "--metrics", "l1", "--json")
    assert code == 0
    assert json.loads(out)["metrics"]["l1"]["value"] == pytest.approx(30 / 127.5)


def test_what_is_required_ends_with_exit_code_2(lossbench, folder, offline):
    fakes = folder("fakes", a=100)
    code, out, err = lossbench("evaluate", fakes, "--against", fakes, "--require", "fid")
    assert (code, out) == (2, "")
    assert err == "lossbench: --require fid: unavailable, fid-inception cannot be fetched.\n"


# A run ------------------------------------------------------------------------------------------------------------

MEASURED = "l1,psnr,shape_error,l1@some"


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    """Return a run on four images a side, of which one is a group."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("lossbench.outcome.sample_grid", lambda path, rows: path.touch())
        patch.setattr("lossbench.run.loss_curves", lambda path, log: None)
        place = tmp_path_factory.mktemp("place")
        patch.setenv("LOSSBENCH_CACHE", str(place / "cache"))
        images = write_images(place / "images")
        (images / "test_some.txt").write_text("2.png\n", "utf-8")
        settings = TINY | {"data.dir": str(images), "data.paired_test": True}
        return go(prepare("cycle", settings=settings, metrics=MEASURED), place / "run")


@pytest.fixture
def run(done, tmp_path):
    return Path(shutil.copytree(done.directory, tmp_path / "run"))


def edited(run, **keys):
    """Change settings in a run's record."""
    record = read_record(run)
    record["config"] |= {key.replace("__", "."): value for key, value in keys.items()}
    (run / "run.json").write_text(json.dumps(record), "utf-8")
    return run


def test_a_run_is_measured_as_it_measured_itself(run):
    values = measured(run)
    assert values == read_record(run)["metrics"]
    assert values["A2B"]["translation"]["l1@some"]["n"] == 1
    assert values["A2B"]["translation"]["l1@some"]["value"] != values["A2B"]["translation"]["l1"]["value"]
    assert values["A2B"]["copy"]["l1"]["value"] != values["A2B"]["translation"]["l1"]["value"]


def test_a_run_is_the_folder_of_its_translations(run, tmp_path):
    api.translate(run, Path(read_record(run)["config"]["data.dir"]) / "testA", out=tmp_path / "fakes")
    truth = tmp_path / "truth"
    truth.mkdir()
    data = prepare("cycle", settings=TINY | {"data.dir": read_record(run)["config"]["data.dir"]}).dataset
    for name, image in zip(data.test_names["B"], data.test["B"], strict=True):
        cv2.imwrite(str(truth / name), image.permute(1, 2, 0).numpy()[..., ::-1])
    beside = measured(tmp_path / "fakes", truth, metrics=["l1"])["l1"]["value"]
    own = read_record(run)["metrics"]["A2B"]["translation"]["l1"]["value"]
    assert beside == pytest.approx(own, rel=1e-5)  # in a batch of another size sums round otherwise, here of one value


def test_measuring_writes_nothing_unless_it_is_to_be_recorded(run):
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    measured(run, metrics=["ssim"])
    assert {path: path.read_bytes() for path in run.rglob("*") if path.is_file()} == before


def test_recorded_values_stand_beside_those_that_were_there(run):
    before = read_record(run)
    values = measured(run, metrics=["ssim", "l1"], record=True)
    after = read_record(run)
    assert set(values["B2A"]["translation"]) == {"ssim", "l1"}
    for way in ("A2B", "B2A"):
        for what, some in before["metrics"][way].items():
            assert after["metrics"][way][what] == some | values[way].get(what, {})
    assert after["config"]["metrics"] == [*MEASURED.split(","), "ssim"]
    untouched = [key for key in before if key not in ("config", "metrics")]
    assert {key: after[key] for key in untouched} == {key: before[key] for key in untouched}
    assert reopen(run, None, None, None, {"train.steps": 9}).config.train.steps == 9  # it is still the same run


def test_what_is_required_of_a_run_is_required_in_each_direction(run, metric):
    word = metric("truth")
    assert measured(run, metrics=[word], required=["brightness"])
    run = edited(run, data__paired_test=False)
    with pytest.raises(OptionError, match=r"^--require brightness: unavailable, there is no truth"):
        measured(run, metrics=[word], required=["brightness"], record=True)
    assert "brightness" not in read_record(run)["metrics"]["A2B"]["translation"]


def test_a_run_has_its_own_images(run):
    for others in ({"against": run}, {"source": run}):
        with pytest.raises(
            OptionError, match=r"is a run, which has its own test images\. Leave --against and --source"
        ):
            api.evaluate(run, **others)


def test_a_run_whose_images_changed_is_refused(run, tmp_path):
    images = Path(shutil.copytree(read_record(run)["config"]["data.dir"], tmp_path / "images"))
    assert measured(edited(run, data__dir=str(images)), metrics=["l1"])  # elsewhere, they are the same
    shutil.copy(images / "testA" / "0.png", images / "testA" / "1.png")
    with pytest.raises(RunError, match=rf"^The images in {images} are not those that {run} was trained on\.$"):
        measured(run, metrics=["l1"])


def test_a_run_without_weights_or_with_others_is_refused(run):
    shutil.copy(run / "weights" / "D_A2B.safetensors", run / "weights" / "G_B2A.safetensors")
    with pytest.raises(RunError, match=r"G_B2A\.safetensors holds another network"):
        measured(run)
    shutil.rmtree(run / "weights")
    with pytest.raises(RunError, match=r"G_A2B\.safetensors is missing; the run has no weights for it\."):
        measured(run)


def test_a_damaged_record_is_refused(run):
    (run / "run.json").write_text("{")
    with pytest.raises(RunError, match=r"run\.json cannot be read"):
        measured(run)


def marked(tmp_path, name, code):
    """Write a plugin that leaves a mark when it is run."""
    path = tmp_path / f"{name}.py"
    path.write_text(f"import pathlib; pathlib.Path({str(tmp_path / 'ran')!r}).touch()\n{code}\n", "utf-8")
    return path


def test_a_recipe_that_is_a_file_is_run_only_if_it_is_named_again(run, tmp_path):
    recipe = marked(tmp_path, "mine", "from lossbench_plugins.recipes.cyclegan import lossbench_recipe")
    edited(run, recipe=str(recipe))
    with pytest.raises(RunError, match=r"a recipe that is code, .*mine\.py\. If you trust it: --recipe .*mine\.py$"):
        measured(run, metrics=["l1"])
    assert not (tmp_path / "ran").exists()
    found = measured(run, metrics=["l1"], recipe=str(recipe))
    assert found["A2B"]["translation"]["l1"] == read_record(run)["metrics"]["A2B"]["translation"]["l1"]
    with pytest.raises(OptionError, match=r"which no recipe was trained on\. Leave --recipe out\.$"):
        api.evaluate(tmp_path, tmp_path, recipe=str(recipe))


@pytest.mark.parametrize("group", ["", "@some"])
def test_a_metric_that_is_a_file_is_run_only_if_it_is_named_again(run, tmp_path, group):
    code = "from lossbench_plugins.metrics.l1 import lossbench_metric"
    word = f"{marked(tmp_path, 'mine', code)}{group}"
    edited(run, metrics=["l1", word])
    with pytest.raises(
        RunError, match=r"a metric that is code, .*mine\.py.*\. If you trust it: --metrics l1,.*mine\.py"
    ):
        measured(run)
    assert not (tmp_path / "ran").exists()
    found = measured(run, metrics=[word], record=True)["A2B"]["translation"][f"mine{group}"]
    assert found["value"] == read_record(run)["metrics"]["A2B"]["translation"][f"l1{group}"]["value"]
    assert read_record(run)["config"]["metrics"] == ["l1", word]


def test_a_loss_of_the_run_is_never_run(run, tmp_path):
    """Its weights are all that is needed, so a loss that is lost does not matter."""
    edited(run, plugins=["cycle", str(marked(tmp_path, "loss", "raise RuntimeError"))])
    assert measured(run, metrics=["l1"])
    assert not (tmp_path / "ran").exists()


def test_the_command_line_shows_a_runs_directions_and_the_copy(lossbench, run):
    code, out, err = lossbench("evaluate", run, "--metrics", "l1", "--record")
    assert (code, err) == (0, "")
    assert all(head in out for head in ("A2B", "A2B copy", "B2A", "B2A copy"))
    assert f"{read_record(run)['metrics']['A2B']['translation']['l1']['value']:.4g}" in out
    code, out, _ = lossbench("evaluate", run, "--metrics", "l1", "--json")
    assert json.loads(out)["metrics"]["A2B"]["translation"]["l1"]["n"] == 4


def test_a_metric_that_is_none_is_one_line_and_nothing_recorded(run):
    before = (run / "run.json").read_bytes()
    with pytest.raises(PluginError, match=r"^No plugin `psnrr` in lossbench\.metrics\. Did you mean `psnr`\?"):
        measured(run, metrics=["psnrr"], record=True)
    assert (run / "run.json").read_bytes() == before
