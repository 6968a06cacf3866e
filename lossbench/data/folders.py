"""Folders ``trainA trainB testA testB``, or ``train test`` with pairs side by side: decoded once, into the cache."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from lossbench.data.cache import decoded
from lossbench.data.dataset import Dataset
from lossbench.data.images import File, Part, image_paths, look, refuse
from lossbench.errors import DataError

ADVICE = "Mend or remove them, or go on without them: --skip-bad."
HALVES: Mapping[str, Part] = {"A": "left", "B": "right"}


class Folders:
    """The source of a folder that holds ``trainA trainB testA testB``, or ``train test`` with A left and B right.

    ``paired``: the training images are pairs by name; ``domains``: A alone needs ``trainA testA``, or ``train test``.
    ``test``: the folders to test on, ``val`` for ``valA valB``. With ``skip_bad``, less what cannot be used.

    Raises:
        DataError: a folder missing or empty, images without partner.
    """

    def __init__(
        self,
        root: Path,
        *,
        paired_test: bool = False,
        skip_bad: bool = False,
        paired: bool = False,
        domains: str = "AB",
        test: str = "test",
    ) -> None:
        self.root = root
        self.phases = {"train": "train", "test": test}
        self.domains = domains
        self.skip_bad = skip_bad
        whole = all((root / phase).is_dir() for phase in self.phases.values())
        apart = all((root / f"{phase}{domain}").is_dir() for phase in self.phases.values() for domain in domains)
        self.aligned = whole and not apart and len(domains) == 2
        if not (whole or apart):
            raise DataError(self._missing())
        self.paired = (["train"] if paired else []) + (["test"] if paired or paired_test or self.aligned else [])
        paths = {
            phase + domain: image_paths(root / (folder if not apart else folder + domain))
            for phase, folder in self.phases.items()
            for domain in domains
        }
        for phase in self.paired if not self.aligned else ():
            sides = paths[f"{phase}A"], paths[f"{phase}B"]
            _check_pairs(phase, *sides, skip_alone=skip_bad, by_flag=not paired)
        self.count = sum(map(len, paths.values()))
        self.files: dict[str, list[File]] = {}
        self.bad: dict[Path, str] = {}
        for side, some in paths.items():
            files, bad = look(some)
            self.files[side] = [replace(file, part=HALVES[side[-1]]) for file in files] if self.aligned else files
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
        for phase in self.paired:
            bad |= self._widow(phase, images, names)
        if bare := [side for side, left in names.items() if not left]:
            raise DataError(f"{self.root / bare[0]} holds no image that can be used.")
        return Dataset(
            name=self.root.resolve().name,
            train={domain: images[f"train{domain}"] for domain in self.domains},
            test={domain: images[f"test{domain}"] for domain in self.domains},
            test_names={domain: names[f"test{domain}"] for domain in self.domains},
            paired_test="test" in self.paired,
            groups={path.stem.removeprefix("test_"): path.read_text("utf-8").split() for path in self._lists()},
            skipped={str(path.relative_to(self.root)): reason for path, reason in bad.items()},
            note=notes[0] if notes else "",
        )

    def _lists(self) -> list[Path]:
        """Return the files ``test_NAME.txt``, which name the test images of a group."""
        return sorted(self.root.glob("test_*.txt"))

    def _missing(self) -> str:
        if not self.root.is_dir():
            return (
                f"No folder {self.root}. --data takes a folder of images, or one of the built-in sets: "
                "shapes, shapes-same, shapes-squash."
            )
        sides = [folder + domain for folder in self.phases.values() for domain in self.domains]
        if (self.root / "train").is_dir():
            test = self.phases["test"]
            return f"{self.root} has train, and lacks {test}. Another side to test on: --set data.test=val."
        if self.root.name in (*sides, *self.phases.values()):
            return f"{self.root} is one side. Name the folder that holds all: --data {self.root.parent}"
        missing = [side for side in sides if not (self.root / side).is_dir()]
        inside = "with pairs side by side" if len(self.domains) == 2 else "of images"
        return (
            f"{self.root} lacks {', '.join(missing)}. It needs the folders {', '.join(sides)}, or "
            f"{' and '.join(self.phases.values())} {inside}."
        )

    def _widow(self, phase: str, images: dict[str, Tensor], names: dict[str, list[str]]) -> dict[Path, str]:
        """Drop images without a partner; return them."""
        sides = [f"{phase}{domain}" for domain in self.domains]
        stems = [{Path(name).stem for name in names[side]} for side in sides]
        alone: dict[Path, str] = {}
        for side in sides:
            kept = [index for index, name in enumerate(names[side]) if Path(name).stem in stems[0] & stems[1]]
            gone = set(names[side]) - {names[side][index] for index in kept}
            folder = self.root / self.files[side][0].path.parent.name
            alone |= {folder / name: "it has no partner that can be used" for name in sorted(gone)}
            images[side], names[side] = images[side][kept], [names[side][index] for index in kept]
        return alone


def _check_pairs(phase: str, a: Sequence[Path], b: Sequence[Path], *, skip_alone: bool, by_flag: bool) -> None:
    """Refuse images that are not pairs by name, one to one."""
    names = [[path.stem for path in paths] for paths in (a, b)]
    folders = f"{a[0].parent.name} and {b[0].parent.name}"
    said, advice = "Pairs", "train with a recipe for unpaired images: --recipe cyclegan"
    if by_flag:
        said, advice = "--paired-test", "leave --paired-test out"
    advice = f"Give {folders} the same file names, or {advice}."
    if (alone := sorted(set(names[0]) ^ set(names[1]))) and not skip_alone:
        raise DataError(
            f"{said}: {len(alone)} {phase} images have no partner of the same name, such as {alone[0]}. {advice}"
        )
    if twice := sorted({name for some in names for name in some if some.count(name) > 1}):
        raise DataError(f"{said}: {twice[0]} is the name of more than one image of a side. {advice}")
