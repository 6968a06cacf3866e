"""Image files: what is read and as which pixels, and what is refused with which reason. Pillow or OpenCV wrote them."""

from __future__ import annotations

import os
import re
import struct
import threading
import zlib
from contextlib import suppress
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from PIL import Image as Pillow

from lossbench.data import read_images, resized, write_image
from lossbench.data.images import look
from lossbench.errors import DataError

RGB = (200, 60, 50)
ORIENTATION = 0x0112


def flat(colour=RGB, height: int = 8, width: int = 8) -> np.ndarray:
    return np.full((height, width, len(colour)), colour, np.uint8)


def noise(height: int, width: int, channels: int = 3) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (height, width, channels), dtype=np.uint8)


def save(path: Path, pixels: np.ndarray, to: str | None = None, **options) -> Path:
    image = Pillow.fromarray(pixels)
    (image.convert(to) if to else image).save(path, **options)
    return path


def read(path: Path) -> np.ndarray:
    (image,), bad = read_images([path])
    assert not bad
    assert image.dtype == np.uint8
    return image


def mode(path: Path) -> str:
    with Pillow.open(path) as image:
        return image.mode


def on_white(pixels: np.ndarray) -> np.ndarray:
    alpha = pixels[..., 3:] / 255
    return alpha * pixels[..., :3] + (1 - alpha) * 255


def assert_close(found: np.ndarray, expected, tolerance: float) -> None:
    assert np.abs(found.astype(float) - np.broadcast_to(expected, found.shape)).max() <= tolerance


def chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def png(width: int, height: int, *extra: bytes, colour: int = 2, rows: bytes | None = None) -> bytes:
    """Write a PNG of 8 bits by hand; without rows it is as good as empty."""
    header = struct.pack(">IIBBBBB", width, height, 8, colour, 0, 0, 0)
    body = chunk(b"IDAT", zlib.compress(rows or b"\0" * 16))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + b"".join(extra) + body + chunk(b"IEND", b"")


# Read -----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("x.png", {}),
        ("x.PNG", {}),
        ("x.bmp", {}),
        ("x.tif", {}),
        ("x.TIFF", {}),
        ("x.tif", {"compression": "tiff_lzw"}),
        ("x.tif", {"compression": "tiff_adobe_deflate"}),
        ("x.webp", {"lossless": True}),
    ],
)
def test_a_lossless_file_is_read_as_it_was_written(tmp_path, name, options):
    pixels = noise(7, 9)
    np.testing.assert_array_equal(read(save(tmp_path / name, pixels, **options)), pixels)


@pytest.mark.parametrize(
    ("name", "options"),
    [("x.jpg", {}), ("x.jpeg", {}), ("x.jpg", {"progressive": True}), ("x.webp", {})],
)
def test_a_lossy_file_is_read_in_its_colours(tmp_path, name, options):
    assert_close(read(save(tmp_path / name, flat(), quality=95, **options)), RGB, 4)


def test_what_a_file_is_and_not_its_name_says_how_it_is_read(tmp_path):
    pixels = noise(7, 9)
    np.testing.assert_array_equal(read(save(tmp_path / "x.jpg", pixels, format="BMP")), pixels)


@pytest.mark.parametrize(("height", "width"), [(4, 4), (5, 1000), (1000, 5), (7, 9)])
@pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp", ".bmp", ".tif"])
def test_an_image_has_any_shape_of_4_px_or_more(tmp_path, suffix, height, width):
    assert read(save(tmp_path / f"x{suffix}", flat(height=height, width=width))).shape == (height, width, 3)


@pytest.mark.parametrize("suffix", [".png", ".bmp", ".tif"])
@pytest.mark.parametrize("to", ["L", "1", "P"])
def test_grey_black_and_white_and_palette_pictures_get_three_channels(tmp_path, to, suffix):
    pixels = np.zeros((8, 9), np.uint8)
    pixels[:, 4:] = 255
    found = read(save(tmp_path / f"x{suffix}", pixels, to))
    np.testing.assert_array_equal(found, np.repeat(pixels[..., None], 3, axis=2))


