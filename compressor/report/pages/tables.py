"""The rows of the page's tables: statements, models, latencies, and how near each link of the chain comes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from compressor.evaluation.evaluation import Parity
from compressor.report.contract.report import Report, Statement
from compressor.report.contract.rows import LatencyRow, ModelRow
from compressor.report.judgement import words


def statement(one: Statement, report: Report) -> dict[str, Any]:
    """A row of the budget's table."""
    return {
        "subject": words.subject(one, report),
        "samples": words.samples_of(one, report),
        "limit": words.limit(one, report),
        "value": words.value(one, report),
        "interval": words.interval(one, report),
        "state": one.state,
        "why": words.why(one, report.details.decide),
        "how": one.how,
        "gauge": _gauge(one),
    }


def _gauge(one: Statement) -> dict[str, float | str] | None:
    """Where value, interval and limit lie on a strip 100 wide; None where nothing was measured."""
    if one.value is None:
        return None
    limit = one.limit.value
    low = one.value if one.low is None else one.low
    high = one.value if one.high is None else one.high
    ends = [low, high, limit, one.value]
    room = (max(ends) - min(ends)) or abs(limit) or 1.0
    start, width = min(ends) - 0.18 * room, 1.36 * room

    def place(value: float) -> float:
        return round(100 * (value - start) / width, 2)

    return {
        "low": place(low),
        "high": place(high),
        "value": place(one.value),
        "limit": place(limit),
        "side": "right" if one.limit.min is not None else "left",
    }


def model(row: ModelRow, report: Report) -> dict[str, Any]:
    """A row of the table of steps."""
    metric, latency = report.task.metric, words.first_latency(row)
    unit = words.unit(report, metric)
    quality, drop = words.quality(row, metric), (row.against_baseline or {}).get(metric)
    unseen = (row.quality_unseen or {}).get(metric)
    return {
        "row": row,
        "is_ship": row.step == report.verdict.ship,
        "is_baseline": row.step == report.verdict.baseline,
        "quality": words.number(unit, quality.value) if quality else words.NONE,
        "quality_interval": words.span(unit, quality.low, quality.high, bare=True) if quality else "",
        "unseen": words.number(unit, unseen.value) if unseen else words.NONE,
        "unseen_interval": words.span(unit, unseen.low, unseen.high, bare=True) if unseen else "",
        "drop": words.drop(unit, drop.drop) if drop else words.NONE,
        "drop_interval": words.span(unit, drop.low, drop.high, is_drop=True, bare=True) if drop else "",
        "size": words.number("MB", None if row.size_bytes is None else row.size_bytes / 1e6),
        "params": words.number("count", row.params),
        "macs": words.number("count", row.macs),
        "latency": words.number("ms", latency.p50_ms if latency else None),
        "latency_interval": words.span("ms", latency.low_ms, latency.high_ms, bare=True) if latency else "",
        "speedup": words.number("×", row.speedup.value if row.speedup else None),
        "speedup_interval": words.span("×", row.speedup.low, row.speedup.high, bare=True) if row.speedup else "",
        "made": words.NONE if row.seconds is None else words.duration(row.seconds),
        "bits": words.bits(row),
        "reused": "earlier, reused" if row.reused else "",
    }


def settings(report: Report) -> list[dict[str, str]]:
    """Every thread count and batch size of every model, as text."""
    return [
        {"name": row.step, "note": row.precision or "", **_latency(one)}
        for row in report.models
        for one in row.latency or ()
    ]


def devices(report: Report) -> list[dict[str, str]]:
    """The host's rows of the shipped model, and under them those of each device that was added."""
    if not report.details.devices:
        return []
    ship = report.row(report.verdict.ship)
    here = {**report.environment.model_dump(), "cpu": f"this machine: {report.environment.cpu}"}
    machines = [(here, (ship.latency if ship is not None else None) or ())]
    machines += [(device.machine, device.rows) for device in report.details.devices]
    return [
        {"name": name, "note": "", "isa": f"{name}: {isa}" if isa else "", **_latency(one)}
        for machine, rows in machines
        for name, isa in [(str(machine.get("cpu") or "a device"), words.isa(machine))]
        for one in rows
    ]


TIMES = ("p50_ms", "p90_ms", "p95_ms", "p99_ms", "load_ms", "first_ms")


def _latency(row: LatencyRow) -> dict[str, str]:
    """The cells of a table of latencies."""
    memory = None if row.peak_memory_bytes is None else row.peak_memory_bytes / 1e6
    times = {key.removesuffix("_ms"): getattr(row, key) for key in TIMES}
    return {
        "condition": words.condition(row),
        **{key: words.number("ms", time) for key, time in times.items()},
        "interval": words.span("ms", row.low_ms, row.high_ms),
        "throughput": words.NONE if row.throughput_per_s is None else words.significant(row.throughput_per_s),
        "memory": words.number("MB", memory),
        "runs": words.NONE if row.samples is None else f"{row.samples:,}",
        "rounds": _rounds(row),
    }


def _rounds(row: LatencyRow) -> str:
    if row.rounds is None:
        return ""
    spread = "" if row.processes is None else f", {row.processes:,} process{'' if row.processes == 1 else 'es'}"
    return f"in {row.rounds:,} rounds{spread}"


def chain(report: Report) -> list[dict[str, Any]]:
    """How near each graph comes to what it was made from, from the network to the shipped file.

    Of what ships; where nothing does, of all that was quantized.
    """
    by_step = {row.step: row for row in report.models}
    ends = [report.verdict.ship] if report.verdict.ship else [row.step for row in report.models if row.kind == "onnx"]
    links: set[str] = set()
    for end in ends:
        row = by_step.get(end)
        while row is not None:
            links.add(row.step)
            # A network is compared with itself in torch; what it was trained from is another model.
            row = by_step.get(row.parent or "") if row.kind == "onnx" else None
    return [_link(row, by_step) for row in report.models if row.step in links and row.parity]


def _link(row: ModelRow, by_step: Mapping[str, ModelRow]) -> dict[str, Any]:
    near, parent = row.parity or Parity(), by_step.get(row.parent or "")
    if parent is None or row.kind == "model":
        before, note = None, str(row.precision or "")
    elif row.precision == parent.precision:
        before, note = parent.step, "the file for the device"
    else:
        before, note = parent.step, f"{parent.precision} to {row.precision}"
    cosine, error = near.cosine, near.max_abs
    return {
        "from_graph": before is not None,
        "name": f"{before or f'{row.step} in torch'} → {row.step}",
        "note": note,
        "same": words.share(near.same_answers),
        "noise": words.NONE if near.sqnr_db is None else f"{near.sqnr_db:.1f}{words.FIXED}dB",
        "cosine": words.NONE if cosine is None else "> 0.9999" if 0.9999 < cosine < 1 else f"{cosine:.4f}",
        "error": words.NONE if error is None else "< 0.0001" if 0 < error < 1e-4 else words.significant(error, 2),
        "samples": words.NONE if near.n is None else f"{near.n:,}",
    }
