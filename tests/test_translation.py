"""Translating files: what a run showed, any image at any size, and nothing half-written."""

from __future__ import annotations

import shutil

import numpy as np
import PIL.Image as Pillow
import pytest
import torch
from rich.console import Console

import lossbench
from lossbench import DataError, OptionError, RunError
from lossbench.errors import LossbenchError
from lossbench.networks import resnet, unet
from lossbench.prepare import prepare
from lossbench.run import go
from lossbench.translation import BATCH, apply
from tests.conftest import TINY

translated = lossbench.translate


@pytest.fixture(scope="module")
def done(tmp_path_factory, plain_pictures):
    return go(prepare("cycle,tv", settings=TINY), tmp_path_factory.mktemp("runs") / "cyclegan")


@pytest.fixture(scope="module")
def drawing(tmp_path_factory, plain_pictures):
    """Return a run of pix2pix from B to A: batch norm, dropout in translation, one direction that is not the first."""
    settings = TINY | {"data.size": 64, "data.load_size": 64, "model.ngf": 2, "train.seed": 3, "data.direction": "BtoA"}
    settings["model.generator"] = "unet_64"  # the smallest with dropout
    return go(prepare(None, recipe="pix2pix", settings=settings), tmp_path_factory.mktemp("runs") / "pix2pix")


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "images"
    folder.mkdir()
    for number, name in enumerate(("a", "b")):
        write(folder / f"{name}.png", noise(40, 50, seed=number))
    return folder


def noise(height, width, channels=3, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (height, width, channels), np.uint8)


def write(path, image, **options):
    Pillow.fromarray(image.squeeze()).save(path, **options)
    return path


def read(path):
    return np.array(Pillow.open(path))


def pixels(images):
    """uint8 [N, 3, H, W] -> N arrays [H, W, 3]."""
    return list(images.permute(0, 2, 3, 1).numpy())


# The run's own images -----------------------------------------------------------------------------------------------


def test_an_image_is_written_for_each(done, folder, tmp_path):
    written = lossbench.translate(done.directory, folder, direction="B2A", out=tmp_path / "out")
    assert [path.name for path in written] == ["a.png", "b.png"]
    assert read(written[0]).shape == (32, 32, 3)


def test_what_the_run_showed_is_repeated(done, tmp_path):
    """The run's own test images, through files, come out as the network gives them."""
    write(tmp_path / "x.png", pixels(done.dataset.test["A"])[0])
    (written,) = lossbench.translate(done.directory, tmp_path / "x.png", out=tmp_path / "out")
    with torch.no_grad():
        fake = done.networks.G["A2B"].eval()(done.dataset.test["A"][:1].float() / 127.5 - 1)
    expected = (fake[0].permute(1, 2, 0).clamp(-1, 1) + 1).mul(127.5).round().byte().numpy()
    assert np.abs(read(written).astype(int) - expected).max() <= 1


@pytest.mark.parametrize("which", ["done", "drawing"])
def test_files_of_all_test_images_come_out_as_those_that_the_run_judged(which, request, tmp_path):
    run = request.getfixturevalue(which)
    direction = run.config.recipe.directions[0]
    images = run.dataset.test[direction[0]][: BATCH + 3]
    (tmp_path / "in").mkdir()
    for number, image in enumerate(pixels(images)):
        write(tmp_path / "in" / f"{number:02}.png", image)
    judged = apply(run.networks.G[direction], images, noise=run.config.recipe.noise_at_test, seed=run.config.train.seed)
    written = lossbench.translate(run.directory, tmp_path / "in", out=tmp_path / "out")
    assert len(written) == BATCH + 3
    for path, fake in zip(written, pixels(judged), strict=True):
        assert np.array_equal(read(path), fake)


def test_a_run_of_one_direction_is_translated_in_it(drawing, folder, tmp_path):
    by_itself = lossbench.translate(drawing.directory, folder, out=tmp_path / "by itself")
    named = lossbench.translate(drawing.directory, folder, direction="BtoA", out=tmp_path / "named")
    assert [path.read_bytes() for path in by_itself] == [path.read_bytes() for path in named]
    with pytest.raises(OptionError, match=r"--direction A2B: the run has B2A\."):
        lossbench.translate(drawing.directory, folder, direction="A2B", out=tmp_path / "out")