def test_a_palette_is_looked_up(tmp_path):
    pixels = np.zeros((8, 8), np.uint8)
    pixels[2, 3] = 1
    image = Pillow.fromarray(pixels)
    image.putpalette([*RGB, 1, 2, 3])
    image.save(tmp_path / "x.png")
    expected = flat()
    expected[2, 3] = (1, 2, 3)
    np.testing.assert_array_equal(read(tmp_path / "x.png"), expected)


@pytest.mark.parametrize("suffix", [".png", ".webp", ".tif"])
@pytest.mark.parametrize("alpha", [0, 51, 128, 255])
def test_transparency_comes_out_on_white(tmp_path, alpha, suffix):
    pixels = flat((*RGB, alpha))
    options = {"lossless": True, "exact": True} if suffix == ".webp" else {}
    assert_close(read(save(tmp_path / f"x{suffix}", pixels, **options)), on_white(pixels), 1)


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_grey_with_transparency_comes_out_on_white(tmp_path, suffix):
    found = read(save(tmp_path / f"x{suffix}", flat((100, 51))))
    np.testing.assert_array_equal(found, flat((224, 224, 224)))  # .2 * 100 + .8 * 255


def test_a_palette_with_transparency_comes_out_on_white(tmp_path):
    pixels = flat((*RGB, 255))
    pixels[:, 4:, 3] = 0
    image = Pillow.fromarray(pixels).quantize(4)
    image.save(tmp_path / "x.png")
    assert mode(tmp_path / "x.png") == "P"
    assert_close(read(tmp_path / "x.png"), on_white(pixels), 1)


@pytest.mark.parametrize(("kind", "key"), [("RGB", RGB), ("L", 7)])
def test_a_colour_that_means_transparent_comes_out_on_white(tmp_path, kind, key):
    image = Pillow.new(kind, (8, 9), key)
    image.putpixel((2, 3), 0)
    image.save(tmp_path / "x.png", transparency=key)
    expected = flat((255, 255, 255), 9, 8)
    expected[3, 2] = 0
    np.testing.assert_array_equal(read(tmp_path / "x.png"), expected)


def test_a_grey_of_16_bits_that_means_transparent_comes_out_on_white(tmp_path):
    pixels = np.full((8, 8), 40000, np.uint16)
    pixels[2, 3] = 0
    save(tmp_path / "x.png", pixels, transparency=40000)
    expected = flat((255, 255, 255))
    expected[2, 3] = 0
    np.testing.assert_array_equal(read(tmp_path / "x.png"), expected)


INKS = {
    "red": ((0, 255, 255, 0), (255, 0, 0)),
    "green": ((255, 0, 255, 0), (0, 255, 0)),
    "blue": ((255, 255, 0, 0), (0, 0, 255)),
    "paper": ((0, 0, 0, 0), (255, 255, 255)),
    "black": ((0, 0, 0, 255), (0, 0, 0)),
    "grey": ((0, 0, 0, 128), (127, 127, 127)),
}


@pytest.mark.parametrize("ink", INKS)
@pytest.mark.parametrize("name", ["x.jpg", "x.tif"])
def test_inks_become_colours(tmp_path, name, ink):
    inks, colour = INKS[ink]
    options = {"quality": 95} if name == "x.jpg" else {}
    Pillow.new("CMYK", (16, 16), inks).save(tmp_path / name, **options)
    assert mode(tmp_path / name) == "CMYK"
    assert_close(read(tmp_path / name), colour, 8)
    if name == "x.jpg":  # OpenCV reads such a file, too
        assert_close(read(tmp_path / name), cv2.imread(str(tmp_path / name))[..., ::-1], 8)


@pytest.mark.parametrize("name", ["x.png", "x.tif"])
def test_grey_of_16_bits_becomes_8(tmp_path, name):
    pixels = np.linspace(0, 65535, 64).astype(np.uint16).reshape(8, 8)
    cv2.imwrite(str(tmp_path / name), pixels)
    found = read(tmp_path / name)
    assert (found == found[..., :1]).all()
    assert_close(found[..., 0], pixels / 257, 0.5)


