"""What `compress stages` and `compress schema` print: every field, from the code and from nowhere else."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from rich import box
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from compressor.api.schema import schema
from compressor.cli.console import Console, styled
from compressor.errors import InputError, meant
from compressor.stages import HIDDEN, STAGES, WRITTEN

if TYPE_CHECKING:
    from compressor.pipeline.file.fields import FieldRow
    from compressor.stages.base import AnyStage


def show_stages(name: str | None, console: Console | None = None) -> None:
    """Print all stages, or every field of one.

    Raises:
        InputError: there is no such stage.
    """
    console = console or Console()
    if name is None:
        console.print(_all_stages())
        console.print("every field of one: compress stages NAME", style="dim")
        return
    if name not in STAGES:
        raise InputError(
            "compress stages",
            f'there is no stage "{name}"',
            meant(name, WRITTEN, f"name one of: {', '.join(WRITTEN)}"),
        )
    for part in _one_stage(STAGES[name]):
        console.print(part)


def show_schema(which: str) -> None:
    """Print the JSON Schema of the pipeline file or of report.json.

    Raises:
        InputError: another name.
    """
    sys.stdout.write(schema(which))


def summary(stage: AnyStage) -> str:
    """What a stage does, in one sentence: the first line of its file."""
    return (sys.modules[stage.spec.__module__].__doc__ or "").strip().split("\n")[0]


def takes(stage: AnyStage) -> dict[str, str]:
    """Role -> the kinds of artifact allowed, in words, of the roles that a file names."""
    from compressor.pipeline.file.roles import kinds, written

    fields = {name for form in stage.specs for name in written(form)}
    return {role: kinds(allowed) for role, allowed in stage.takes.items() if role in fields}


def _optional(stage: AnyStage, role: str) -> bool:
    """Whether a file may leave a role out."""
    from compressor.pipeline.file.roles import written

    fields = [form.model_fields.get(written(form).get(role, "")) for form in stage.specs]
    return any(field is None or not field.is_required() for field in fields)


def _all_stages() -> RenderableType:
    from compressor.store.artifact import KINDS

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, header_style="dim")
    for column in ("stage", "takes", "makes", "what it does"):
        table.add_column(column, no_wrap=column == "stage")
    for name in WRITTEN:
        stage = STAGES[name]
        taken = ", ".join(f"[{role}]" if _optional(stage, role) else role for role in takes(stage))
        table.add_row(styled((name, "bold")), taken, KINDS[stage.makes].words, summary(stage))
    return table


def _one_stage(stage: AnyStage) -> list[RenderableType]:
    from compressor.pipeline.file.fields import of_stage
    from compressor.store.artifact import KINDS

    head = [styled((stage.name, "bold"), f": {summary(stage)}")]
    head += [styled(f"  {role}{' (optional)' * _optional(stage, role)}: {what}") for role, what in takes(stage).items()]
    head.append(styled(f"  makes {KINDS[stage.makes].words}"))
    if stage.name in HIDDEN:
        head.append(styled("  put in by the plan; no file names it"))
    return [Text("\n").join(head), field_table(of_stage(stage))]


def field_table(fields: list[FieldRow]) -> Table:
    """Fields as a table for the terminal."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, header_style="dim")
    table.add_column("field", no_wrap=True)
    table.add_column("type", ratio=2, overflow="fold")
    table.add_column("default")
    table.add_column("meaning", ratio=3, overflow="fold")
    for row in fields:
        style = "bold" if "." not in row.name else ""
        table.add_row(styled((row.name, style)), row.type, row.default, row.meaning)
    return table
