"""What the terminal shows of a plan, a report and an estimate."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.box import SIMPLE_HEAD
from rich.console import Console, JustifyMethod
from rich.markup import escape
from rich.table import Table

from compressor.cli.progress import typed
from compressor.report import words

if TYPE_CHECKING:
    from compressor.pipeline.estimate import Estimate
    from compressor.pipeline.prepare import Prepared
    from compressor.pipeline.run import Outcome
    from compressor.report.report import Report, Statement
    from compressor.report.rows import ModelRow

STATUS_STYLE = {"run": "yellow", "resume": "cyan", "reuse": "green"}
STATE_STYLE = {"holds": "green", "open": "yellow", "broken": "red"}
VERDICT_STYLE = {"pass": "bold green", "measured": "bold green", "fail": "bold red", "undecided": "bold yellow"}


def _table(*columns: str, right: Sequence[str] = (), wide: Sequence[str] = ()) -> Table:
    """A table for 80 columns: nothing at its edges, two spaces between columns, and only the wide ones wrap."""
    table = Table(box=SIMPLE_HEAD, show_edge=False, padding=(0, 1, 0, 0), pad_edge=False, header_style="dim")
    for column in columns:
        justify: JustifyMethod = "right" if column in right else "left"
        table.add_column(column, justify=justify, no_wrap=column not in wide, overflow="fold")
    return table


def _print(console: Console, *tables: Table) -> None:
    for table in tables:
        console.print()
        console.print(table)
    console.print()


def show_plan(console: Console, prepared: Prepared) -> None:
    """A line a step: what would happen, and why."""
    table = _table("step", "stage", "", "why", "key", wide=("why",))
    for node in prepared.plan.nodes:
        style = STATUS_STYLE.get(node.status, "")
        table.add_row(
            escape(node.name),
            node.stage.name,
            f"[{style}]{node.status}[/]",
            escape(node.why),
            f"[dim]{node.key[:8]}[/]",
        )
    _print(console, table)
    waiting = sum(node.status != "reuse" for node in prepared.plan.nodes)
    total = len(prepared.plan.nodes)
    console.print(
        f"{waiting} of {total} to run, on {prepared.device}; artifacts in {prepared.store.root}", soft_wrap=True
    )


def show_outcome(console: Console, outcome: Outcome) -> None:
    """The models, the statements, the verdict and where the report is."""
    report = outcome.report
    _print(console, _models(report), *([_statements(report.verdict.statements)] if report.verdict.statements else []))
    for one in report.verdict.statements:
        if one.state == "open":
            why = words.why(one, report.details.decide)
            console.print(f"[yellow]open:[/] {escape(words.subject(one))}: {escape(typed(why))}", highlight=False)
    for warning in report.warnings:
        console.print(f"[yellow]note:[/] {escape(typed(warning))}", highlight=False)
    style = VERDICT_STYLE[report.verdict.state]
    console.print(f"verdict: [{style}]{report.verdict.state}[/]", highlight=False)
    console.print(f"report: {outcome.folder / 'report.html'}", highlight=False, soft_wrap=True)


def _models(report: Report) -> Table:
    metric = report.task.metric
    columns = (words.label(metric), "95 % interval", "size", "MACs", "p50", "speed-up")
    table = _table("step", *columns, right=columns, wide=("step",))
    for row in report.models:
        table.add_row(*map(typed, _model_cells(row, report)))
    return table


def _model_cells(row: ModelRow, report: Report) -> list[str]:
    metric = report.task.metric
    quality, latency = words.quality(row, metric), words.first_latency(row)
    speedup = words.number("speedup", row.speedup.value if row.speedup else None)
    return [
        f"{escape(row.step)} [green]ships[/]" if row.step == report.verdict.ship else escape(row.step),
        words.number(metric, quality.value if quality else None),
        words.span(metric, quality.low, quality.high, unit=False) if quality else words.NONE,
        words.number("size_mb", None if row.size_bytes is None else row.size_bytes / 1e6),
        words.number("macs", row.macs),
        words.number("latency_p50_ms", latency.p50_ms if latency else None),
        "[cyan]baseline[/]" if row.step == report.verdict.baseline else speedup,
    ]


def _statements(statements: Sequence[Statement]) -> Table:
    right = ("measured", "95 % interval")
    table = _table("budget", "limit", *right, "", right=right, wide=("budget", "limit"))
    for one in statements:
        cells = (words.subject(one), words.limit(one.measure, one.limit), words.value(one), words.interval(one))
        table.add_row(*map(typed, cells), f"[{STATE_STYLE[one.state]}]{one.state}[/]")
    return table


def show_estimate(console: Console, estimate: Estimate) -> None:
    """What a smoke run found: every stage works, and what the real run takes."""
    table = _table("step", "smoke", "real run, about", right=("smoke", "real run, about"))
    for line in estimate.lines:
        table.add_row(escape(line.node), words.duration(line.smoke_seconds), words.duration(line.real_seconds))
    _print(console, table)
    said = (
        f"smoke passed in {words.duration(estimate.smoke_seconds)}; the real run takes about "
        f"{words.duration(estimate.seconds)}, {words.count(estimate.memory_bytes)}B of memory and "
        f"{words.count(estimate.disk_bytes)}B of disk on a machine as busy as this one was"
    )
    console.print(typed(said), soft_wrap=True, highlight=False)
