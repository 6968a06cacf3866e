"""Folders ``trainA trainB testA testB``, decoded and resized by OpenCV."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lossbench.data.dataset import Dataset
from lossbench.errors import DataError

try:
    import cv2
except ImportError as error:  # slim images lack the system's libGL
    raise DataError(
        f"OpenCV cannot be imported: {error}. On Debian or Ubuntu: apt-get install libgl1 libglib2.0-0; or, in this "
        "environment, put opencv-python-headless in its place."
    ) from error

cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)  # what cannot be read is named by us

Image = NDArray[np.uint8]  # [H, W, 3], RGB
SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff"})
SIDES = ("trainA", "trainB", "testA", "testB")


class Folders:
    """The source of a folder that holds ``trainA trainB testA testB``, decoded.

    Raises:
        DataError: a folder missing or empty, test images without partner, files that cannot be read.
    """

    def __init__(self, root: Path, *, paired_test: bool) -> None:
        if not root.is_dir():
            raise DataError(
                f"No folder {root}. --data takes a folder that holds {', '.join(SIDES)}, or one of the built-in sets: "
                "shapes, shapes-same, shapes-squash."
            )
        if missing := [side for side in SIDES if not (root / side).is_dir()]:
            raise DataError(f"{root} lacks {', '.join(missing)}. It needs the folders {', '.join(SIDES)}.")
        self.root = root
        self.paired_test = paired_test
        self.paths = {side: image_paths(root / side) for side in SIDES}
        if paired_test:
            _check_pairs(self.paths["testA"], self.paths["testB"])
        read = {side: read_images(paths) for side, paths in self.paths.items()}
        if bad := [path for _, unread in read.values() for path in unread]:
            shown = ", ".join(map(str, bad[:5])) + (f" and {len(bad) - 5} more" if len(bad) > 5 else "")
            raise DataError(f"Not images that OpenCV can read: {shown}. Mend or remove them.")
        self.images = {side: images for side, (images, _) in read.items()}

    def defaults(self, size: int | None) -> dict[str, Any]:
        """Return 256 px with crops from 286, as the reference; smaller images are not enlarged to be cropped."""
        sides = [min(image.shape[:2]) for images in self.images.values() for image in images]
        natural = max(4, int(np.median(sides)) // 4 * 4)
        size = size or min(256, natural)
        load_size = round(size * 286 / 256)
        return {"data.size": size, "data.load_size": max(size, min(load_size, natural)) if natural < 256 else load_size}

    def dataset(self, size: int, load_size: int) -> Dataset:
        """Resize to squares."""
        return Dataset(
            name=self.root.resolve().name,
            train={domain: resized(self.images[f"train{domain}"], load_size) for domain in "AB"},
            test={domain: resized(self.images[f"test{domain}"], size) for domain in "AB"},
            test_names={domain: [path.name for path in self.paths[f"test{domain}"]] for domain in "AB"},
            paired_test=self.paired_test,
        )


def image_paths(folder: Path) -> list[Path]:
    """Return the image files of a folder in order of name; none is an error."""
    if not folder.is_dir():
        raise DataError(f"No folder {folder}. Name a folder of images.")
    found = sorted((path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES), key=lambda path: path.stem)
    if not found:
        raise DataError(f"{folder} holds no image. Known endings: {', '.join(sorted(SUFFIXES))}.")
    return found


def read_images(paths: Sequence[Path]) -> tuple[list[Image], list[Path]]:
    """Decode files to RGB; transparency comes out on white. Return the images and the files that are none."""
    read = [(path, _read(path)) for path in paths]
    return [image for _, image in read if image is not None], [path for path, image in read if image is None]


def resized(images: Sequence[Image], size: int) -> Tensor:
    """Resize to ``size`` x ``size``: sides that shrink by area averages, sides that grow by cubics.

    -> uint8 [N, 3, size, size]
    """
    square = []
    for image in images:
        height, width = image.shape[:2]
        shrunk = cv2.resize(image, (min(width, size), min(height, size)), interpolation=cv2.INTER_AREA)
        square.append(cv2.resize(shrunk, (size, size), interpolation=cv2.INTER_CUBIC))
    return torch.from_numpy(np.stack(square)).permute(0, 3, 1, 2).contiguous()


def write_image(path: Path, image: Image) -> None:
    """Write an RGB image; the ending of the path says in which format."""
    done, encoded = cv2.imencode(path.suffix, image[..., ::-1])
    if not done:
        raise DataError(f"{path}: OpenCV cannot write this format.")
    path.write_bytes(encoded.tobytes())


def _check_pairs(a: Sequence[Path], b: Sequence[Path]) -> None:
    """Refuse test images that are not pairs by name, one to one."""
    names = [[path.stem for path in paths] for paths in (a, b)]
    advice = "Give testA and testB the same file names, or leave --paired-test out."
    if alone := sorted(set(names[0]) ^ set(names[1])):
        raise DataError(
            f"--paired-test: {len(alone)} test images have no partner of the same name, such as {alone[0]}. {advice}"
        )
    if twice := sorted({name for some in names for name in some if some.count(name) > 1}):
        raise DataError(f"--paired-test: {twice[0]} is the name of more than one image of a side. {advice}")


def _read(path: Path) -> Image | None:
    try:
        encoded = np.frombuffer(path.read_bytes(), np.uint8)
        pixels: Any = cv2.imdecode(encoded, cv2.IMREAD_UNCHANGED)
        if pixels is None or pixels.dtype not in (np.uint8, np.uint16):
            return None
        if pixels.ndim == 3 and pixels.shape[2] == 4:
            top = 65535 if pixels.dtype == np.uint16 else 255
            alpha = pixels[..., 3:].astype(np.float32) / top
            white = (pixels[..., :3].astype(np.float32) / top * alpha + 1 - alpha) * 255
            return np.ascontiguousarray(white.round().astype(np.uint8)[..., ::-1])
        pixels = cv2.imdecode(encoded, cv2.IMREAD_COLOR)  # 8 bit, three channels, turned as the camera was held
        return np.ascontiguousarray(pixels[..., ::-1], np.uint8)
    except (OSError, cv2.error):
        return None