def test_directions_are_spelt_either_way(done, folder, tmp_path):
    made = {
        way: lossbench.translate(done.directory, folder / "a.png", direction=way, out=tmp_path / way)[0].read_bytes()
        for way in ("A2B", "AtoB", "B2A", "BtoA")
    }
    assert made["A2B"] == made["AtoB"] != made["B2A"] == made["BtoA"]


# Networks that draw -------------------------------------------------------------------------------------------------


def test_a_seed_repeats_and_two_differ(drawing, folder, tmp_path):
    def made(seed, out):
        return [path.read_bytes() for path in lossbench.translate(drawing.directory, folder, seed=seed, out=out)]

    of_the_run = made(None, tmp_path / "none")
    assert made(3, tmp_path / "3") == of_the_run  # train.seed
    other = made(0, tmp_path / "0")
    assert made(0, tmp_path / "again") == other
    assert all(one != two for one, two in zip(other, of_the_run, strict=True))


def test_a_translation_does_not_depend_on_what_else_is_in_the_folder(drawing, folder, tmp_path):
    first, second = lossbench.translate(drawing.directory, folder, out=tmp_path / "both")
    shutil.copy(folder / "b.png", tmp_path / "alone.png")
    (alone,) = lossbench.translate(drawing.directory, tmp_path / "alone.png", out=tmp_path / "one")
    assert alone.read_bytes() == second.read_bytes() != first.read_bytes()


def test_noise_needs_train_mode_and_leaves_the_mode_as_it_was():
    network, images = unet(depth=6, ngf=2).eval(), torch.from_numpy(noise(64, 64)).permute(2, 0, 1)[None]
    still = [apply(network, images, noise=False, seed=seed) for seed in (0, 1)]
    drawn = [apply(network, images, noise=True, seed=seed) for seed in (0, 1)]
    assert torch.equal(*still)
    assert not torch.equal(*drawn)
    assert not network.training


@pytest.mark.parametrize(
    ("network", "noise", "most"),
    [
        (resnet(blocks=1, ngf=2), False, BATCH),
        (resnet(blocks=1, ngf=2), True, BATCH),
        (resnet(blocks=1, ngf=2, norm="batch"), False, 1),
        (resnet(blocks=1, ngf=2, dropout=0.5), True, 1),
        (resnet(blocks=1, ngf=2, dropout=0.5), False, BATCH),
    ],
)
def test_what_depends_on_draws_or_the_batch_goes_alone_and_the_rest_in_batches(network, noise, most):
    sizes = []
    handle = network.register_forward_pre_hook(lambda module, given: sizes.append(len(given[0])))
    apply(network, torch.zeros(BATCH + 1, 3, 16, 16, dtype=torch.uint8), noise=noise, seed=0)
    handle.remove()
    assert max(sizes) == most
    assert sum(sizes) == BATCH + 1


# Any size -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("height", "width"), [(4, 4), (5, 90), (33, 47), (130, 70)])
def test_an_image_keeps_its_size(done, tmp_path, height, width):
    image = write(tmp_path / "x.png", noise(height, width))
    (written,) = lossbench.translate(done.directory, image, out=tmp_path / "out", keep_size=True, tile=64)
    assert read(written).shape == (height, width, 3)


def test_an_image_of_the_runs_size_is_the_same_with_its_own_size(done, tmp_path):
    image = write(tmp_path / "x.png", pixels(done.dataset.test["A"])[0])
    made = [
        lossbench.translate(done.directory, image, out=tmp_path / str(own), keep_size=own)[0] for own in (False, True)
    ]
    assert np.array_equal(*map(read, made))


def test_tiles_of_a_network_that_draws_repeat(drawing, tmp_path):
    image = write(tmp_path / "x.png", noise(150, 64))
    options = {"keep_size": True, "tile": 64, "overlap": 16}
    made = [
        lossbench.translate(drawing.directory, image, out=tmp_path / str(n), seed=seed, **options)[0].read_bytes()
        for n, seed in enumerate((0, 0, 1))
    ]
    assert made[0] == made[1] != made[2]


