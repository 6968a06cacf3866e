"""What report.json holds, and the reader of it. docs/report.schema.json is written from here."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from lossbench.errors import LossbenchError, RunError
from lossbench.record import DatasetFacts, EnvironmentFacts, damage

SCHEMA = 2
FILE = "report.json"
Direction = str  # A2B
Label = str  # cycle+idt


class Facts(BaseModel):
    """A part of a report; what this version does not know of is kept."""

    model_config = ConfigDict(extra="allow")


class Loss(Facts):
    """A loss as it was used: by direction its weight, a number or a schedule."""

    weights: dict[Direction, float | str]
    options: dict[str, Any]
    distribution: str
    version: str
    sha256: str


class Cell(Facts):
    """A run: a combination with a seed. ``again``: of the baseline's second set of seeds.

    ``terms``: each raw term of the last step. ``environment``: a place among the report's.
    """

    combination: Label
    plugins: list[str]
    seed: int
    again: bool
    status: Literal["ok", "failed", "diverged", "missing"]
    error: str | None
    values: dict[str, float | None]
    terms: dict[str, float | None]
    run_id: str | None
    directory: str | None
    environment: int | None


class Between(Facts):
    """An interval, whole or not at all."""

    low: float | None = None
    high: float | None = None

    @model_validator(mode="after")
    def _whole(self) -> Self:
        ends = (("low", "high"), ("relative_low", "relative_high"))
        if any((getattr(self, low, None) is None) != (getattr(self, high, None) is None) for low, high in ends):
            raise ValueError("an interval has one end")
        return self


class Estimate(Between):
    """A value with its interval; None where there are too few values."""

    value: float | None
    n: int

    @model_validator(mode="after")
    def _valued(self) -> Self:
        if self.value is None and self.low is not None:
            raise ValueError("an interval has no value")
        return self


class Attribution(Facts):
    """What each loss does to a metric, on minus off, and each pair together."""

    level: float
    main: dict[str, Estimate]
    interactions: dict[str, Estimate]
    shapley: dict[str, Estimate]

    @model_validator(mode="after")
    def _alike(self) -> Attribution:
        if self.main.keys() != self.shapley.keys():
            raise ValueError("main effects and Shapley values are of other losses")
        return self


class Row(Between):
    """A combination's values of a metric, by seed, and beside the baseline's how much worse they are."""

    combination: Label
    values: list[float]
    seeds_measured: list[int]
    images: tuple[int, int] | None
    failed: list[int]
    missing: list[int]
    verdict: Literal["improved", "ok", "inconclusive", "regressed", "failed", "missing", "incomparable"] | None = None
    worse: float | None = None
    relative: float | None = None
    relative_low: float | None = None
    relative_high: float | None = None


class Beside(Facts):
    """The copy's value, and the floor's, where there are any."""

    copy_: float | None = Field(alias="copy")
    floor: float | None


class Metric(Facts):
    """What is known of a metric; ``shown`` is what people see values multiplied by.

    ``against``: what translations are compared with, where that is known; ``real`` is the input.
    """

    against: Literal["truth", "target", "real"] | None = None
    unit: str
    better: Literal["lower", "higher"]
    shown: float
    protocol: str
    weights: dict[str, str]
    level: float
    reason: str | None
    rows: list[Row]
    again: Row
    beside: Beside
    attribution: Attribution | None


class Column(Facts):
    """Translations of the fixed test images by one combination, as data URIs, of the seed in the middle."""

    seed: int
    images: list[str]


class Pictures(Facts):
    """A direction's test images, their truth where there is one, and each combination's translations of them."""

    input: list[str]
    truth: list[str] | None
    columns: dict[Label, Column]


class Curve(Facts):
    """A run's weighted terms over its steps, means over as many steps as lie between two."""

    seed: int
    steps: list[int] = Field(min_length=1)
    terms: dict[str, list[float | None]]

    @model_validator(mode="after")
    def _as_long(self) -> Curve:
        if any(len(values) != len(self.steps) for values in self.terms.values()):
            raise ValueError("a term has not as many values as there are steps")
        return self


class Report(Facts):
    """What a bench came to. Values are as they are measured; those of people's tables are times ``shown``.

    ``project``: the commit of the folder that the bench ran in, and whether it was changed since.
    """

    schema_: Literal[2] = Field(alias="schema")
    recipe: str | None
    dataset: DatasetFacts | None
    settings: dict[str, Any]
    losses: dict[str, Loss]
    suite: str
    environments: list[EnvironmentFacts]
    baseline: Label
    primary: list[str]
    level: float
    margin: str
    pairing: Literal["seed", "none"]
    cells: list[Cell]
    metrics: dict[str, Metric]
    changed: list[str] = []
    project: dict[str, Any] | None = None
    pictures: dict[Direction, Pictures] = {}
    curves: dict[Label, Curve] = {}
    answer: dict[str, Any] | None = None

    @model_validator(mode="after")
    def _whole(self) -> Report:
        """Refuse what does not fit together."""
        rows = {tuple(row.combination for row in metric.rows) for metric in self.metrics.values()}
        if len(rows) > 1:
            raise ValueError("metrics have other combinations than each other")
        if any(own and own[0] != self.baseline for own in rows) or () in rows:
            raise ValueError("a metric does not begin with the baseline")
        if strange := [name for name in self.primary if name not in self.metrics]:
            raise ValueError(f"{strange[0]} is primary and not measured")
        if any(
            cell.environment is not None and not 0 <= cell.environment < len(self.environments) for cell in self.cells
        ):
            raise ValueError("a run's environment is not there")
        return self


class Incomparable(LossbenchError):
    """A baseline that nothing can be compared with."""

    exit_code = 4


def read_report(path: Path) -> dict[str, Any]:
    """Return a report: of a bench's directory, or a file.

    Raises:
        RunError: no report there, or none that this version can read.
    """
    file = path / FILE if path.is_dir() else path
    try:
        found = json.loads(file.read_text("utf-8"))
    except FileNotFoundError:
        raise RunError(f"{path} holds no report. It is made by: lossbench bench") from None
    except (OSError, ValueError) as error:
        raise RunError(f"{file} cannot be read: {error}. Make it anew: lossbench bench {file.parent}") from None
    if not isinstance(found, dict) or found.get("schema") != SCHEMA:
        raise RunError(f"{file} is not a report of schema {SCHEMA}. Make it anew with this version: lossbench bench")
    try:
        Report.model_validate(found)
    except ValidationError as error:
        raise RunError(f"{file} is damaged: {damage(error)}.") from None
    return found


def read_baseline(path: Path) -> dict[str, Any]:
    """Return a report to compare with.

    Raises:
        RunError: there is none.
        Incomparable: it cannot be read by this version.
    """
    try:
        return read_report(path)
    except RunError as error:
        if not path.exists():
            raise
        raise Incomparable(f"--baseline {error}") from None


def published() -> dict[str, Any]:
    """Return the JSON schema of report.json."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **Report.model_json_schema(by_alias=True)}
