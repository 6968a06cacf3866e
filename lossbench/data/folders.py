"""Folders ``trainA trainB testA testB``: every image decoded once, into the cache."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from lossbench.data.cache import decoded
from lossbench.data.dataset import Dataset
from lossbench.data.images import File, image_paths, look, refuse
from lossbench.errors import DataError

SIDES = ("trainA", "trainB", "testA", "testB")
ADVICE = "Mend or remove them, or go on without them: --skip-bad."


class Folders:
    """The source of a folder that holds ``trainA trainB testA testB``. With ``skip_bad``, less what cannot be used.

    Raises:
        DataError: a folder missing or empty, test images without partner.
    """

    def __init__(self, root: Path, *, paired_test: bool, skip_bad: bool = False) -> None:
        if not root.is_dir():
            raise DataError(
                f"No folder {root}. --data takes a folder that holds {', '.join(SIDES)}, or one of the built-in sets: "
                "shapes, shapes-same, shapes-squash."
            )
        if missing := [side for side in SIDES if not (root / side).is_dir()]:
            raise DataError(f"{root} lacks {', '.join(missing)}. It needs the folders {', '.join(SIDES)}.")
        self.root = root
        self.paired_test = paired_test
        self.skip_bad = skip_bad
        paths = {side: image_paths(root / side) for side in SIDES}
        if paired_test:
            _check_pairs(paths["testA"], paths["testB"], skip_alone=skip_bad)
        self.count = sum(map(len, paths.values()))
        self.files: dict[str, list[File]] = {}
        self.bad: dict[Path, str] = {}
        for side in SIDES:
            self.files[side], bad = look(paths[side])
            self.bad |= bad

    def defaults(self, size: int | None) -> dict[str, Any]:
        """Return 256 px with crops from 286, as the reference; smaller images are not enlarged to be cropped."""
        sides = [file.side for files in self.files.values() for file in files]
        natural = max(4, int(np.median(sides or [256])) // 4 * 4)
        size = size or min(256, natural)
        load_size = round(size * 286 / 256)
        return {"data.size": size, "data.load_size": max(size, min(load_size, natural)) if natural < 256 else load_size}

    def dataset(self, size: int, load_size: int) -> Dataset:
        """Resize to squares.

        Raises:
            DataError: a list of all images that cannot be used; with ``skip_bad``, a side where none is left.
        """
        images: dict[str, Tensor] = {}
        names: dict[str, list[str]] = {}
        bad, notes = dict(self.bad), []
        for side, files in self.files.items():
            side_px = load_size if side.startswith("train") else size
            images[side], unusable, note = decoded(files, side_px, f"{self.root.resolve().name}/{side}")
            bad |= unusable
            notes += [note] if note else []
            names[side] = [file.path.name for file in files if file.path not in unusable]
        if not self.skip_bad:
            refuse(bad, self.count, ADVICE)
        if self.paired_test:
            bad |= self._widow(images, names)
        if bare := [side for side, left in names.items() if not left]:
            raise DataError(f"{self.root / bare[0]} holds no image that can be used.")
        return Dataset(
            name=self.root.resolve().name,
            train={domain: images[f"train{domain}"] for domain in "AB"},
            test={domain: images[f"test{domain}"] for domain in "AB"},
            test_names={domain: names[f"test{domain}"] for domain in "AB"},
            paired_test=self.paired_test,
            skipped={str(path.relative_to(self.root)): reason for path, reason in bad.items()},
            note=notes[0] if notes else "",
        )

    def _widow(self, images: dict[str, Tensor], names: dict[str, list[str]]) -> dict[Path, str]:
        """Drop test images without a partner; return them."""
        stems = [{Path(name).stem for name in names[side]} for side in ("testA", "testB")]
        alone: dict[Path, str] = {}
        for side in ("testA", "testB"):
            kept = [index for index, name in enumerate(names[side]) if Path(name).stem in stems[0] & stems[1]]
            gone = set(names[side]) - {names[side][index] for index in kept}
            alone |= {self.root / side / name: "it has no partner that can be used" for name in sorted(gone)}
            images[side], names[side] = images[side][kept], [names[side][index] for index in kept]
        return alone


def _check_pairs(a: Sequence[Path], b: Sequence[Path], *, skip_alone: bool) -> None:
    """Refuse test images that are not pairs by name, one to one."""
    names = [[path.stem for path in paths] for paths in (a, b)]
    advice = "Give testA and testB the same file names, or leave --paired-test out."
    if (alone := sorted(set(names[0]) ^ set(names[1]))) and not skip_alone:
        raise DataError(
            f"--paired-test: {len(alone)} test images have no partner of the same name, such as {alone[0]}. {advice}"
        )
    if twice := sorted({name for some in names for name in some if some.count(name) > 1}):
        raise DataError(f"--paired-test: {twice[0]} is the name of more than one image of a side. {advice}")