# What is in a file --------------------------------------------------------------------------------------------------


def test_alpha_is_kept_and_what_is_transparent_is_white(done, tmp_path):
    colour, alpha = noise(40, 40), noise(40, 40, 1, seed=1) // 128 * 255
    write(tmp_path / "clear.png", np.dstack((colour, alpha)))
    write(tmp_path / "white.png", np.where(alpha == 255, colour, 255).astype(np.uint8))
    clear, white = (
        lossbench.translate(done.directory, tmp_path / f"{name}.png", out=tmp_path / name, keep_size=True)[0]
        for name in ("clear", "white")
    )
    assert np.array_equal(read(clear), np.dstack((read(white), alpha)))


def test_alpha_is_resized_with_its_image(done, tmp_path):
    alpha = np.zeros((64, 48), np.uint8)
    alpha[:32] = 200
    image = write(tmp_path / "x.png", np.dstack((noise(64, 48), alpha)))
    (written,) = lossbench.translate(done.directory, image, out=tmp_path / "out")
    assert read(written).shape == (32, 32, 4)
    assert (read(written)[:16, :, 3] == 200).all()
    assert (read(written)[16:, :, 3] == 0).all()


@pytest.mark.parametrize("kind", ["palette", "grey and alpha", "16 bits"])
def test_transparency_of_any_kind_is_kept(done, tmp_path, kind):
    hidden = np.zeros((16, 16), bool)
    hidden[4:9, 2:5] = True
    grey = np.where(hidden, 7, 90).astype(np.uint8)
    if kind == "palette":
        indexed = Pillow.fromarray(hidden.astype(np.uint8)).convert("P")
        indexed.save(tmp_path / "x.png", transparency=1)
    elif kind == "grey and alpha":
        Pillow.fromarray(np.dstack((grey, 255 - hidden * np.uint8(255)))).save(tmp_path / "x.png")
    else:
        Pillow.fromarray(grey.astype(np.uint16) * 257).save(tmp_path / "x.png", transparency=7 * 257)
    (written,) = lossbench.translate(done.directory, tmp_path / "x.png", out=tmp_path / "out", keep_size=True)
    assert np.array_equal(read(written)[..., 3], np.where(hidden, 0, 255))


def test_a_photo_is_turned_as_the_camera_was_held(done, tmp_path):
    image = noise(24, 40)
    exif = Pillow.Exif()
    exif[0x0112] = 6  # the top is at the right
    write(tmp_path / "turned.png", image, exif=exif)
    write(tmp_path / "upright.png", np.rot90(image, -1))
    turned, upright = (
        lossbench.translate(done.directory, tmp_path / f"{name}.png", out=tmp_path / name, keep_size=True)[0]
        for name in ("turned", "upright")
    )
    assert read(turned).shape == (40, 24, 3)
    assert np.array_equal(read(turned), read(upright))


@pytest.mark.parametrize("alpha", [False, True])
def test_side_by_side_the_source_is_to_the_left(done, tmp_path, alpha):
    image = write(tmp_path / "x.png", noise(32, 32, 4 if alpha else 3))
    (plain,) = lossbench.translate(done.directory, image, out=tmp_path / "plain")
    (beside,) = lossbench.translate(done.directory, image, out=tmp_path / "beside", side_by_side=True)
    left, right = np.hsplit(read(beside), 2)
    assert np.array_equal(right, read(plain))
    if alpha:
        assert np.array_equal(left[..., 3], read(image)[..., 3])
    else:
        assert np.array_equal(left, read(image))