@pytest.mark.parametrize("name", ["x.png", "x.tif"])
def test_16_bits_become_8(tmp_path, name):
    pixels = np.full((8, 8, 3), (65535, 40000, 1000), np.uint16)  # OpenCV takes the channels as B, G, R
    cv2.imwrite(str(tmp_path / name), pixels)
    assert_close(read(tmp_path / name), np.array([1000, 40000, 65535]) / 257, 1)


@pytest.mark.parametrize("name", ["x.png", "x.tif"])
def test_16_bits_with_transparency_become_8_on_white(tmp_path, name):
    pixels = np.full((8, 8, 4), (65535, 40000, 1000, 13107), np.uint16)  # 13107 / 65535 = 0.2
    cv2.imwrite(str(tmp_path / name), pixels)
    assert_close(read(tmp_path / name), 0.2 * np.array([1000, 40000, 65535]) / 257 + 0.8 * 255, 1)


TURNED = {  # how what is stored is brought upright
    1: lambda a: a,
    2: np.fliplr,
    3: lambda a: np.rot90(a, 2),
    4: np.flipud,
    5: lambda a: a.swapaxes(0, 1),
    6: lambda a: np.rot90(a, -1),
    7: lambda a: np.rot90(a, 2).swapaxes(0, 1),
    8: np.rot90,
}


@pytest.mark.parametrize("orientation", TURNED)
@pytest.mark.parametrize(
    ("name", "channels", "options", "tolerance"),
    [
        pytest.param("x.jpg", 3, {"quality": 100, "subsampling": 0}, 4, id="jpeg"),
        pytest.param("x.png", 3, {}, 0, id="png"),
        pytest.param("x.png", 4, {}, 1, id="png-alpha"),
        pytest.param("x.webp", 3, {"lossless": True}, 0, id="webp"),
        pytest.param("x.webp", 4, {"lossless": True, "exact": True}, 1, id="webp-alpha"),
        pytest.param("x.tif", 1, {}, 0, id="tiff-grey"),
        pytest.param("x.tif", 3, {}, 0, id="tiff"),
        pytest.param("x.tif", 4, {}, 1, id="tiff-alpha"),
        pytest.param("x.tif", 4, {"compression": "tiff_lzw"}, 1, id="tiff-lzw-alpha"),
    ],
)
def test_a_picture_is_turned_as_the_camera_was_held(tmp_path, name, channels, options, tolerance, orientation):
    pixels = noise(6, 9, channels)
    exif = Pillow.Exif()
    exif[ORIENTATION] = orientation
    found = read(save(tmp_path / name, pixels.squeeze(), exif=exif, **options))
    shown = on_white(pixels) if channels == 4 else np.broadcast_to(pixels, (6, 9, 3))
    expected = TURNED[orientation](shown)
    assert found.shape == expected.shape
    assert_close(found, expected, tolerance)


@pytest.mark.parametrize("name", ["x.png", "x.tif"])
def test_a_picture_of_16_bits_is_turned_too(tmp_path, name):
    pixels = np.arange(54, dtype=np.uint16).reshape(6, 9) * 1000
    exif = Pillow.Exif()
    exif[ORIENTATION] = 6
    found = read(save(tmp_path / name, pixels, exif=exif))
    assert found.shape == (9, 6, 3)
    assert_close(found[..., 0], np.rot90(pixels, -1) / 257, 0.5)


@pytest.mark.parametrize("orientation", [0, 9, 65535])
def test_an_orientation_that_means_nothing_turns_nothing(tmp_path, orientation):
    pixels = noise(6, 9)
    exif = Pillow.Exif()
    exif[ORIENTATION] = orientation
    np.testing.assert_array_equal(read(save(tmp_path / "x.png", pixels, exif=exif)), pixels)


def test_of_a_cameras_two_views_the_first_is_read(tmp_path):
    second = Pillow.fromarray(flat((0, 0, 255)))
    save(tmp_path / "x.jpg", flat(), format="MPO", save_all=True, append_images=[second], quality=95)
    with Pillow.open(tmp_path / "x.jpg") as image:
        assert image.n_frames == 2
    assert_close(read(tmp_path / "x.jpg"), RGB, 4)


