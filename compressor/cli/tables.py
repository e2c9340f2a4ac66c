"""What the terminal shows of a plan, a report and an estimate."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.box import SIMPLE_HEAD
from rich.console import JustifyMethod
from rich.table import Table
from rich.text import Text

from compressor.cli.console import Console, styled
from compressor.cli.progress import typed
from compressor.report.judgement import words

if TYPE_CHECKING:
    from compressor.pipeline.plan.prepare import Prepared
    from compressor.pipeline.run.estimate import Estimate
    from compressor.pipeline.run.run import Outcome
    from compressor.report.contract.report import Report
    from compressor.report.contract.rows import ModelRow

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
            styled(node.name),
            node.stage.name,
            styled((node.status, style)),
            styled(node.why),
            styled((node.key[:8], "dim")),
        )
    _print(console, table)
    waiting = sum(node.status != "reuse" for node in prepared.plan.nodes)
    total = len(prepared.plan.nodes)
    console.say(f"{waiting} of {total} to run, on {prepared.device}; artifacts in {prepared.store.root}")


def show_outcome(console: Console, outcome: Outcome) -> None:
    """The models, the statements, the verdict and where the report is."""
    report = outcome.report
    _print(console, _models(report), *([_statements(report)] if report.verdict.statements else []))
    for one in report.verdict.statements:
        if one.state == "open":
            why = words.why(one, report.details.decide)
            console.tell(("open:", "yellow"), f" {words.subject(one, report)}: {typed(why)}")
    for warning in report.warnings:
        console.tell(("note:", "yellow"), f" {typed(warning)}")
    style = VERDICT_STYLE[report.verdict.state]
    console.say("verdict: ", (report.verdict.state, style))
    console.say(f"report: {outcome.folder / 'report.html'}")


def _models(report: Report) -> Table:
    metric = report.task.metric
    columns = (words.label(metric), "95 % interval", "size", "MACs", "p50", "speed-up")
    table = _table("step", *columns, right=columns, wide=("step",))
    for row in report.models:
        table.add_row(*_model_cells(row, report))
    return table


def _model_cells(row: ModelRow, report: Report) -> list[Text]:
    metric, unit = report.task.metric, words.unit(report, report.task.metric)
    quality, latency = words.quality(row, metric), words.first_latency(row)
    speedup = words.number("×", row.speedup.value if row.speedup else None)
    ships = [(" ships", "green")] if row.step == report.verdict.ship else []
    figures = [
        words.number(unit, quality.value if quality else None),
        words.span(unit, quality.low, quality.high, bare=True) if quality else words.NONE,
        words.number("MB", None if row.size_bytes is None else row.size_bytes / 1e6),
        words.number("count", row.macs),
        words.number("ms", latency.p50_ms if latency else None),
    ]
    last = ("baseline", "cyan") if row.step == report.verdict.baseline else typed(speedup)
    return [styled(row.step, *ships), *(styled(typed(figure)) for figure in figures), styled(last)]


def _statements(report: Report) -> Table:
    right = ("measured", "95 % interval")
    table = _table("budget", "limit", *right, "", right=right, wide=("budget", "limit"))
    for one in report.verdict.statements:
        cells = [show(one, report) for show in (words.subject, words.limit, words.value, words.interval)]
        table.add_row(*(styled(typed(cell)) for cell in cells), styled((one.state, STATE_STYLE[one.state])))
    return table


def show_estimate(console: Console, estimate: Estimate) -> None:
    """What a smoke run found: every stage works, and what the real run takes."""
    table = _table("step", "smoke", "real run, about", right=("smoke", "real run, about"))
    for line in estimate.lines:
        table.add_row(styled(line.node), words.duration(line.smoke_seconds), words.duration(line.real_seconds))
    _print(console, table)
    said = (
        f"smoke passed in {words.duration(estimate.smoke_seconds)}; the real run takes about "
        f"{words.duration(estimate.seconds)}, {words.count(estimate.memory_bytes)}B of memory and "
        f"{words.count(estimate.disk_bytes)}B of disk on a machine as busy as this one was"
    )
    console.say(typed(said))