# What cannot be -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"direction": "A2C"}, r"--direction A2C: the run has A2B, B2A. Did you mean `A2B`\?"),
        ({"images": "nowhere.png"}, r"No file or folder .*nowhere.png. Name an image, or a folder of images."),
        ({"images": "run"}, r"run holds no image\. Known endings: "),
        ({"run": "nowhere"}, r"holds no run: run.json is missing"),
        ({"size": -30}, r"--size -30: a side has 4 to 8192 px\."),
        ({"size": 0}, r"--size 0: a side has 4 to 8192 px\."),
        ({"size": 10**9}, r"--size 1000000000: a side has 4 to 8192 px\."),
        ({"size": 30}, r"--size 30: this generator takes multiples of 4 px\. Use --size 32\."),
        ({"size": 4}, r"--size 4: this generator cannot: .* Use --size 8 or more\."),
        ({"keep_size": True, "size": 32}, r"--size 32 and --keep-size are both given\. Give one of them\."),
        ({"tile": 64}, r"--tile and --overlap are for images of their own size\. Add --keep-size\."),
        ({"overlap": 0}, r"--tile and --overlap are for images of their own size\. Add --keep-size\."),
        ({"keep_size": True, "tile": 2}, r"--tile 2: a side has 4 to 8192 px\."),
        ({"keep_size": True, "tile": 64, "overlap": 64}, r"--overlap 64: tiles of 64 px overlap by 0 to 63 px\."),
        ({"out": "images"}, r"images is not empty\. Choose another folder"),
    ],
)
def test_what_cannot_be_is_one_line_before_anything_is_written(done, folder, tmp_path, change, message):
    (tmp_path / "run").mkdir()
    arguments = {"run": done.directory, "images": folder, "out": tmp_path / "out"}
    arguments |= {
        key: tmp_path / value if isinstance(value, str) and key in arguments else value for key, value in change.items()
    }
    with pytest.raises(LossbenchError, match=message) as caught:
        lossbench.translate(**arguments)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "out").exists()


def test_files_that_are_no_images_are_all_named_before_anything_is_written(done, folder, tmp_path):
    (folder / "c.png").write_text("no image", "utf-8")
    write(folder / "d.png", noise(3, 9))
    with pytest.raises(DataError, match=r"2 of 4 images cannot be used\. Mend or remove them\.") as caught:
        lossbench.translate(done.directory, folder, out=tmp_path / "out")
    assert caught.value.files[0].endswith("c.png: not a PNG, JPEG, WebP, BMP or TIFF image, whatever its name says")
    assert caught.value.files[1].endswith("d.png: 9 x 3 px; an image has at least 4 a side")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("keep_size", [False, True])
def test_a_file_that_cannot_be_decoded_is_named_at_the_end_and_costs_no_other(done, folder, tmp_path, keep_size):
    whole = (folder / "a.png").read_bytes()
    (folder / "a.png").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(
        DataError, match=r"1 of 2 images cannot be used\. Mend or remove them\. The rest is in .*out\."
    ) as caught:
        lossbench.translate(done.directory, folder, out=tmp_path / "out", keep_size=keep_size)
    assert [line.partition(": ")[0] for line in caught.value.files] == [str(folder / "a.png")]
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["b.png"]


def test_a_file_that_changes_meanwhile_is_named_and_not_translated(done, folder, tmp_path, monkeypatch):
    monkeypatch.setattr("lossbench.translation.create", lambda out: (out.mkdir(), write(folder / "a.png", noise(9, 9))))
    with pytest.raises(DataError) as caught:
        lossbench.translate(done.directory, folder, out=tmp_path / "out")
    assert caught.value.files == (f"{folder / 'a.png'}: changed while it was read",)


