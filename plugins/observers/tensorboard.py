"""TensorBoard: curves of each term, sample grids and the settings of a run, as they come."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from lossbench import hookimpl

from ._numbers import of_run, of_step

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter

    from lossbench import Run


class TensorBoard:
    """Write event files into ``folder`` of a run's directory: ``tensorboard --logdir runs`` shows them.

    Scalars are ``value/A2B/cycle`` and ``weighted/A2B/cycle``, at the end ``closing/A2B/translation/l1``. A run that
    goes on hides what was written after the step it goes on from.
    """

    writer: SummaryWriter
    run: Run

    def __init__(self, *, folder: str = "tensorboard") -> None:
        from torch.utils.tensorboard import SummaryWriter

        self.open, self.folder = SummaryWriter, folder

    @hookimpl
    def lossbench_run_start(self, run: Run) -> None:
        """Open a file and write the settings."""
        done, resumed = run.trainer.done, "resumed" in run.record
        self.run = run
        self.writer = self.open(str(run.directory / self.folder), purge_step=done + 1 if resumed else None)
        self.writer.add_text("config", f"```toml\n{run.config.toml()}\n```", done)

    @hookimpl
    def lossbench_step(self, step: int, values: Mapping[str, float], weights: Mapping[str, float]) -> None:
        """Add a point to each curve, and the samples of the step before, which are drawn after it."""
        self._add(of_step(values, weights), step)
        self._add_samples(step - 1)

    @hookimpl
    def lossbench_run_end(self, record: Mapping[str, Any]) -> None:
        """Add the last samples and the closing table."""
        self._add_samples(self.run.trainer.done)
        self._add(of_run(record), self.run.trainer.done)
        self.writer.close()

    def _add(self, numbers: Mapping[str, float], step: int) -> None:
        for name, number in numbers.items():
            self.writer.add_scalar(name, number, step)

    def _add_samples(self, step: int) -> None:
        for direction in self.run.config.recipe.directions:
            if (path := self.run.directory / "samples" / f"{direction}_{step:06}.png").exists():
                with Image.open(path) as image:
                    self.writer.add_image(
                        f"samples/{direction}", np.asarray(image.convert("RGB")), step, dataformats="HWC"
                    )
                self.writer.flush()  # a snapshot follows samples: what it goes on from is on the disk


@hookimpl
def lossbench_observer() -> type[TensorBoard]:
    """Curves and pictures in a browser, while the run goes on."""
    return TensorBoard
