"""report.md: the verdict as a comment under a pull request. Short; the page has the rest."""

from __future__ import annotations

from compressor.printable import in_markdown
from compressor.report.contract.report import Report
from compressor.report.contract.rows import ModelRow
from compressor.report.judgement import words
from compressor.report.pages import tables

_MARKS = {"pass": "✅", "fail": "❌", "undecided": "❔", "measured": "📏"}
_STATES = {"holds": "✅ holds", "broken": "❌ broken", "open": "❔ open"}


def page(report: Report) -> str:
    """report.md as text: verdict, statements, models, warnings."""
    verdict = report.verdict
    parts = [
        f"## {_MARKS[verdict.state]} {words.TITLES[verdict.state]}: {in_markdown(report.name)}",
        in_markdown(words.headline(report)),
        _statements(report),
        _models(report),
        _chain(report),
        _bits(report),
        _warnings(report),
        _footer(report),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _table(head: list[str], rows: list[list[str]], right: set[int]) -> str:
    rule = ["--:" if place in right else ":--" for place in range(len(head))]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in [head, rule, *rows])


def _statements(report: Report) -> str:
    if not report.verdict.statements:
        return ""
    rows = [
        [
            in_markdown(words.subject(one, report) + (", unseen" if words.samples_of(one, report) else "")),
            in_markdown(words.limit(one, report)),
            f"**{in_markdown(words.value(one, report))}**",
            in_markdown(words.interval(one, report)),
            f"{_STATES[one.state]}"
            + (f": {in_markdown(words.why(one, report.details.decide))}" if one.state == "open" else ""),
        ]
        for one in report.verdict.statements
    ]
    return _table(["what ships", "limit", "measured", "95 % interval", "state"], rows, {2, 3})


def _models(report: Report) -> str:
    metric = report.task.metric
    setting = words.condition(next(filter(None, map(words.first_latency, report.models)), None))
    partly = any(row.quality_unseen for row in report.models)
    over = f", all {report.task.samples.test:,}" if partly and report.task.samples.test else ""
    head = [
        "model",
        "stage",
        f"{in_markdown(metric)}{over} [95 %]",
        "size",
        "MACs",
        f"p50{f', {setting}' if setting else ''}",
        "speed-up",
    ]
    rows = [_model(row, report) for row in report.models]
    return _table(head, rows, {2, 3, 4, 5, 6}) if rows else ""


def _model(row: ModelRow, report: Report) -> list[str]:
    metric = report.task.metric
    unit = words.unit(report, metric)
    quality, latency = words.quality(row, metric), words.first_latency(row)
    name = f"**{in_markdown(row.step)}**" if row.step == report.verdict.ship else in_markdown(row.step)
    interval = f" [{words.span(unit, quality.low, quality.high)}]" if quality else ""
    return [
        name,
        f"{in_markdown(row.stage)}{', int8' if row.precision == 'int8' else ''}",
        in_markdown(words.number(unit, quality.value if quality else None) + interval),
        words.number("MB", row.size_bytes / 1e6 if row.size_bytes is not None else None),
        words.number("count", row.macs),
        words.number("ms", latency.p50_ms if latency else None),
        words.number("×", row.speedup.value if row.speedup else None),
    ]


def _chain(report: Report) -> str:
    """How near the int8 graph and the shipped file come to what each was made from."""
    links = [link for link in tables.chain(report) if link["from_graph"]]
    told = [f"{link['name']} {link['same']} ({link['noise']}, {link['samples']} samples)" for link in links]
    return f"Same answers: {in_markdown('; '.join(told))}." if told else ""


def _bits(report: Report) -> str:
    """Whether what ships computes the same on every CPU; without a bundle, each int8 model."""
    rows = [row for row in report.models if row.step == report.verdict.ship or report.verdict.ship is None]
    told = [f"{row.step} {words.bits(row)}" for row in rows if words.bits(row)]
    return f"Bits: {in_markdown('; '.join(told))}." if told else ""


def _warnings(report: Report) -> str:
    if not report.warnings:
        return ""
    return "\n".join(["**Before you believe it**", "", *(f"- {in_markdown(warning)}" for warning in report.warnings)])


def _footer(report: Report) -> str:
    measured_on = in_markdown(words.machine(report.environment.model_dump()))
    return (
        f"<sub>Measured on {measured_on}; your device differs. {in_markdown(words.when(report.created))}, compress "
        f"{in_markdown(report.compress_version)}, pipeline {in_markdown(report.pipeline.sha256[:12])}. "
        "Intervals are 95 %; the whole story is in report.html.</sub>"
    )
