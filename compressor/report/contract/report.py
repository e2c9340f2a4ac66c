"""The types of report.json, schema `compress.report/1`: what a run found out, and whether it may ship.

Numbers are in base units named in the key, `null` where nothing was measured, and never NaN. All pages are made
from this file alone.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pydantic import (
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    ValidationError,
    model_serializer,
    model_validator,
)

from compressor.errors import Exit, InputError
from compressor.evaluation.evaluation import TensorFacts
from compressor.evaluation.record import Record
from compressor.printable import in_json
from compressor.problem.metric import Better, Unit
from compressor.report.contract import classes
from compressor.report.contract.details import Details
from compressor.report.contract.rows import ModelRow
from compressor.report.contract.whole import write_whole

SCHEMA = "compress.report/1"

VerdictState = Literal["pass", "fail", "undecided", "measured"]
StatementState = Literal["holds", "open", "broken"]

EXIT_OF: dict[VerdictState, Exit] = {
    "pass": Exit.PASS,
    "measured": Exit.PASS,
    "fail": Exit.FAIL,
    "undecided": Exit.UNDECIDED,
}


class PipelineText(Record):
    """The pipeline file as given."""

    sha256: str
    text: str


class Samples(Record):
    """Samples in each split; test_unseen: those of the test set that no choice was made on."""

    train: int | None = None
    validation: int | None = None
    test: int | None = None
    test_unseen: int | None = None


class MetricFacts(Record):
    """How a metric is read. unit: `share` is shown in percent, and its drops in points."""

    better: Better = "higher"
    unit: Unit = ""


ACCURACY_ALONE = {"accuracy": MetricFacts(unit="share")}


class TaskFacts(Record):
    """The problem that the models solve. metrics: left out where accuracy is the only one."""

    type: str
    metric: str
    metrics: dict[str, MetricFacts] = Field(ACCURACY_ALONE, exclude_if=lambda given: given == ACCURACY_ALONE)
    data: str | None = None
    fingerprint: str | None = None
    samples: Samples = Samples()


class Limit(Record):
    """One limit of the budget: exactly one of the three."""

    min: float | None = None
    max: float | None = None
    max_drop: float | None = None

    @model_validator(mode="after")
    def _one(self) -> Limit:
        if sum(value is not None for value in (self.min, self.max, self.max_drop)) != 1:
            raise ValueError("a limit is exactly one of min, max, max_drop")
        return self

    @model_serializer(mode="wrap")
    def _only_the_one(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return {key: value for key, value in handler(self).items() if value is not None}

    @property
    def value(self) -> float:
        """The limit's number, whichever kind it is."""
        return next(value for value in (self.min, self.max, self.max_drop) if value is not None)


class Needed(Record):
    """What would decide an open statement, if the observed values stayed as they are.

    processes: fresh processes of the latency experiment, each like those that were run. rounds: of an experiment in
    one process.
    """

    samples: int | None = None
    processes: int | None = None
    rounds: int | None = None

    @model_serializer(mode="wrap")
    def _only_the_one(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return {key: value for key, value in handler(self).items() if value is not None}


class Statement(Record):
    """One limit of the budget beside what was measured. `how` says in words where value and interval come from."""

    measure: str
    limit: Limit
    value: float | None
    low: float | None
    high: float | None
    state: StatementState
    how: str
    needed: Needed | None = None


class Verdict(Record):
    """All statements together, about the bundle of the step `ship`."""

    state: VerdictState
    ship: str | None
    baseline: str | None
    statements: tuple[Statement, ...] = ()


class Shipped(Record):
    """The file that goes to the device. bundle: its folder, relative to the report."""

    bundle: str
    model_sha256: str
    input: TensorFacts | None = None
    output: TensorFacts | None = None


class Environment(Record):
    """The machine and the libraries that the figures come from. load: average of the last minute."""

    cpu: str | None = None
    isa: str | None = None
    cores: int | None = None
    governor: str | None = None
    load: float | None = None
    memory_bytes: int | None = None
    os: str | None = None
    python: str | None = None
    libraries: dict[str, str] = Field(default_factory=dict)
    threads: int | None = None


class Report(Record):
    """What a run says: verdict, one row a model, and where every figure was measured."""

    model_config = ConfigDict(
        frozen=True, extra="ignore", allow_inf_nan=False, protected_namespaces=(), populate_by_name=True
    )

    schema_: Literal["compress.report/1"] = Field("compress.report/1", alias="schema")
    name: str
    created: str
    compress_version: str
    pipeline: PipelineText
    task: TaskFacts
    verdict: Verdict
    models: tuple[ModelRow, ...]
    shipped: Shipped | None = None
    environment: Environment = Environment()
    reproduce: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    details: Details = Details()

    @model_validator(mode="after")
    def _rows_have_an_order(self) -> Report:
        parents = {row.step: row.parent for row in self.models}
        if len(parents) < len(self.models):
            raise ValueError("a step has two rows")
        for step in parents:
            above: set[str | None] = set()
            while step in parents:
                if step in above:
                    raise ValueError("a step is its own parent")
                above.add(step)
                step = parents[step] or ""
        return self

    @property
    def exit_code(self) -> int:
        """0 pass or measured, 5 fail, 6 undecided."""
        return int(EXIT_OF[self.verdict.state])

    @property
    def subject(self) -> str | None:
        """The step that pages look at closely: the one that ships, else the last."""
        return self.verdict.ship or (self.models[-1].step if self.models else None)

    def row(self, step: str | None) -> ModelRow | None:
        """The row of a step, None where the report has none."""
        return next((row for row in self.models if row.step == step), None)

    def text(self) -> str:
        """The report as JSON text, the same for equal reports."""
        content = self.model_dump(mode="json", by_alias=True)
        return in_json(content, indent=1, letters=True) + "\n"

    def save(self, path: Path) -> None:
        """Write report.json whole or not at all; ResourceError where the folder cannot be written."""
        write_whole(path, self.text())

    @classmethod
    def load(cls, path: Path) -> Report:
        """Read a report.json; InputError where it is missing or no report."""
        try:
            report = cls.model_validate_json(path.read_bytes())
        except FileNotFoundError:
            raise InputError(str(path), "no such report", "name the folder of a finished run") from None
        except OSError as error:
            todo = "name the folder of a finished run"
            raise InputError(str(path), f"cannot be read ({error.strerror})", todo) from None
        except ValidationError as error:
            first = error.errors()[0]
            place = ".".join(str(part) for part in first["loc"])
            raise InputError(
                str(path), f"is no {SCHEMA} ({place}: {first['msg']})", "run the pipeline again to write it anew"
            ) from None
        close = (report.subject, report.verdict.baseline)
        return report.model_copy(update={"details": classes.bounded(report.details, close)})
