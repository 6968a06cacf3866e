"""Image files: looked at first, decoded by Pillow, resized by OpenCV.

Pillow decodes because it tells what it cannot: a picture cut short, several frames, more pixels than memory should be
asked for. OpenCV averages over areas when it shrinks.
"""

from __future__ import annotations

import hashlib
import io
import os
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeVar

import numpy as np
import PIL.Image as Pillow
import torch
from numpy.typing import NDArray
from PIL import ImageOps, UnidentifiedImageError
from torch import Tensor

from lossbench.errors import DataError, printable
from lossbench.files import write_bytes

try:
    import cv2
except ImportError as error:  # slim images lack the system's libGL
    raise DataError(
        f"OpenCV cannot be imported: {error}. On Debian or Ubuntu: apt-get install libgl1 libglib2.0-0; or, in this "
        "environment, put opencv-python-headless in its place."
    ) from error

T = TypeVar("T")
R = TypeVar("R")

Part = Literal["whole", "left", "right"]
Image = NDArray[np.uint8]  # [H, W, 3], RGB
Opacity = NDArray[np.uint8]  # [H, W], 0 where nothing is seen
SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff"})
FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "TIFF")  # by content; the ending of a name proves nothing
SIGNATURES = (b"\x89PNG", b"\xff\xd8", b"RIFF", b"BM", b"II*\0", b"MM\0*")
LEAST_SIDE = 4  # px
MOST_BYTES = 1 << 30
SHOWN = 20  # files in a message


class Unusable(Exception):
    """A file that is not the image it should be, and why."""


class Unreadable(Unusable):
    """A file that cannot be read now; another time it may."""


@dataclass(frozen=True)
class File:
    """An image that looks usable, not yet decoded."""

    path: Path
    sha256: str
    width: int  # px
    height: int
    part: Part = "whole"

    @property
    def across(self) -> int:
        """Return the width of the image, or of its half, px."""
        return self.width if self.part == "whole" else self.width // 2

    @property
    def side(self) -> int:
        """Return the shorter side of the image, or of its half, px."""
        return min(self.across, self.height)


def image_paths(folder: Path) -> list[Path]:
    """Return the image files of a folder in order of name; none is an error."""
    if not folder.is_dir():
        raise DataError(f"No folder {folder}. Name a folder of images.")
    images = (path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES and path.name[0] != ".")
    found = sorted(images, key=lambda path: (path.stem, path.name))
    if not found:
        raise DataError(f"{folder} holds no image. Known endings: {', '.join(sorted(SUFFIXES))}.")
    return found


def look(paths: Sequence[Path]) -> tuple[list[File], dict[Path, str]]:
    """Read headers and hashes, decode nothing. Return what looks usable, and what is not, with reasons."""
    return _sorted_out(_look, paths)


def read_images(paths: Sequence[Path]) -> tuple[list[Image], dict[Path, str]]:
    """Decode files to RGB; transparency comes out on white. Return the images, and what is none, with reasons."""
    return _sorted_out(decode, paths)


def refuse(bad: Mapping[Path, str], count: int, advice: str) -> None:
    """Raise one error that lists every file that cannot be used, if any."""
    if bad:
        names = [printable(os.fsencode(path).decode("utf-8", "backslashreplace")) for path in bad]
        lines = [f"{name}: {reason}" for name, reason in zip(names, bad.values(), strict=True)]
        lines = lines[:SHOWN] + ([f"and {len(lines) - SHOWN} more"] if len(lines) > SHOWN else [])
        raise DataError(f"{len(bad)} of {count} images cannot be used. {advice}", lines)


def decode(path: Path, sha256: str | None = None) -> Image:
    """Return an image, turned as the camera was held.

    Raises:
        Unusable: saying why. ``Unreadable`` if it no longer has the content of ``sha256``.
    """
    return _decoded(path, sha256, _rgb)


def decode_layers(path: Path, sha256: str | None = None) -> tuple[Image, Opacity | None]:
    """Return an image as ``decode`` does, on white, and its alpha channel if it has one."""
    return _decoded(path, sha256, lambda image: (_rgb(image), _opacity(image)))


def _decoded(path: Path, sha256: str | None, take: Callable[[Pillow.Image], R]) -> R:
    content = _content(path)
    if sha256 and hashlib.sha256(content).hexdigest() != sha256:
        raise Unreadable("changed while it was read")
    with _opened(content) as image:
        image.load()
        return take(_turned(image))


def part_of(image: NDArray[np.uint8], part: Part) -> NDArray[np.uint8]:
    """Return an image [H, W] or [H, W, 3], or a half of it."""
    half = image.shape[1] // 2
    return {"whole": image, "left": image[:, :half], "right": image[:, half:]}[part]


def resized(images: Sequence[Image], size: int) -> Tensor:
    """Resize to ``size`` x ``size`` -> uint8 [N, 3, size, size]."""
    return torch.from_numpy(np.stack([square(image, size) for image in images]))


def square(image: Image, size: int) -> Image:
    """Resize to uint8 [3, size, size]: sides that shrink by area averages, sides that grow by cubics."""
    return np.ascontiguousarray(scaled(image, size).transpose(2, 0, 1), np.uint8)


