"""Folders of images, decoded and resized by OpenCV; the files are written by the tests, some of them by Pillow."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from PIL import Image as Pillow

from lossbench.data import Folders, image_paths, read_images, resized, write_image
from lossbench.errors import DataError

SIDES = ("trainA", "trainB", "testA", "testB")
RGB = (200, 60, 50)


def flat(colour=RGB, height: int = 8, width: int = 8) -> np.ndarray:
    return np.full((height, width, 3), colour, np.uint8)


def noise(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)


def save(path: Path, pixels: np.ndarray, mode: str | None = None, **options) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Pillow.fromarray(pixels)
    (image.convert(mode) if mode else image).save(path, **options)
    return path


def read(path: Path) -> np.ndarray:
    (image,), bad = read_images([path])
    assert not bad
    assert image.dtype == np.uint8
    return image


def four(root: Path, height: int = 8, width: int = 8, names=("0.png", "1.png")) -> Path:
    """Write the four folders."""
    for side in SIDES:
        for name in names:
            save(root / side / name, flat(height=height, width=width))
    return root


# Decoding -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["x.png", "x.bmp", "x.tif", "x.TIFF", "x.PNG"])
def test_a_lossless_file_is_read_as_it_was_written(tmp_path, name):
    pixels = noise(7, 9)
    np.testing.assert_array_equal(read(save(tmp_path / name, pixels)), pixels)


def test_a_lossless_webp_is_read_as_it_was_written(tmp_path):
    pixels = noise(7, 9)
    np.testing.assert_array_equal(read(save(tmp_path / "x.webp", pixels, lossless=True)), pixels)


@pytest.mark.parametrize("name", ["x.jpg", "x.jpeg"])
def test_a_jpeg_is_read_in_its_colours(tmp_path, name):
    found = read(save(tmp_path / name, flat(), quality=95)).astype(int)
    assert np.abs(found - np.array(RGB)).max() <= 3


def test_a_picture_is_turned_as_the_camera_was_held(tmp_path):
    wide = np.zeros((8, 16, 3), np.uint8)
    wide[:, :8] = 255
    exif = Pillow.Exif()
    exif[0x0112] = 6  # the camera was turned: what is stored at the left is the top
    found = read(save(tmp_path / "x.jpg", wide, exif=exif, quality=100))
    assert found.shape == (16, 8, 3)
    assert found[:7].min() > 240
    assert found[9:].max() < 15


@pytest.mark.parametrize("mode", ["L", "1", "P"])
def test_grey_black_and_white_and_palette_pictures_get_three_channels(tmp_path, mode):
    pixels = np.zeros((8, 8), np.uint8)
    pixels[:, 4:] = 255
    found = read(save(tmp_path / "x.png", pixels, mode))
    np.testing.assert_array_equal(found, np.repeat(pixels[..., None], 3, axis=2))


@pytest.mark.parametrize(("alpha", "share"), [(0, 0.0), (51, 0.2), (128, 128 / 255), (255, 1.0)])
def test_transparency_comes_out_on_white(tmp_path, alpha, share):
    pixels = np.dstack([flat(), np.full((8, 8), alpha, np.uint8)])
    expected = [share * channel + (1 - share) * 255 for channel in RGB]
    assert np.abs(read(save(tmp_path / "x.png", pixels)) - np.array(expected)).max() <= 0.51


def test_grey_with_transparency_comes_out_on_white(tmp_path):
    pixels = np.dstack([np.full((8, 8), 100, np.uint8), np.full((8, 8), 51, np.uint8)])
    np.testing.assert_array_equal(
        read(save(tmp_path / "x.png", pixels)), np.full((8, 8, 3), 224)
    )  # .2 * 100 + .8 * 255


def test_16_bits_become_8(tmp_path):
    pixels = np.full((8, 8, 3), (65535, 40000, 1000), np.uint16)  # OpenCV takes the channels as B, G, R
    cv2.imwrite(str(tmp_path / "x.png"), pixels)
    expected = np.array([1000, 40000, 65535]) / 257
    assert np.abs(read(tmp_path / "x.png") - expected).max() < 1


def test_16_bits_with_transparency_become_8_on_white(tmp_path):
    pixels = np.full((8, 8, 4), (65535, 40000, 1000, 13107), np.uint16)  # 13107 / 65535 = 0.2
    cv2.imwrite(str(tmp_path / "x.png"), pixels)
    expected = 0.2 * np.array([1000, 40000, 65535]) / 257 + 0.8 * 255
    assert np.abs(read(tmp_path / "x.png") - expected).max() < 1


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_a_picture_of_floats_is_named_as_unreadable(tmp_path, channels):
    path = tmp_path / "x.tif"
    cv2.imwrite(str(path), np.full((8, 8, channels), 0.5, np.float32))
    assert read_images([path]) == ([], [path])


@pytest.mark.parametrize("suffix", [".png", ".bmp", ".tif"])
def test_what_is_written_is_read_back(tmp_path, suffix):
    pixels = noise(5, 6)
    write_image(tmp_path / f"x{suffix}", pixels)
    np.testing.assert_array_equal(read(tmp_path / f"x{suffix}"), pixels)
    np.testing.assert_array_equal(np.asarray(Pillow.open(tmp_path / f"x{suffix}")), pixels)


# Resizing -------------------------------------------------------------------------------------------------------------


def test_a_smaller_size_is_the_average_over_areas():
    image = noise(40, 100)
    expected = image.reshape(20, 2, 20, 5, 3).mean((1, 3))
    found = resized([image], 20)[0].permute(1, 2, 0).numpy()
    assert np.abs(found - expected).max() <= 0.5


def test_a_larger_size_is_cubic_as_in_torch():
    image = noise(40, 50)
    pixels = torch.from_numpy(image).permute(2, 0, 1)[None].double()
    expected = torch.nn.functional.interpolate(pixels, (100, 100), mode="bicubic").clamp(0, 255)
    assert (resized([image], 100) - expected).abs().max() <= 1


def test_the_size_it_has_already_changes_nothing():
    image = noise(32, 32)
    np.testing.assert_array_equal(resized([image], 32)[0].permute(1, 2, 0).numpy(), image)


def test_pictures_of_several_sizes_become_one_stack_of_squares():
    stack = resized([noise(40, 50), noise(9, 70), noise(16, 16)], 16)
    assert stack.shape == (3, 3, 16, 16)
    assert stack.dtype == torch.uint8
    assert stack.is_contiguous()


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


def test_the_same_files_have_the_same_fingerprint_and_others_another(tmp_path):
    same = [Folders(four(tmp_path / name), paired_test=False).dataset(8, 8).fingerprint for name in ("x", "y")]
    other = Folders(four(tmp_path / "z", names=("0.png",)), paired_test=False).dataset(8, 8).fingerprint
    assert same[0] == same[1] != other


@pytest.mark.parametrize(
    ("height", "width", "size", "load_size"),
    [(256, 256, 256, 286), (600, 800, 256, 286), (300, 100, 100, 100), (47, 90, 44, 44), (3, 3, 4, 4)],
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
    assert len(Folders(tmp_path, paired_test=False).images["testA"]) == 3


# Errors ---------------------------------------------------------------------------------------------------------------


def test_a_missing_folder_is_told_what_to_give_instead(tmp_path):
    with pytest.raises(DataError) as error:
        Folders(tmp_path / "nowhere", paired_test=False)
    assert str(error.value) == (
        f"No folder {tmp_path / 'nowhere'}. --data takes a folder that holds trainA, trainB, testA, testB, "
        "or one of the built-in sets: shapes, shapes-same, shapes-squash."
    )


def test_a_file_in_place_of_the_folder_is_no_folder(tmp_path):
    with pytest.raises(DataError, match=r"^No folder .*x\.png\."):
        Folders(save(tmp_path / "x.png", flat()), paired_test=False)


def test_every_missing_side_is_named(tmp_path):
    for side in ("trainA", "testB"):
        save(tmp_path / side / "x.png", flat())
    with pytest.raises(DataError) as error:
        Folders(tmp_path, paired_test=False)
    assert str(error.value) == (f"{tmp_path} lacks trainB, testA. It needs the folders trainA, trainB, testA, testB.")


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


def test_files_that_are_no_images_are_listed_together(tmp_path):
    four(tmp_path)
    text, empty = tmp_path / "trainA" / "text.png", tmp_path / "testB" / "empty.jpg"
    text.write_text("no image")
    empty.write_bytes(b"")
    with pytest.raises(DataError) as error:
        Folders(tmp_path, paired_test=False)
    assert str(error.value) == f"Not images that OpenCV can read: {text}, {empty}. Mend or remove them."


def test_of_many_files_that_are_no_images_five_are_named(tmp_path):
    four(tmp_path)
    for index in range(7):
        (tmp_path / "trainA" / f"bad{index}.png").write_text("no image")
    with pytest.raises(DataError, match=r"^Not images .*bad4\.png and 2 more\. Mend or remove them\.$"):
        Folders(tmp_path, paired_test=False)


def test_a_file_cut_short_and_a_folder_with_an_images_name_are_no_images(tmp_path):
    whole = save(tmp_path / "whole.png", noise(32, 32)).read_bytes()
    cut, folder = tmp_path / "cut.png", tmp_path / "folder.png"
    cut.write_bytes(whole[: len(whole) // 2])
    folder.mkdir()
    images, bad = read_images([tmp_path / "whole.png", cut, folder])
    assert len(images) == 1
    assert bad == [cut, folder]