def test_two_images_of_one_name_are_refused(done, folder, tmp_path):
    (folder / "a.jpg").write_bytes((folder / "a.png").read_bytes())
    with pytest.raises(DataError, match=r"a\.\w+ and a\.\w+ would be written to one file"):
        lossbench.translate(done.directory, folder, out=tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("content", "message"),
    [(None, "holds another network"), (b"not safetensors", "cannot be read as safetensors")],
)
def test_weights_that_are_none_are_refused(done, folder, tmp_path, content, message):
    run = shutil.copytree(done.directory, tmp_path / "run")
    weights = run / "weights"
    (weights / "G_A2B.safetensors").write_bytes(content or (weights / "D_A2B.safetensors").read_bytes())
    with pytest.raises(RunError, match=rf"G_A2B.safetensors {message}"):
        lossbench.translate(run, folder, out=tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(("key", "value"), [("direction", "sideways"), ("direction", [1]), ("conditional", "maybe")])
def test_a_record_that_says_what_cannot_be_is_one_line(drawing, folder, tmp_path, monkeypatch, key, value):
    record = {**drawing.record, "config": {**drawing.record["config"]}}
    record["config"]["train.conditional" if key == "conditional" else f"data.{key}"] = value
    monkeypatch.setattr("lossbench.translation.read_record", lambda run: record)
    with pytest.raises(OptionError, match=rf"\.{key}="):
        lossbench.translate(drawing.directory, folder, out=tmp_path / "out")


# Progress -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("options", "total"), [({}, 2), ({"keep_size": True, "tile": 32, "overlap": 8}, 8)])
def test_progress_counts_images_or_tiles(done, folder, tmp_path, options, total):
    """40 x 50 px in tiles of 32 that overlap by 8 or more: 2 x 2."""
    seen = []
    lossbench.translate(
        done.directory, folder, out=tmp_path / "out", report=lambda *numbers: seen.append(numbers), **options
    )
    assert seen == [(n + 1, total) for n in range(total)]


def test_a_pipe_is_told_the_result_alone_and_a_terminal_sees_progress(lossbench, done, folder, monkeypatch, capsys):
    code, out, err = lossbench("translate", done.directory, folder, "--out", "piped", "--keep-size", "--side-by-side")
    assert (code, out, err) == (0, "2 images in piped\n", "")
    monkeypatch.setattr("lossbench.screen.console", Console(force_terminal=True))
    code, out, err = lossbench("translate", done.directory, folder, "--out", "shown", "--tile", "32", "--keep-size")
    assert code == 0
    assert "translating" in out


def test_the_command_line_passes_every_option_on(lossbench, done, folder, monkeypatch):
    given = {}
    monkeypatch.setattr("lossbench.translation.translate", lambda *paths, **options: given.update(options) or [])
    words = "--out out --direction B2A --keep-size --tile 64 --overlap 8 --side-by-side --pairs --seed 5 --recipe cyclegan --size 8"
    assert lossbench("translate", done.directory, folder, *words.split())[0] == 0
    assert {key: value for key, value in given.items() if key not in ("out", "report")} == {
        "direction": "B2A", "keep_size": True, "tile": 64, "overlap": 8, "side_by_side": True, "pairs": True, "seed": 5,
        "recipe": "cyclegan", "size": 8,
    }  # fmt: skip


def test_a_damaged_file_is_exit_code_2_with_a_line_for_each(lossbench, done, folder, tmp_path):
    whole = (folder / "a.png").read_bytes()
    (folder / "a.png").write_bytes(whole[: len(whole) // 2])
    code, out, err = lossbench("translate", done.directory, folder, "--out", "out")
    assert (code, out, err.count("\n")) == (2, "", 2)
    assert (tmp_path / "out" / "b.png").exists()


# Pairs side by side ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [(), ("--keep-size",)])
def test_of_pairs_the_source_is_translated(done, lossbench, tmp_path, size):

    whole = tmp_path / "pairs"
    for folder in (whole, tmp_path / "left", tmp_path / "right"):
        folder.mkdir()
    for name, half in (("left", slice(0, 32)), ("right", slice(32, 64))):
        image = noise(32, 64)
        write(whole / "0.png", image)
        write(tmp_path / name / "0.png", image[:, half])
    for direction, name in (("A2B", "left"), ("B2A", "right")):
        words = (
            "translate",
            done.directory,
            whole,
            "--direction",
            direction,
            "--pairs",
            *size,
            "--out",
            tmp_path / f"of-{name}",
        )
        assert lossbench(*words)[0] == 0
        out = tmp_path / f"{name}-fake"
        translated(done.directory, tmp_path / name, direction=direction, out=out, keep_size=bool(size))
        assert np.array_equal(read(tmp_path / f"of-{name}" / "0.png"), read(out / "0.png"))