def scaled(image: NDArray[np.uint8], across: int, down: int | None = None) -> NDArray[np.uint8]:
    """Resize [H, W] or [H, W, 3] to ``across`` x ``down`` px, by itself square, as ``square`` does."""
    height, width = image.shape[:2]
    down = down or across
    shrunk = cv2.resize(image, (min(width, across), min(height, down)), interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.resize(shrunk, (across, down), interpolation=cv2.INTER_CUBIC), np.uint8)


def shorter(image: Image, size: int) -> Image:
    """Resize to a shorter side of ``size`` px, the longer in proportion."""
    height, width = image.shape[:2]
    scale = size / min(height, width)
    return scaled(image, max(size, round(width * scale)), max(size, round(height * scale)))


def write_image(path: Path, image: NDArray[np.uint8]) -> None:
    """Write an RGB or RGBA image; the ending of the path says in which format."""
    try:
        _, encoded = cv2.imencode(path.suffix, image[..., [2, 1, 0, 3][: image.shape[-1]]])
    except cv2.error:
        raise DataError(f"{path}: OpenCV cannot write this format.") from None
    write_bytes(path, encoded.tobytes())


def attempt(read: Callable[[T], R], items: Sequence[T]) -> Iterator[R | Unusable]:
    """Read items in threads; give in order what was read, or why not."""

    def one(item: T) -> R | Unusable:
        try:
            return read(item)
        except Unusable as reason:
            return reason

    with _quiet(), ThreadPoolExecutor(os.cpu_count()) as pool:
        yield from pool.map(one, items)


def _sorted_out(read: Callable[[Path], R], paths: Sequence[Path]) -> tuple[list[R], dict[Path, str]]:
    results = list(zip(paths, attempt(read, paths), strict=True))
    bad = {path: str(result) for path, result in results if isinstance(result, Unusable)}
    return [result for _, result in results if not isinstance(result, Unusable)], bad


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep Pillow's warnings to ourselves; a decompression bomb is an error."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.simplefilter("error", Pillow.DecompressionBombWarning)
        yield


def _look(path: Path) -> File:
    content = _content(path)
    with _opened(content) as image:
        return File(path, hashlib.sha256(content).hexdigest(), *image.size)


@contextmanager
def _opened(content: bytes) -> Iterator[Pillow.Image]:
    """Open an image from memory: Pillow maps files itself, and trusts the lengths that they claim."""
    try:
        with Pillow.open(io.BytesIO(content), formats=FORMATS) as image:
            if image.format != "MPO" and (frames := getattr(image, "n_frames", 1)) > 1:  # MPO: a camera's two views
                raise Unusable(f"{frames} frames or pages; an image has one")
            if min(image.size) < LEAST_SIDE:
                raise Unusable(f"{image.width} x {image.height} px; an image has at least {LEAST_SIDE} a side")
            yield image
    except (Unusable, MemoryError):
        raise
    except (Pillow.DecompressionBombWarning, Pillow.DecompressionBombError) as error:
        raise Unusable(f"a decompression bomb? {str(error).partition(',')[0]}") from None
    except UnidentifiedImageError:
        if content.startswith(SIGNATURES):
            raise Unusable("damaged, or of a kind that Pillow cannot read") from None
        raise Unusable("not a PNG, JPEG, WebP, BMP or TIFF image, whatever its name says") from None
    except OSError as error:
        raise Unusable((error.strerror or str(error)).lower()) from None
    except Exception as error:  # a damaged file can make a decoder fail in any way
        raise Unusable(f"damaged ({type(error).__name__}: {error})") from None


def _content(path: Path) -> bytes:
    try:
        path.name.encode()
        if path.is_symlink() and not path.exists():
            raise Unreadable("a link that leads nowhere")
        if not path.is_file():
            raise Unreadable("not a file")
        if path.stat().st_size > MOST_BYTES:
            raise Unusable(f"more than {MOST_BYTES >> 20} MB")
        content = path.read_bytes()
    except UnicodeEncodeError:
        raise Unusable("its name is not UTF-8") from None
    except OSError as error:
        raise Unreadable((error.strerror or str(error)).lower()) from None
    if not content:
        raise Unusable("empty")
    return content


def _turned(image: Pillow.Image) -> Pillow.Image:
    try:
        image.getexif()
    except Exception:  # a camera's notes may be damaged where its picture is not
        return image
    return ImageOps.exif_transpose(image)


def _opacity(image: Pillow.Image) -> Opacity | None:
    if not image.has_transparency_data:
        return None
    if image.mode.startswith("I;16"):
        return np.where(np.asarray(image) == image.info["transparency"], 0, 255).astype(np.uint8)
    return np.array(image.convert("RGBA").getchannel("A"), np.uint8)


def _rgb(image: Pillow.Image) -> Image:
    """Bring any mode to 8 bits and three channels, [H, W, 3]."""
    if image.mode.startswith("I;16"):
        levels = np.asarray(image)
        grey = (levels.astype(np.float32) / 257).round().astype(np.uint8)
        grey[levels == image.info.get("transparency", -1)] = 255
        return np.repeat(grey[..., None], 3, axis=2)
    if image.mode in ("I", "F"):
        raise Unusable("32 bits a channel; save it with 8 or 16")
    if image.has_transparency_data:
        image = image.convert("RGBA")
        image = Pillow.alpha_composite(Pillow.new("RGBA", image.size, "white"), image)
    return np.array(image.convert("RGB"), np.uint8)