def test_what_a_decoder_only_warns_of_is_read_without_a_word(tmp_path):
    rows = b"".join(b"\0" + row.tobytes() for row in flat())
    odd = chunk(b"acTL", struct.pack(">II", 0, 0))  # an animation of no frames: Pillow warns
    (tmp_path / "x.png").write_bytes(png(8, 8, odd, rows=rows))
    with pytest.warns(UserWarning, match="APNG"):
        mode(tmp_path / "x.png")
    np.testing.assert_array_equal(read(tmp_path / "x.png"), flat())


def test_a_link_to_an_image_is_read(tmp_path):
    save(tmp_path / "x.png", flat())
    (tmp_path / "link.png").symlink_to("x.png")
    np.testing.assert_array_equal(read(tmp_path / "link.png"), flat())


# Looked at ------------------------------------------------------------------------------------------------------------


def test_a_look_tells_the_shorter_side_and_the_hash_of_the_content(tmp_path):
    paths = [save(tmp_path / "a.png", noise(5, 9)), save(tmp_path / "b.png", noise(5, 9)), tmp_path / "c.png"]
    save(paths[2], noise(9, 6))
    found, bad = look(paths)
    assert not bad
    assert [(file.path, file.side) for file in found] == list(zip(paths, (5, 5, 6), strict=True))
    assert found[0].sha256 == found[1].sha256 != found[2].sha256


def test_a_look_decodes_nothing(tmp_path, monkeypatch):
    path = save(tmp_path / "x.png", noise(32, 32))
    monkeypatch.setattr(Pillow.Image, "load", lambda self: pytest.fail("decoded"))
    assert [file.path for file in look([path])[0]] == [path]


# Refused --------------------------------------------------------------------------------------------------------------


def cut(path: Path) -> None:
    save(path, noise(32, 32))
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def corrupt(path: Path) -> None:
    save(path, noise(32, 32))
    content = bytearray(path.read_bytes())
    middle = content.index(b"IDAT") + 1000
    content[middle : middle + 50] = b"\xff" * 50
    path.write_bytes(content)


def animated(path: Path) -> None:
    save(path, noise(8, 8), save_all=True, append_images=[Pillow.fromarray(flat())])


def looped(path: Path) -> None:
    path.symlink_to("other.png")
    (path.parent / "other.png").symlink_to(path.name)


def locked(path: Path) -> None:
    save(path, flat())
    path.chmod(0)
    if os.access(path, os.R_OK):
        pytest.skip("root can read anything")


