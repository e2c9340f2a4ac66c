"""report.html: one file without scripts or network, for the person who decides.

Everything on it comes from the report; all text is escaped by the template engine, figures are our own SVG.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from compressor.report.contract.details import Worst
from compressor.report.contract.report import Report
from compressor.report.contract.rows import ModelRow
from compressor.report.drawings.curves import trainings
from compressor.report.drawings.figures import colour_of, direction, figures
from compressor.report.judgement import words
from compressor.report.pages import class_tables, tables

TEMPLATES = Path(__file__).parent / "templates"
_FIGURE = re.compile(r"<!--figure (\S+) ([0-9a-f]{64}) ([0-9a-f]{64})-->(.*?)<!--/figure-->", re.S)
_PICTURE = re.compile(r"data:image/(png|jpeg|gif|webp);base64,[A-Za-z0-9+/=]+")

Figures = Mapping[tuple[str, str], str]


def page(report: Report, known: Figures | None = None) -> str:
    """report.html as text. known: drawings of an older page by name and digest of their data, used where they fit."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    engine = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return engine.get_template("report.html.j2").render(_content(report, known or {}))


def figures_of(path: Path) -> dict[tuple[str, str], str]:
    """The drawings of a page of ours, by name and digest of their data; those that were changed are left out."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return {}
    found = _FIGURE.findall(text)
    return {(name, digest): svg for name, digest, own, svg in found if hashlib.sha256(svg.encode()).hexdigest() == own}


def _drawn(report: Report, known: Figures) -> dict[str, dict[str, Any]]:
    """Drawings as markup by section and name, each between the marks that `figures_of` looks for."""
    from markupsafe import Markup

    drawn: dict[str, dict[str, Any]] = {}
    for figure in figures(report):
        digest = figure.digest
        svg = known.get((figure.name, digest)) or figure.draw()
        own = hashlib.sha256(svg.encode()).hexdigest()
        text = Markup(f"<!--figure {figure.name} {digest} {own}-->{svg}<!--/figure-->")
        drawn.setdefault(figure.section, {})[figure.name] = text
    return drawn


def _content(report: Report, known: Figures) -> dict[str, Any]:
    """All that the template shows, as plain values."""
    drawn = _drawn(report, known)
    return {
        "report": report,
        "words": words,
        "figures": {name: list(parts.values()) for name, parts in drawn.items()},
        "trainings": [(one.figure and drawn["curves"][one.figure.name], one.text) for one in trainings(report)],
        "subject": report.subject,
        "direction": direction(report),
        "colours": sorted({colour_of(report, row) for row in report.models}, key=("float", "int8", "ship").index),
        "statements": [tables.statement(one, report) for one in report.verdict.statements],
        "tiles": _tiles(report, report.row(report.verdict.ship)),
        "models": [tables.model(row, report) for row in report.models],
        "settings": tables.settings(report),
        "devices": tables.devices(report),
        "chain": tables.chain(report),
        "confusion": class_tables.confusion(report),
        "every_class": class_tables.every_class(report),
        "worst": [_worst(one) for one in report.details.worst],
        "machine": words.machine(report.environment.model_dump()),
        "environment": _environment(report),
        "notes": _notes(report),
        "holds_on": _holds_on(report),
    }


def _tiles(report: Report, ship: ModelRow | None) -> list[dict[str, str]]:
    """The shipped model's figures, for a first look."""
    if ship is None:
        return []
    metric, latency = report.task.metric, words.first_latency(ship)
    unit = words.unit(report, metric)
    quality = words.decisive_quality(ship, metric)
    before_quality = words.decisive_quality(report.row(report.verdict.baseline), metric)
    tiles = []
    if quality:
        unseen = "unseen " if ship.quality_unseen else ""
        note = f"{'of' if unit == 'share' else 'over'} {quality.n:,} {unseen}test samples"
        if before_quality and ship.step != report.verdict.baseline:
            change = words.change(unit, quality.value - before_quality.value)
            note += f"; {change} against {report.verdict.baseline}"
        tiles.append({"label": words.label(metric), "value": words.number(unit, quality.value), "note": note})
    if ship.size_bytes is not None:
        before = report.row(report.verdict.baseline)
        smaller = (
            before.size_bytes / ship.size_bytes if before and before.size_bytes and before.step != ship.step else None
        )
        note = f"{words.significant(smaller)} times smaller than {report.verdict.baseline}" if smaller else "model.onnx"
        tiles.append({"label": "file size", "value": words.number("MB", ship.size_bytes / 1e6), "note": note})
    if latency and latency.p50_ms is not None:
        tiles.append(
            {
                "label": "median latency",
                "value": words.number("ms", latency.p50_ms),
                "note": f"here, {words.condition(latency)}",
            }
        )
    if ship.speedup:
        interval = words.span("×", ship.speedup.low, ship.speedup.high)
        note = "in the same rounds" + (f", {interval}" if ship.speedup.low is not None else "")
        value = words.number("×", ship.speedup.value)
        tiles.append({"label": f"times as fast as {report.verdict.baseline}", "value": value, "note": note})
    return tiles


def _worst(one: Worst) -> dict[str, Any]:
    """A wrong answer; its picture only where it is an embedded picture and nothing else."""
    picture = one.picture if one.picture and _PICTURE.fullmatch(one.picture) else None
    # No softmax is sure beyond doubt, whatever the last bit of a float says.
    confidence = None if one.confidence is None else words.share(min(one.confidence, 1 - 1e-9), 1)
    return {**one.model_dump(), "picture": picture, "confidence": confidence}


def _environment(report: Report) -> list[tuple[str, str]]:
    about = report.environment
    memory = None if about.memory_bytes is None else f"{about.memory_bytes / 2**30:.1f} GiB"
    rows = [
        ("processor", about.cpu),
        ("instruction set", about.isa),
        ("cores", about.cores),
        ("threads of the run", about.threads),
        ("frequency governor", about.governor),
        ("load of the last minute", about.load),
        ("memory", memory),
        ("system", about.os),
        ("Python", about.python),
        *about.libraries.items(),
    ]
    return [(name, str(value)) for name, value in rows if value not in (None, "")]


def _notes(report: Report) -> dict[str, list[tuple[str, str]]]:
    """What each step told of how it was made, for people."""
    return {
        step: [(words.label(name), words.plain(value)) for name, value in notes.items()]
        for step, notes in report.details.notes.items()
    }


def _holds_on(report: Report) -> str | None:
    """On which CPUs the shipped model's answers hold, as the step that quantized it told, and whether its bits do."""
    row = ship = report.row(report.verdict.ship)
    bits = words.bits(ship)
    while row is not None:
        told = report.details.notes.get(row.step, {}).get("holds_on")
        if told:
            return f"{told}{f'; bits: {bits}' if bits else ''}"
        row = report.row(row.parent)
    return f"bits: {bits}" if bits else None
