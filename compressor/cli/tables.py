"""What the terminal shows of a plan, a report and an estimate."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from compressor.cli.progress import duration

if TYPE_CHECKING:
    from compressor.pipeline.estimate import Estimate
    from compressor.pipeline.prepare import Prepared
    from compressor.pipeline.run import Outcome
    from compressor.report.report import Report, Statement
    from compressor.report.rows import ModelRow

STATUS_STYLE = {"run": "yellow", "resume": "cyan", "reuse": "green"}
STATE_STYLE = {"holds": "green", "open": "yellow", "broken": "red"}
VERDICT_STYLE = {"pass": "bold green", "measured": "bold green", "fail": "bold red", "undecided": "bold yellow"}


def _table(*columns: str, right: Sequence[str] = (), wide: str = "") -> Table:
    table = Table(box=SIMPLE_HEAD, pad_edge=False, header_style="dim")
    for column in columns:
        table.add_column(column, justify="right" if column in right else "left", no_wrap=column != wide)
    return table


def show_plan(console: Console, prepared: Prepared) -> None:
    """A line a step: what would happen, and why."""
    table = _table("step", "stage", "", "why", "key", wide="why")
    for node in prepared.plan.nodes:
        style = STATUS_STYLE.get(node.status, "")
        table.add_row(
            escape(node.name),
            node.stage.name,
            f"[{style}]{node.status}[/]",
            escape(node.why),
            f"[dim]{node.key[:8]}[/]",
        )
    console.print(table)
    waiting = sum(node.status != "reuse" for node in prepared.plan.nodes)
    total = len(prepared.plan.nodes)
    console.print(
        f"{waiting} of {total} to run, on {prepared.device}; artifacts in {prepared.store.root}", soft_wrap=True
    )


def show_outcome(console: Console, outcome: Outcome) -> None:
    """The models, the statements, the verdict and where the report is."""
    report = outcome.report
    console.print(_models(report))
    if report.verdict.statements:
        console.print(_statements(report.verdict.statements))
    for warning in report.warnings:
        console.print(f"[yellow]note:[/] {escape(warning)}")
    style = VERDICT_STYLE[report.verdict.state]
    console.print(f"verdict: [{style}]{report.verdict.state}[/]", highlight=False)
    console.print(f"report: {outcome.folder / 'report.html'}", highlight=False, soft_wrap=True)


def _models(report: Report) -> Table:
    metric = report.task.metric
    columns = (metric, "95 % interval", "size", "MACs", "p50", "speed-up")
    table = _table("step", *columns, right=columns)
    for row in report.models:
        table.add_row(*_model_cells(row, metric))
    return table


def _model_cells(row: ModelRow, metric: str) -> list[str]:
    quality = (row.quality or {}).get(metric)
    latency = row.latency[0] if row.latency else None
    interval = ""
    if quality and quality.low is not None and quality.high is not None:
        interval = f"{quality.low:.3f}–{quality.high:.3f}"
    return [
        escape(row.step),
        f"{quality.value:.4f}" if quality else "",
        interval,
        _bytes(row.size_bytes),
        _count(row.macs),
        f"{latency.p50_ms:.3f} ms" if latency and latency.p50_ms is not None else "",
        f"{row.speedup.value:.2f}×" if row.speedup else "",
    ]


def _statements(statements: Sequence[Statement]) -> Table:
    table = _table("budget", "limit", "measured", "95 % interval", "", right=("measured", "95 % interval"))
    for one in statements:
        ((kind, limit),) = one.limit.model_dump().items()
        interval = f"{one.low:.4g}–{one.high:.4g}" if one.low is not None and one.high is not None else "exact"
        needed = ""
        if one.needed and one.needed.samples:
            needed = f"; {one.needed.samples} samples would decide"
        elif one.needed and one.needed.rounds:
            needed = f"; {one.needed.rounds} rounds would decide"
        value = f"{one.value:.4g}" if one.value is not None else "not measured"
        style = STATE_STYLE[one.state]
        table.add_row(one.measure, f"{kind} {limit:g}", value, interval, f"[{style}]{one.state}[/]{needed}")
    return table


def show_estimate(console: Console, estimate: Estimate) -> None:
    """What a smoke run found: every stage works, and what the real run takes."""
    table = _table("step", "smoke", "real run, about", right=("smoke", "real run, about"))
    for line in estimate.lines:
        table.add_row(escape(line.node), duration(line.smoke_seconds), duration(line.real_seconds))
    console.print(table)
    console.print(
        f"smoke passed in {duration(estimate.smoke_seconds)}; the real run takes about "
        f"{duration(estimate.seconds)}, {_bytes(estimate.memory_bytes)} of memory and "
        f"{_bytes(estimate.disk_bytes)} of disk on a machine as busy as this one was",
        soft_wrap=True, highlight=False,
    )  # fmt: skip


def _bytes(count: int | None) -> str:
    if count is None:
        return ""
    for unit, size in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if count >= size:
            return f"{count / size:.3g} {unit}"
    return f"{count} B"


def _count(count: int | None) -> str:
    if count is None:
        return ""
    for unit, size in (("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if count >= size:
            return f"{count / size:.3g} {unit}"
    return str(count)
