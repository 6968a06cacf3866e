"""MLflow: settings, curves, closing table and pictures of a run, on a tracking server."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from lossbench import hookimpl

from ._numbers import of_run, of_step

if TYPE_CHECKING:
    from pathlib import Path

    from mlflow.entities import Metric

    from lossbench import Run

BATCH, PARAMS = 900, 100  # a request holds 1000 things, and 100 parameters
LENGTH, KEY = 500, 250  # characters of a parameter's value, which newer servers take longer, and of any name
SECONDS = 10  # between two requests
PATIENCE = {"MLFLOW_HTTP_REQUEST_TIMEOUT": "10", "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1"}  # not minutes, as by itself
STEP = "lossbench.step"  # the tag that says up to which step there are metrics


class MLflow:
    """Log a run to ``uri``, by itself MLFLOW_TRACKING_URI or MLflow's own default, under ``experiment``.

    Metrics are ``value/A2B/cycle`` and ``weighted/A2B/cycle``, at the end ``closing/A2B/translation/l1``. A run that
    goes on continues its MLflow run: steps that are there are not sent again, settings that changed become tags
    ``resumed.KEY``. The run keeps ``uri``: put no password in it, MLflow reads MLFLOW_TRACKING_PASSWORD.
    MLflow tells its makers how it is used; MLFLOW_DISABLE_TELEMETRY=true stops that.
    """

    run_id: str
    logged: int  # the last step that is there

    def __init__(self, *, uri: str | None = None, experiment: str = "lossbench") -> None:
        for name, value in PATIENCE.items():
            os.environ.setdefault(name, value)
        from mlflow import MlflowClient

        self.client = MlflowClient(uri)
        self.experiment = experiment
        self.waiting: list[Metric] = []
        self.sent = time.monotonic()

    @hookimpl
    def lossbench_run_start(self, run: Run) -> None:
        """Begin a run on the server, or continue the one that the run's directory remembers."""
        memory = run.directory / ".mlflow"
        if not ("resumed" in run.record and memory.exists() and self._continues(memory.read_text("utf-8"))):
            tags = {"lossbench.run_id": run.record["run_id"]}
            begun = self.client.create_run(self._experiment_id(), tags=tags, run_name=run.directory.name)
            memory.write_text(begun.info.run_id, "utf-8")
        self.run_id = memory.read_text("utf-8")
        there = self.client.get_run(self.run_id).data
        self.logged = int(there.tags.get(STEP, 0))
        self._send_settings(run.config.dotted(), there.params)

    @hookimpl
    def lossbench_step(self, step: int, values: Mapping[str, float], weights: Mapping[str, float]) -> None:
        """Keep a step's values, and send what has waited long enough."""
        if step > self.logged:
            self._add(of_step(values, weights), step)
        if len(self.waiting) >= BATCH or time.monotonic() - self.sent > SECONDS:
            self._send()

    @hookimpl
    def lossbench_run_end(self, run: Run, record: Mapping[str, Any]) -> None:
        """Send the rest, say how the run ended, and upload what it left."""
        self._add(of_run(record), run.trainer.done)
        self._send()
        self.client.set_terminated(self.run_id, "FINISHED" if record["status"] == "ok" else "FAILED")
        for path in self._left(run.directory):
            folder = path.parent.relative_to(run.directory).as_posix()
            self.client.log_artifact(self.run_id, str(path), None if folder == "." else folder)

    def _left(self, directory: Path) -> list[Path]:
        named = [directory / name for name in ("run.json", "config.toml", "losses.png")]
        return [*filter(lambda path: path.exists(), named), *sorted(directory.glob("samples/*.png"))]

    def _experiment_id(self) -> str:
        from mlflow.exceptions import MlflowException

        try:
            known: str = self.client.create_experiment(self.experiment)
        except MlflowException:  # asked first, two runs that begin together would both create it
            if not (found := self.client.get_experiment_by_name(self.experiment)):
                raise
            known = found.experiment_id
        return known

    def _continues(self, run_id: str) -> bool:
        from mlflow.exceptions import MlflowException

        try:
            self.client.update_run(run_id, "RUNNING")
        except MlflowException as error:
            if error.error_code != "RESOURCE_DOES_NOT_EXIST":  # which another server says
                raise
            return False
        return True

    def _send_settings(self, settings: Mapping[str, Any], there: Mapping[str, str]) -> None:
        from mlflow.entities import Param, RunTag

        texts = {key: f"{value!s:.{LENGTH}}" for key, value in settings.items()}
        new = [Param(key, text) for key, text in texts.items() if key not in there]
        changed = [RunTag(f"resumed.{key}", text) for key, text in texts.items() if there.get(key, text) != text]
        for at in range(0, len(new), PARAMS):
            self.client.log_batch(self.run_id, params=new[at : at + PARAMS])
        self.client.log_batch(self.run_id, tags=changed)

    def _add(self, numbers: Mapping[str, float], step: int) -> None:
        from mlflow.entities import Metric

        now = int(time.time() * 1000)
        names = {name: re.sub(r"[^\w\-./: ]", "_", name)[:KEY] for name in numbers}
        self.waiting += [Metric(names[name], number, now, step) for name, number in numbers.items()]

    def _send(self) -> None:
        from mlflow.entities import RunTag

        for at in range(0, len(self.waiting), BATCH):
            batch = self.waiting[at : at + BATCH]
            self.client.log_batch(self.run_id, batch, tags=[RunTag(STEP, str(batch[-1].step))], synchronous=True)
        self.waiting, self.sent = [], time.monotonic()


@hookimpl
def lossbench_observer() -> type[MLflow]:
    """Runs beside each other in MLflow's pages."""
    return MLflow
