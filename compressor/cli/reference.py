"""docs/reference.md: every field of the pipeline file, made from the code."""

from __future__ import annotations

from collections.abc import Iterator

from compressor.cli.describe import summary, takes
from compressor.pipeline.file.budget import Bounds, MetricBounds
from compressor.pipeline.file.fields import FieldRow, of_stage, rows
from compressor.pipeline.file.schema import DECIDE
from compressor.pipeline.file.spec import PipelineFile
from compressor.report.judgement.measures import MEASURES
from compressor.stages import STAGES, WRITTEN
from compressor.store.artifact import KINDS
from compressor.tasks import TASKS
from compressor.training.settings import TrainingFields

HEAD = """\
# Reference: the pipeline file

Made from the code by `compress stages --markdown`; do not edit. `compress stages NAME` shows the same in a terminal,
and `compress schema` gives it to editors. A field without a default may be left out unless it is required; `x[].y` is
the field `y` of each item of the list `x`, and `x.NAME.y` that of each named entry.
"""


def reference() -> str:
    """The page as text."""
    return "\n".join([HEAD, *_file(), *_tasks(), *_steps(), *_training(), *_budget()]).rstrip() + "\n"


def _file() -> Iterator[str]:
    yield "## The file\n"
    yield from _table(rows(PipelineFile))


def _tasks() -> Iterator[str]:
    for name, kind in TASKS.items():
        yield f"## Task `{name}`\n"
        metrics = ", ".join(f"`{metric}`" for metric in kind.metrics)
        yield f"{' '.join((kind.__doc__ or '').split())} Metrics: {metrics}.\n"
        yield from _table(rows(kind))


def _steps() -> Iterator[str]:
    yield "## Stages\n"
    yield "| stage | takes | makes | what it does |\n|---|---|---|---|"
    for name in WRITTEN:
        stage = STAGES[name]
        roles = "; ".join(f"`{role}`: {words}" for role, words in takes(stage).items())
        yield f"| [`{name}`](#{name}) | {roles} | {KINDS[stage.makes].words} | {_cell(summary(stage))} |"
    yield ""
    for name in WRITTEN:
        stage = STAGES[name]
        yield f"### {name}\n"
        yield f"{' '.join((stage.spec.__doc__ or '').split())}\n"
        if trains := _trains(name):
            yield "Beside these, the [training fields](#training-fields); one that stands here has another default.\n"
        yield from _table(of_stage(stage, training=not trains))


def _trains(name: str) -> bool:
    return any(issubclass(form, TrainingFields) for form in STAGES[name].specs)


def _training() -> Iterator[str]:
    yield "## Training fields\n"
    names = [name for name in WRITTEN if _trains(name)]
    yield f"Of the stages {', '.join(f'`{name}`' for name in names)}.\n"
    yield from _table(rows(TrainingFields))


def _budget() -> Iterator[str]:
    yield "## Budget\n"
    yield "Limits on what ships: `measure: {min: …}`, `{max: …}`, and for the task's metrics `{max_drop: …}`.\n"
    yield from _table([*rows(Bounds), *(row for row in rows(MetricBounds) if row.name == "max_drop")])
    yield "| measure | meaning |\n|---|---|"
    yield "| a metric of the task | Its value on the test set. |"
    for name, measure in MEASURES.items():
        yield f"| `{name}` | {_cell(measure.meaning)}{' Needs a `benchmark` step.' if measure.timed else ''} |"
    yield f"| `decide` | `interval` (default) or `point`. {_cell(str(DECIDE['description']))} |"


def _table(fields: list[FieldRow]) -> Iterator[str]:
    yield "| field | type | default | meaning |\n|---|---|---|---|"
    for row in fields:
        default = row.default if row.default in ("", "required") else f"`{row.default}`"
        yield f"| `{row.name}` | {_cell(row.type)} | {_cell(default)} | {_cell(row.meaning)} |"
    yield ""


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
