"""Folders of images: sides, order, sizes, pairs, and what cannot be used, listed together or left out."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image as Pillow

from lossbench.data import Folders, cache, image_paths
from lossbench.errors import DataError
from lossbench.record import read_record

SIDES = ("trainA", "trainB", "testA", "testB")
RGB = (200, 60, 50)


def flat(colour=RGB, height: int = 8, width: int = 8) -> np.ndarray:
    return np.full((height, width, 3), colour, np.uint8)


def save(path: Path, pixels: np.ndarray) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Pillow.fromarray(pixels).save(path)
    return path


def four(root: Path, height: int = 8, width: int = 8, names=("0.png", "1.png")) -> Path:
    """Write the four folders."""
    for side in SIDES:
        for name in names:
            save(root / side / name, flat(height=height, width=width))
    return root


# Folders --------------------------------------------------------------------------------------------------------------


def test_folders_become_a_dataset_in_order_of_name(tmp_path):
    four(tmp_path / "horses", names=("b.png", "a.jpg", "c.bmp"))
    (tmp_path / "horses" / "trainA" / "notes.txt").write_text("not an image by its name, so it is none")
    drawn = Folders(tmp_path / "horses", paired_test=False).dataset(8, 12)
    assert drawn.name == "horses"
    assert not drawn.paired_test
    assert drawn.test_names == {"A": ["a.jpg", "b.png", "c.bmp"], "B": ["a.jpg", "b.png", "c.bmp"]}
    assert {images.shape for images in drawn.train.values()} == {(3, 3, 12, 12)}
    assert {images.shape for images in drawn.test.values()} == {(3, 3, 8, 8)}


def test_each_domain_and_side_keeps_its_own_images(tmp_path):
    for value, side in enumerate(SIDES):
        save(tmp_path / side / "x.png", flat((value, value, value)))
    drawn = Folders(tmp_path, paired_test=False).dataset(8, 8)
    found = [drawn.train["A"], drawn.train["B"], drawn.test["A"], drawn.test["B"]]
    assert [images.unique().tolist() for images in found] == [[0], [1], [2], [3]]


def test_files_that_differ_in_their_ending_alone_have_an_order_of_their_own(tmp_path, monkeypatch):
    paths = [save(tmp_path / name, flat()) for name in ("x.bmp", "x.jpg", "x.png", "y.png")]
    found = []
    for order in (1, -1):  # a disk lists a folder in any order
        monkeypatch.setattr(Path, "iterdir", lambda folder, order=order: iter(paths[::order]))
        found.append(image_paths(tmp_path))
    assert found == [paths, paths]


def test_the_same_files_have_the_same_fingerprint_and_others_another(tmp_path):
    same = [Folders(four(tmp_path / name), paired_test=False).dataset(8, 8).fingerprint for name in ("x", "y")]
    other = Folders(four(tmp_path / "z", names=("0.png",)), paired_test=False).dataset(8, 8).fingerprint
    assert same[0] == same[1] != other


@pytest.mark.parametrize(
    ("height", "width", "size", "load_size"),
    [(256, 256, 256, 286), (600, 800, 256, 286), (300, 100, 100, 100), (47, 90, 44, 44), (5, 5, 4, 4)],
)
def test_the_size_is_256_or_that_of_the_images_and_only_large_images_are_cropped(
    tmp_path, height, width, size, load_size
):
    folders = Folders(four(tmp_path, height, width, names=("0.png",)), paired_test=False)
    assert folders.defaults(None) == {"data.size": size, "data.load_size": load_size}


@pytest.mark.parametrize(
    ("natural", "size", "load_size"),
    [(600, 128, 143), (256, 256, 286), (600, 512, 572), (200, 128, 143), (136, 128, 136), (64, 128, 128)],
)
def test_a_chosen_size_is_taken_and_small_images_are_not_enlarged_for_its_crops(tmp_path, natural, size, load_size):
    folders = Folders(four(tmp_path, natural, natural, names=("0.png",)), paired_test=False)
    assert folders.defaults(size) == {"data.size": size, "data.load_size": load_size}


# Pairs ----------------------------------------------------------------------------------------------------------------


def paired(root: Path, names_a: list[str], names_b: list[str]) -> Folders:
    """Write test images whose grey value is the place of their stem in the alphabet of all stems."""
    four(root, names=("train.png",))
    stems = sorted({Path(name).stem for name in (*names_a, *names_b)})
    for side, names in (("testA", names_a), ("testB", names_b)):
        (root / side / "train.png").unlink()
        for name in names:
            value = 40 * stems.index(Path(name).stem)
            save(root / side / name, flat((value, value, value)))
    return Folders(root, paired_test=True)


def values(images: torch.Tensor) -> list[int]:
    return images[:, 0, 0, 0].tolist()


def test_a_paired_test_pairs_by_name_whatever_the_ending(tmp_path):
    drawn = paired(tmp_path, ["a.png", "b.bmp", "c.png"], ["c.bmp", "b.png", "a.tif"]).dataset(8, 8)
    assert drawn.paired_test
    assert values(drawn.test["A"]) == values(drawn.test["B"]) == [0, 40, 80]


def test_a_paired_test_pairs_names_with_dots_in_them(tmp_path):
    drawn = paired(tmp_path, ["a.png", "a.q.png"], ["a.tif", "a.q.tif"]).dataset(8, 8)
    assert values(drawn.test["A"]) == values(drawn.test["B"])


def test_a_paired_test_refuses_two_images_of_one_name(tmp_path):
    with pytest.raises(DataError, match=r"--paired-test.*\ba\b"):
        paired(tmp_path, ["a.bmp", "a.png", "b.png"], ["a.png", "b.png"])


def test_a_paired_test_names_an_image_without_partner(tmp_path):
    with pytest.raises(DataError) as error:
        paired(tmp_path, ["a.png", "b.png"], ["a.png", "c.png"])
    assert str(error.value) == (
        "--paired-test: 2 test images have no partner of the same name, such as b. "
        "Give testA and testB the same file names, or leave --paired-test out."
    )


def test_without_a_paired_test_names_may_differ(tmp_path):
    four(tmp_path)
    save(tmp_path / "testA" / "alone.png", flat())
    assert len(Folders(tmp_path, paired_test=False).dataset(8, 8).test["A"]) == 3


# Errors ---------------------------------------------------------------------------------------------------------------


def test_a_missing_folder_is_told_what_to_give_instead(tmp_path):
    with pytest.raises(DataError) as error:
        Folders(tmp_path / "nowhere", paired_test=False)
    assert str(error.value) == (
        f"No folder {tmp_path / 'nowhere'}. --data takes a folder of images, or one "
        "of the built-in sets: shapes, shapes-same, shapes-squash."
    )


def test_a_file_in_place_of_the_folder_is_no_folder(tmp_path):
    with pytest.raises(DataError, match=r"^No folder .*x\.png\."):
        Folders(save(tmp_path / "x.png", flat()), paired_test=False)


def test_every_missing_side_is_named(tmp_path):
    for side in ("trainA", "testB"):
        save(tmp_path / side / "x.png", flat())
    with pytest.raises(DataError) as error:
        Folders(tmp_path, paired_test=False)
    assert str(error.value) == (
        f"{tmp_path} lacks trainB, testA. It needs the folders trainA, trainB, testA, testB, or train and test with "
        "pairs side by side."
    )


def test_a_folder_without_images_is_told_the_known_endings(tmp_path):
    (tmp_path / "notes.txt").write_text("no image")
    with pytest.raises(DataError) as error:
        image_paths(tmp_path)
    assert str(error.value) == (
        f"{tmp_path} holds no image. Known endings: .bmp, .jpeg, .jpg, .png, .tif, .tiff, .webp."
    )


def test_an_empty_side_is_an_error(tmp_path):
    four(tmp_path, names=("0.png",))
    (tmp_path / "trainB" / "0.png").unlink()
    with pytest.raises(DataError, match=r"trainB holds no image\."):
        Folders(tmp_path, paired_test=False)


# What cannot be used ----------------------------------------------------------------------------------------------------

ADVICE = "Mend or remove them, or go on without them: --skip-bad."
NO_IMAGE = "not a PNG, JPEG, WebP, BMP or TIFF image, whatever its name says"
CUT = "image file is truncated"
SMALL = ["--steps", "1", "--size", "8", "--load-size", "8"]
for pair in ("generator=resnet_1blocks", "ngf=4", "ndf=4", "n_layers=1"):
    SMALL += ["--set", f"model.{pair}"]


def cut_short(path: Path) -> Path:
    """Write an image that looks usable and cannot be decoded."""
    pixels = np.random.default_rng(0).integers(0, 256, (16, 16, 3), dtype=np.uint8)
    save(path, pixels)
    os.truncate(path, path.stat().st_size // 2)
    return path


def spoiled(root: Path) -> Path:
    """Write the four folders, each with good images, three of them with a bad one."""
    four(root)
    (root / "trainA" / "text.png").write_text("no image")
    (root / "testB" / "empty.jpg").touch()
    cut_short(root / "testA" / "cut.png")
    return root


SPOILED = {"trainA/text.png": NO_IMAGE, "testA/cut.png": CUT, "testB/empty.jpg": "empty"}


def test_what_cannot_be_used_is_listed_together_with_its_reasons(tmp_path):
    folders = Folders(spoiled(tmp_path), paired_test=False)
    for _ in range(2):  # decoded, and from the cache
        with pytest.raises(DataError) as error:
            folders.dataset(8, 8)
        first, *lines = str(error.value).splitlines()
        assert first == f"3 of 11 images cannot be used. {ADVICE}"
        assert sorted(lines) == sorted(f"{tmp_path / name}: {reason}" for name, reason in SPOILED.items())


@pytest.mark.parametrize(("count", "last"), [(20, "19.png: empty"), (21, "and 1 more"), (23, "and 3 more")])
def test_of_many_20_are_listed_and_the_others_counted(tmp_path, count, last):
    four(tmp_path)
    for index in range(count):
        (tmp_path / "trainA" / f"bad{index:02}.png").touch()
    with pytest.raises(DataError) as error:
        Folders(tmp_path, paired_test=False).dataset(8, 8)
    first, *lines = str(error.value).splitlines()
    assert first.startswith(f"{count} of {count + 8} images cannot be used. ")
    assert sum(line.endswith(": empty") for line in lines) == 20
    assert lines[-1].endswith(last)


def test_with_skip_bad_the_others_are_used_and_each_that_is_left_out_is_named(tmp_path):
    folders = Folders(spoiled(tmp_path), paired_test=False, skip_bad=True)
    drawn = folders.dataset(8, 8)
    assert drawn.skipped == SPOILED
    assert drawn.note == ""
    assert drawn.test_names == {"A": ["0.png", "1.png"], "B": ["0.png", "1.png"]}
    assert {len(images) for images in (*drawn.train.values(), *drawn.test.values())} == {2}
    assert folders.defaults(None) == {"data.size": 8, "data.load_size": 8}


def test_a_second_run_decodes_nothing_and_leaves_out_the_same(tmp_path, monkeypatch):
    spoiled(tmp_path)
    first = Folders(tmp_path, paired_test=False, skip_bad=True).dataset(8, 8)
    monkeypatch.setattr(cache, "decode", lambda path, *more: pytest.fail(f"{path} was decoded again"))
    second = Folders(tmp_path, paired_test=False, skip_bad=True).dataset(8, 8)
    assert second.skipped == first.skipped == SPOILED
    assert second.fingerprint == first.fingerprint


def test_names_stay_with_their_images_where_some_are_left_out(tmp_path):
    paired(tmp_path, ["a.png", "b.png", "c.png"], ["a.png", "b.png", "c.png"])
    cut_short(tmp_path / "testA" / "b.png")
    drawn = Folders(tmp_path, paired_test=False, skip_bad=True).dataset(8, 8)
    assert drawn.test_names == {"A": ["a.png", "c.png"], "B": ["a.png", "b.png", "c.png"]}
    assert [values(drawn.test[domain]) for domain in "AB"] == [[0, 80], [0, 40, 80]]


@pytest.mark.parametrize("spoil", [Path.write_text, None], ids=["looks bad", "decodes badly"])
def test_a_test_image_whose_partner_cannot_be_used_is_left_out_with_it(tmp_path, spoil):
    names = ["a.png", "b.png", "c.png"]
    paired(tmp_path, names, ["a.bmp", "b.bmp", "c.bmp"])
    path = tmp_path / "testB" / "b.bmp"
    spoil(path, "no image") if spoil else cut_short(path)
    drawn = Folders(tmp_path, paired_test=True, skip_bad=True).dataset(8, 8)
    assert drawn.test_names == {"A": ["a.png", "c.png"], "B": ["a.bmp", "c.bmp"]}
    assert values(drawn.test["A"]) == values(drawn.test["B"]) == [0, 80]
    assert list(drawn.skipped) == ["testB/b.bmp", "testA/b.png"]
    assert drawn.skipped["testA/b.png"] == "it has no partner that can be used"


@pytest.mark.parametrize("side", SIDES)
def test_a_side_with_nothing_left_is_one_line(tmp_path, side):
    four(tmp_path)
    for path in (tmp_path / side).iterdir():
        cut_short(path)
    with pytest.raises(DataError) as error:
        Folders(tmp_path, paired_test=False, skip_bad=True).dataset(8, 8)
    assert str(error.value) == f"{tmp_path / side} holds no image that can be used."


def test_pairs_with_nothing_left_are_one_line(tmp_path):
    paired(tmp_path, ["a.png", "b.png"], ["a.png", "b.png"])
    cut_short(tmp_path / "testA" / "a.png")
    cut_short(tmp_path / "testB" / "b.png")
    with pytest.raises(DataError, match=r"^\S+ holds no image that can be used\.$"):
        Folders(tmp_path, paired_test=True, skip_bad=True).dataset(8, 8)


def test_on_the_command_line_bad_images_are_a_list_and_exit_code_2(lossbench, tmp_path):
    code, out, err = lossbench("run", "--data", spoiled(tmp_path / "data"), *SMALL, "--out", "run")
    assert (code, out) == (2, "")
    first, *lines = err.splitlines()
    assert first == f"lossbench: 3 of 11 images cannot be used. {ADVICE}"
    assert sorted(lines) == sorted(f"  {tmp_path / 'data' / name}: {reason}" for name, reason in SPOILED.items())
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("name", ["two\nlines.png", "re\rturn.png", "red\x1b[31m.png"])
def test_on_the_command_line_a_file_is_one_line_whatever_its_name(lossbench, tmp_path, name):
    (four(tmp_path / "data") / "trainA" / name).touch()
    _, _, err = lossbench("run", "--data", "data", *SMALL, "--out", "run")
    assert [line.isprintable() for line in err.split("\n")[:-1]] == [True, True]


def test_on_the_command_line_skip_bad_goes_on_and_the_record_names_what_is_left_out(lossbench, tmp_path):
    spoiled(tmp_path / "data")
    for out in ("run", "again"):
        code, said, err = lossbench("run", "--data", "data", "--skip-bad", *SMALL, "--out", out)
        assert (code, err) == (0, "")
        assert "Without 3 images that cannot be used: see run.json" in said
        record = read_record(tmp_path / out)
        assert record["status"] == "ok"
        assert record["dataset"]["skipped"] == SPOILED


def test_a_name_that_is_not_utf8_is_shown_and_recorded(lossbench, tmp_path):
    four(tmp_path / "data")
    try:
        Path(os.fsdecode(os.fsencode(tmp_path) + b"/data/trainA/caf\xe9.png")).touch()
    except OSError:
        pytest.skip("the file system refuses such names")
    code, _, err = lossbench("run", "--data", "data", *SMALL, "--out", "run")
    assert code == 2
    assert "trainA/caf\\xe9.png: its name is not UTF-8" in err
    code, _, err = lossbench("run", "--data", "data", "--skip-bad", *SMALL, "--out", "run")
    assert (code, err) == (0, "")
    (name,) = read_record(tmp_path / "run")["dataset"]["skipped"]
    assert name.startswith("trainA/caf")


def test_where_nothing_can_be_cached_a_run_says_so_and_goes_on(lossbench, tmp_path, monkeypatch):
    four(tmp_path / "data")
    (tmp_path / "file").touch()
    monkeypatch.setenv("LOSSBENCH_CACHE", str(tmp_path / "file"))
    code, out, err = lossbench("run", "--data", "data", *SMALL, "--out", "run")
    assert (code, err) == (0, "")
    assert "Images are decoded into memory, because the cache cannot be used: " in out


# Pairs side by side ---------------------------------------------------------------------------------------------------


def aligned(root: Path, phases=("train", "test")) -> Path:
    """Write images of 16 x 8 px, black left and white right, the first with a grey stripe at the seam."""
    for phase in phases:
        for index in range(3):
            both = np.hstack([flat((0, 0, 0)), flat((255, 255, 255))])
            both[index, :8] = 100
            save(root / phase / f"{index}.png", both)
    return root


def test_a_picture_is_left_and_its_partner_right(tmp_path):
    drawn = Folders(aligned(tmp_path)).dataset(8, 8)
    assert drawn.paired_test
    assert drawn.test_names["A"] == drawn.test_names["B"] == ["0.png", "1.png", "2.png"]
    for images in (drawn.train, drawn.test):
        assert [sorted(images[domain].unique().tolist()) for domain in "AB"] == [[0, 100], [255]]
        rows = [int((image[0, :, 0] == 100).nonzero()) for image in images["A"]]
        assert rows == [0, 1, 2]  # each with its own partner, in order


def test_halves_have_entries_of_their_own_in_the_cache(tmp_path):
    Folders(aligned(tmp_path)).dataset(8, 8)
    again = Folders(tmp_path).dataset(8, 8)
    assert again.test["A"].max() == 100
    assert again.test["B"].min() == 255


def test_the_size_of_a_pair_is_that_of_a_half(tmp_path):
    for phase in ("train", "test"):
        save(tmp_path / phase / "x.png", flat(height=64, width=128))
    assert Folders(tmp_path).defaults(None) == {"data.size": 64, "data.load_size": 64}


def test_folders_apart_count_before_folders_of_pairs(tmp_path):
    four(aligned(tmp_path), names=("x.png",))
    assert Folders(tmp_path).dataset(8, 8).test_names["A"] == ["x.png"]


@pytest.mark.parametrize("root", [four, aligned])
def test_one_domain_needs_no_other(tmp_path, root):
    whole = root(tmp_path)
    for side in ("trainB", "testB"):
        if (whole / side).is_dir():
            shutil.rmtree(whole / side)
    drawn = Folders(whole, domains="A").dataset(8, 8)
    assert set(drawn.train) == set(drawn.test) == {"A"}
    assert len(drawn.train["A"]) == (2 if root is four else 3)
    if root is aligned:
        assert set(drawn.train["A"].unique().tolist()) >= {0, 255}  # whole pictures, no halves


def test_a_pair_that_cannot_be_read_is_missing_on_both_sides(tmp_path):
    aligned(tmp_path)
    (tmp_path / "train" / "1.png").write_bytes(b"\x89PNG no picture")
    with pytest.raises(DataError, match=r"1 of \d+ images cannot be used"):
        Folders(tmp_path, paired=True).dataset(8, 8)
    drawn = Folders(tmp_path, paired=True, skip_bad=True).dataset(8, 8)
    assert [len(images) for images in drawn.train.values()] == [2, 2]
    assert list(drawn.skipped) == ["train/1.png"]


def test_training_images_without_a_partner_are_left_out_on_request(tmp_path):
    four(tmp_path)
    save(tmp_path / "trainA" / "alone.png", flat())
    with pytest.raises(DataError, match="Pairs: 1 train images have no partner of the same name, such as alone"):
        Folders(tmp_path, paired=True)
    drawn = Folders(tmp_path, paired=True, skip_bad=True).dataset(8, 8)
    assert [len(images) for images in drawn.train.values()] == [2, 2]
    assert drawn.skipped == {"trainA/alone.png": "it has no partner that can be used"}


def test_another_side_to_test_on(tmp_path):
    four(tmp_path, names=("x.png",))
    for domain in "AB":
        save(tmp_path / f"val{domain}" / "y.png", flat())
    assert Folders(tmp_path, test="val").dataset(8, 8).test_names["A"] == ["y.png"]
    with pytest.raises(DataError, match=r"lacks noneA, noneB\. It needs the folders trainA, trainB, noneA, noneB, or"):
        Folders(tmp_path, test="none")


def test_a_side_is_told_apart_from_the_folder_that_holds_it(tmp_path):
    aligned(tmp_path)
    with pytest.raises(DataError) as error:
        Folders(tmp_path / "train")
    assert str(error.value) == f"{tmp_path / 'train'} is one side. Name the folder that holds all: --data {tmp_path}"


def test_a_side_to_test_on_that_is_not_there_is_named(tmp_path):
    aligned(tmp_path, phases=("train", "val"))
    with pytest.raises(DataError) as error:
        Folders(tmp_path)
    assert str(error.value) == f"{tmp_path} has train, and lacks test. Another side to test on: --set data.test=val."


def test_test_images_of_pairs_without_a_partner_are_not_blamed_on_a_flag(tmp_path):
    four(tmp_path)
    save(tmp_path / "testB" / "alone.png", flat())
    with pytest.raises(DataError) as error:
        Folders(tmp_path, paired=True)
    assert str(error.value) == (
        "Pairs: 1 test images have no partner of the same name, such as alone. Give testA and testB the same file "
        "names, or train with a recipe for unpaired images: --recipe cyclegan."
    )