NO_IMAGE = re.escape("not a PNG, JPEG, WebP, BMP or TIFF image, whatever its name says")
FRAMES = "2 frames or pages; an image has one"
BITS = "32 bits a channel; save it with 8 or 16"
BOMB = r"a decompression bomb\? Image size \({} pixels\) exceeds limit of \d+ pixels"
REFUSED = {  # a contract with the docs
    "corrupt": ("x.png", corrupt, "(broken|unrecognized) data stream.*"),
    "truncated-jpeg": ("x.jpg", cut, "image file is truncated.*"),
    "truncated-png": ("x.png", cut, "image file is truncated.*"),
    "truncated-webp": ("x.webp", cut, "could not create decoder object"),
    "truncated-bmp": ("x.bmp", cut, "image file is truncated.*"),
    "truncated-tiff": ("x.tif", cut, "image file is truncated.*"),
    "empty": ("x.jpg", Path.touch, "empty"),
    "1x1": ("x.png", lambda path: save(path, flat(height=1, width=1)), "1 x 1 px; an image has at least 4 a side"),
    "3x9": ("x.png", lambda path: save(path, flat(height=9, width=3)), "3 x 9 px; an image has at least 4 a side"),
    "animated-png": ("x.png", animated, FRAMES),
    "animated-webp": ("x.webp", animated, FRAMES),
    "multi-page-tiff": ("x.tif", animated, FRAMES),
    "bomb": ("x.png", lambda path: path.write_bytes(png(30000, 30000)), BOMB.format(900000000)),
    "small-bomb": ("x.png", lambda path: path.write_bytes(png(10000, 10000)), BOMB.format(100000000)),
    "text-renamed": ("x.png", lambda path: path.write_text("no image"), NO_IMAGE),
    "gif-renamed": ("x.png", lambda path: save(path, flat(), format="GIF"), NO_IMAGE),
    "float-tiff": ("x.tif", lambda path: save(path, np.full((8, 8), 0.5, np.float32)), BITS),
    "32-bit-integer": ("x.tif", lambda path: save(path, np.full((8, 8), 2**30, np.int32)), BITS),
    "unreadable": ("x.png", locked, "permission denied"),
    "folder": ("x.png", Path.mkdir, "not a file"),
    "broken-link": ("x.png", lambda path: path.symlink_to("nowhere.png"), "a link that leads nowhere"),
    "link-loop": ("x.png", looped, "a link that leads nowhere"),
    "missing": ("x.png", lambda path: None, "not a file"),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_what_is_refused_has_a_reason_and_spoils_nothing_beside_it(tmp_path, kind):
    name, make, reason = REFUSED[kind]
    good, path = save(tmp_path / "good.png", flat()), tmp_path / name
    make(path)
    images, bad = read_images([path, good])
    assert list(bad) == [path]
    assert re.fullmatch(reason, bad[path])
    assert [image.tolist() for image in images] == [flat().tolist()]
    seen, unseen = look([path, good])  # a look refuses what headers tell, for the same reason
    assert good in [file.path for file in seen]
    assert unseen in ({}, bad)


@pytest.mark.parametrize("channels", [3, 4])
def test_a_tiff_of_float_colours_is_not_said_to_be_no_tiff(tmp_path, channels):
    cv2.imwrite(str(tmp_path / "x.tif"), np.full((8, 8, channels), 0.5, np.float32))
    images, bad = read_images([tmp_path / "x.tif"])
    assert not images
    assert "whatever its name says" not in bad[tmp_path / "x.tif"]


def test_a_pipe_with_an_images_name_is_refused_at_once(tmp_path):
    path, done = tmp_path / "x.png", threading.Event()
    os.mkfifo(path)

    def unblock() -> None:  # who opened the pipe gets nothing out of it instead of waiting for ever
        while not done.wait(0.5):
            with suppress(OSError):
                os.close(os.open(path, os.O_WRONLY | os.O_NONBLOCK))

    helper = threading.Thread(target=unblock)
    helper.start()
    try:
        assert look([path]) == read_images([path]) == ([], {path: "not a file"})
    finally:
        done.set()
        helper.join()


def test_a_name_that_is_not_utf8_is_refused(tmp_path):
    raw = os.fsencode(tmp_path) + b"/caf\xe9.png"
    try:
        Path(os.fsdecode(raw)).write_bytes(save(tmp_path / "x.png", flat()).read_bytes())
    except OSError:
        pytest.skip("the file system refuses such names")
    path = Path(os.fsdecode(raw))
    assert look([path]) == read_images([path]) == ([], {path: "its name is not UTF-8"})


def test_a_damaged_file_is_told_of_once(tmp_path):
    path = save(tmp_path / "x.tif", noise(32, 32), compression="tiff_lzw")
    content = bytearray(path.read_bytes())
    content[600:1400] = b"\xff" * 800
    path.write_bytes(content)
    assert list(read_images([path])[1]) == [path]


def test_nothing_is_read_from_no_paths():
    assert read_images([]) == look([]) == ([], {})


# Written --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", [".png", ".bmp", ".tif"])
def test_what_is_written_is_read_back(tmp_path, suffix):
    pixels = noise(5, 6)
    write_image(tmp_path / f"x{suffix}", pixels)
    np.testing.assert_array_equal(read(tmp_path / f"x{suffix}"), pixels)
    with Pillow.open(tmp_path / f"x{suffix}") as image:
        np.testing.assert_array_equal(np.asarray(image), pixels)


@pytest.mark.parametrize("name", ["x", "x.xyz"])
def test_an_ending_that_names_no_format_is_an_error(tmp_path, name):
    with pytest.raises(DataError, match="cannot write this format"):
        write_image(tmp_path / name, flat())


# Resized --------------------------------------------------------------------------------------------------------------


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
    stack = resized([noise(40, 50), noise(9, 70), noise(16, 16), noise(1000, 5)], 16)
    assert stack.shape == (4, 3, 16, 16)
    assert stack.dtype == torch.uint8
    assert stack.is_contiguous()
